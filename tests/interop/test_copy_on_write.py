"""copyonwrite: a volume for each session, over a stand-in for the programs of LVM."""
import json
import os
import signal
import socket
import struct
import time
from contextlib import closing

import lvm_stand_in
from bench import MIB, Bench, free_port, output, wait_for
from harness.registry import test
from lvm_stand_in import GOLDEN, THIN, Site, ask, descendants, refusal, with_ours
from nbd_wire import (ACK, BOOT, CLIENT_FLAGS, FIRST, GREETING, HOST, OTHER_BOOT, POLICY, SECOND, SESSION, answer, claim, entered, go, hosting,
                      option, read, receive, reply, write, wrote)

CONFIG = """[generic]
port = @PORT@
listenaddr = 127.0.0.1
provisionsocket = {socket}
statussocket = {status}
[cow]
exportname = /dev/vg0/golden
copyonwrite = true
createlimit = 3
copyonwritekeep = 3600
[plain]
exportname = /dev/vg0/golden
readonly = true
[thick]
exportname = /dev/vg0/thick
copyonwrite = true
authfile = {authfile}
[made]
exportname = /dev/vg0/made-%s
create = snapshot of vg0/golden
createlimit = 5
"""
DISC = struct.pack(">IHHQQI", 0x25609513, 0, 2, 9, 0, 0)
MULTI_CONN = 1 << 8


def site(bench: Bench) -> Site:
    return lvm_stand_in.site(bench, CONFIG)


def enter(made: Site, session: bytes | None, generation: int = 1, host: str = "127.0.0.1") -> tuple[socket.socket, str]:
    """Use the export: the link, and the identity of the disk."""
    link = socket.create_connection(("127.0.0.1", made.server.port), timeout=60, source_address=(host, 0))
    assert len(receive(link, GREETING)) == GREETING
    link.sendall(CLIENT_FLAGS)
    identity = ""
    if session is not None:
        link.sendall(claim(generation, b"cow", session))
        identity = answer(link)[1]
    link.sendall(go(b"cow"))
    entered(link)
    return link, identity


def put(link: socket.socket, data: bytes) -> None:
    link.sendall(write(5, 0, len(data)) + data)
    assert wrote(link, 5)


def copies(made: Site) -> dict[str, dict]:
    return {name: one for name, one in made.volumes().items() if "+cow-" in name}


def leave(link: socket.socket) -> None:
    """Detach, and wait until the server has closed the link."""
    link.sendall(DISC)
    receive(link, 1)
    link.close()


def sweep(made: Site) -> str:
    return output(made.bench.server_program, "volumes", "sweep", "--yes", "--socket", made.folder / "run/provision.sock")


def restart_server(made: Site) -> None:
    made.server.process.send_signal(signal.SIGKILL)
    made.server.process.wait()
    port = free_port()
    path = made.folder / "server.conf"
    path.write_text(path.read_text().replace(f"port = {made.server.port}", f"port = {port}"))
    made.server = made.bench.start(port, *with_ours(made.bench, made.bench.server_program, "--foreground", "--config", path))


@test("copyonwrite: each session has the export as at its first connection and its own writes, which nobody else sees, and never the original")
def sessions(bench: Bench) -> None:
    made = site(bench)
    first, first_disk = enter(made, FIRST)
    second, second_disk = enter(made, SECOND)
    with closing(first), closing(second):
        put(first, b"of the first")
        put(second, b"of the other")
        assert made.content("vg0/golden") == GOLDEN
        assert read(first, 0, 12) == b"of the first" and read(second, 0, 12) == b"of the other"
        assert first_disk != second_disk and first_disk.startswith("file:"), (first_disk, second_disk)
        names = copies(made)
        assert len(names) == 2 and not any(FIRST.hex() in name for name in names), names
        for one in names.values():
            assert one["tags"][0] == "holdfast.export=cow" and one["tags"][1].startswith("holdfast.session="), one
        (made.folder / "dev/vg0/golden").write_bytes(b"newer ".ljust(len(GOLDEN)))
    # A lost link is no end: the session goes on, also with a server that has been killed.
    for generation in (2, 3):
        again, disk = enter(made, FIRST, generation)
        with closing(again):
            assert read(again, 0, 12) == b"of the first" and disk == first_disk
            assert read(again, 12, 100) == GOLDEN[12:112]
        restart_server(made)
    third, _ = enter(made, b"3" * 16)
    with closing(third):
        assert read(third, 0, 6) == b"newer "
    assert len(copies(made)) == 3
    link, kind, _ = ask(made, "127.0.0.1", "plain")
    with closing(link):
        assert kind == ACK and read(link, 0, 6) == b"newer "


@test("copyonwrite: a session ends with its last connection that says so, and its volume with it; no other volume goes")
def ends(bench: Bench) -> None:
    made = site(bench)
    first, _ = enter(made, FIRST)
    second, _ = enter(made, SECOND)
    put(first, b"written")
    # udev looks at a device that was closed.
    name = next(name for name, one in copies(made).items() if made.content(name).startswith(b"written"))
    made.change(name, attr="Vwi-aotz--")
    listed = len(made.calls("lvs"))
    leave(first)
    wait_for(lambda: len(made.calls("lvs")) > listed + 1, "holdfast-provision to look again")
    assert name in made.volumes() and not made.calls("lvremove")
    made.change(name, attr=THIN)
    wait_for(lambda: name not in made.volumes(), "the end of the first session")
    assert made.calls("lvremove") == [["--yes", name]] and len(copies(made)) == 1
    # The slots of a session have one volume, which stays as long as any of them.
    other = socket.create_connection(("127.0.0.1", made.server.port), timeout=60)
    receive(other, GREETING)
    other.sendall(CLIENT_FLAGS + claim(1, b"cow", SECOND, 1))
    answer(other)
    other.sendall(go(b"cow"))
    entered(other)
    (kept,) = copies(made)
    leave(second)
    leave(enter(made, b"3" * 16)[0])
    wait_for(lambda: set(copies(made)) <= {kept} and len(made.calls("lvremove")) > 1, "the end of a third session")
    put(other, b"still")
    assert set(copies(made)) == {kept} and len(made.calls("lvremove")) == 2, made.calls("lvremove")
    leave(other)
    wait_for(lambda: not copies(made), "the end of the second session")
    again, _ = enter(made, FIRST, 2)
    with closing(again):
        assert read(again, 0, 6) == GOLDEN[:6]
    assert {"vg0/golden", "vg0/thick", "vg0/disk"} < set(made.volumes())


@test("copyonwrite: a session whose connection has been replaced by another does not end with the old one")
def fenced(bench: Bench) -> None:
    made = site(bench)
    old, _ = enter(made, FIRST)
    put(old, b"written")
    new, _ = enter(made, FIRST, 2)
    with closing(new):
        try:
            leave(old)
        except OSError:
            pass  # closed by the server
        # Both ends are known by the time that a later one is.
        (kept,) = copies(made)
        leave(enter(made, SECOND)[0])
        wait_for(lambda: set(copies(made)) == {kept} and made.calls("lvremove"), "the end of another session")
        assert len(made.calls("lvremove")) == 1
        assert read(new, 0, 7) == b"written"


@test("copyonwrite: machines that were cloned with their identity have their own volumes at the same time")
def clones(bench: Bench) -> None:
    made = site(bench)
    links = []
    for session, boot in ((FIRST, BOOT), (SECOND, OTHER_BOOT)):
        link = socket.create_connection(("127.0.0.1", made.server.port), timeout=60)
        links.append(link)
        receive(link, GREETING)
        link.sendall(CLIENT_FLAGS + hosting(1, boot) + claim(1, b"cow", session))
        kinds = [reply(link)[0] for _ in range(4)]
        assert kinds == [ACK, SESSION, HOST, ACK], kinds
        link.sendall(go(b"cow"))
        entered(link)
        put(link, session)
    for link, session in zip(links, (FIRST, SECOND)):
        with closing(link):
            assert read(link, 0, 16) == session
    assert len(copies(made)) == 2


@test("copyonwrite: a client without a session has a volume for its connection, however that ends")
def connections(bench: Bench) -> None:
    made = site(bench)
    link, _ = enter(made, None)
    other, _ = enter(made, None)
    put(link, b"written")
    assert read(other, 0, 7) == GOLDEN[:7] and len(copies(made)) == 2
    link.close()
    wait_for(lambda: len(copies(made)) == 1, "the end of the volume")
    leave(other)
    wait_for(lambda: not copies(made), "the end of the other volume")
    again, _ = enter(made, None)
    with closing(again):
        assert read(again, 0, 7) == GOLDEN[:7]
    assert made.content("vg0/golden") == GOLDEN


@test("copyonwrite: a lost session's volume is kept for its time from its last use on, and never removed while it is open or without our tags")
def swept(bench: Bench) -> None:
    made = site(bench)
    link, _ = enter(made, FIRST)
    link.close()
    (name,) = copies(made)
    file = made.folder / "dev" / name
    tags = made.volumes()[name]["tags"]

    def idle_for(seconds: int) -> None:
        now = [tag for tag in made.volumes()[name]["tags"] if tag.startswith("holdfast.idle=")]
        assert len(now) == 1, now
        since, use = now[0].removeprefix("holdfast.idle=").split(".")
        # By the time since the boot: a calendar that is set right ends no session.
        assert int(since) <= time.clock_gettime(time.CLOCK_BOOTTIME) + 1
        made.change(name, tags=[*tags, f"holdfast.idle={int(since) - seconds}.{use}"])

    assert "no volume of a lost session" in sweep(made)
    idle_for(3500)
    assert "no volume of a lost session" in sweep(made)
    idle_for(200)
    # Used between two sweeps: the time begins again.
    os.utime(file, (1, 1))
    assert "no volume of a lost session" in sweep(made)
    idle_for(4000)
    made.change(name, attr="Vwi-aotz--")
    assert "no volume of a lost session" in sweep(made)
    assert made.volumes()[name]["tags"] == tags, made.volumes()
    made.change(name, attr=THIN)
    sweep(made)
    idle_for(4000)
    # Volumes of others with such names, and of hosts.
    volumes = made.volumes()
    old = "holdfast.idle=1.1"
    word = "0" * 32
    others = {f"vg0/golden+cow-{word}": [old], "vg0/made-1": ["holdfast.export=cow", "holdfast.host=127.0.0.1", old],
              "vg0/odd": ["holdfast.export=cow", "holdfast.session=odd", old], "vg0/nameless": [f"holdfast.session={word}", old]}
    for other, of_other in others.items():
        bench.file(f"dev/{other}", content=GOLDEN)
        os.utime(made.folder / "dev" / other, (1, 1))
        volumes[other] = dict(volumes["vg0/golden"], tags=of_other)
    bench.file("state/volumes", content=json.dumps(volumes).encode())
    asked = output(bench.server_program, "volumes", "sweep", "--socket", made.folder / "run/provision.sock")
    assert f"would be removed: {name}" in asked and "Nothing was changed" in asked and name in made.volumes(), asked
    said = sweep(made)
    assert f"removed {name}" in said and name not in made.volumes(), said
    assert set(others) < set(made.volumes()) and made.calls("lvremove") == [["--yes", name]], made.calls("lvremove")


@test("copyonwrite: createlimit counts sessions; those that are over make room, those that live do not")
def limits(bench: Bench) -> None:
    made = site(bench)
    links = [enter(made, bytes([number]) * 16)[0] for number in (1, 2)]
    lost, _ = enter(made, b"\3" * 16)
    put(lost, b"lost")
    lost.close()
    link = socket.create_connection(("127.0.0.1", made.server.port), timeout=60)
    with closing(link):
        receive(link, GREETING)
        link.sendall(CLIENT_FLAGS + claim(1, b"cow", b"\4" * 16))
        kind, data = reply(link)
        assert kind == POLICY and b"createlimit = 3" in data, data
    name = next(name for name in copies(made) if made.content(name).startswith(b"lost"))
    others = [other for other in copies(made) if other != name]
    for other in others:
        made.change(other, attr="Vwi-aotz--")
    volume = made.volumes()[name]
    (idle,) = (tag for tag in volume["tags"] if tag.startswith("holdfast.idle="))
    use = idle.split(".")[-1]
    made.change(name, tags=[*(tag for tag in volume["tags"] if tag != idle), f"holdfast.idle={int(time.clock_gettime(time.CLOCK_BOOTTIME)) - 4000}.{use}"])
    fourth, _ = enter(made, b"\4" * 16)
    assert name not in made.volumes() and set(others) < set(copies(made)) and len(copies(made)) == 3
    for link in (*links, fourth):
        link.close()


@test("copyonwrite: what LVM cannot take a snapshot of is refused, by --check with its line, and when a client connects")
def refused(bench: Bench) -> None:
    made = site(bench)
    assert "vg0/thick is not a volume of a thin pool; make it one (lvmthin(7)), or set readonly = true" in refusal(made, "127.0.3.1", "thick")
    made.change("vg0/golden", attr="Vwi-a-t---")
    assert "does not zero new blocks" in refusal(made, "127.0.0.1", "cow")
    made.change("vg0/golden", attr=THIN)
    assert not copies(made) and not made.calls("lvcreate")
    disk = bench.file("disk", MIB)
    keys = ["copyonwrite = true", "cowdir = /tmp", "sparse_cow = true", "copyonwritekeep = 5", "identity = x", "filesize = 4096"]
    config = bench.file("wrong.conf", content="\n".join(["[a]", f"exportname = {disk}", *keys[:3], "[b]", "exportname = /dev/vg0/golden", *keys[3:],
                                                       "copyonwrite = true", "[c]", f"exportname = {disk}", "copyonwrite = true", "readonly = true",
                                                       "[d]", f"exportname = {disk}", "copyonwritekeep = 100"]).encode())
    said = output(bench.server_program, "--check", "--config", config, status=1)
    for text in (f"{config}:3: error: copyonwrite: {disk} is no logical volume /dev/GROUP/VOLUME, of which LVM could take a snapshot; export an LV, or "
                 "set readonly = true", f"{config}:4: warning: cowdir: ", f"{config}:5: warning: sparse_cow: ",
                 f"{config}:8: error: copyonwritekeep: \"5\" is not a number of seconds from 60", f"{config}:9: error: identity: ",
                 f"{config}:10: error: filesize: ", f"{config}:14: warning: copyonwrite: has no effect with readonly = true",
                 f"{config}:18: error: copyonwritekeep: has no effect without copyonwrite"):
        assert text in said, f"{text}\nnot in\n{said}"
    assert f"{config}:14: error" not in said, said


@test("copyonwrite: holdfast-provision believes no session and no export that the configuration does not have, and removes only what it made")
def hostile_askers(bench: Bench) -> None:
    made = site(bench)
    link, _ = enter(made, FIRST)
    (name,) = copies(made)
    word = name.split("+cow-")[1]

    def request(call: int, export: bytes, session: bytes, host: bytes = b"127.0.0.1") -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.settimeout(60)
            asking.connect(str(made.folder / "run/provision.sock"))
            asking.send(struct.pack("BBBBHHHHII", 2, call, 0, 0, len(export), len(host), len(session), 0, 0, 0) + export + host + session)
            try:
                return asking.recv(5000)
            except ConnectionResetError:
                return b""

    make, reset, end, sweeping = 1, 2, 8, 9
    known = word.encode()
    for call in (make, end):
        for export, session in ((b"cow", b"../x"), (b"cow", known[:-1] + b"g"), (b"cow", b"A" * 32), (b"cow", b"d" + known), (b"cow", known[:-1]),
                                (b"plain", known), (b"made", known), (b"nothing", known)):
            assert request(call, export, session)[:2] == b"\2\0", (call, export, session)
    assert request(end, b"cow", b"0" * 32)[:2] == b"\2\0"
    assert request(end, b"cow", b"") == b"" and request(reset, b"cow", known) == b"" and request(sweeping, b"cow", b"") == b""
    # Not made for this session.
    bench.file(f"dev/vg0/golden+cow-{'1' * 32}", content=GOLDEN)
    bench.file("state/volumes", content=json.dumps(made.volumes() | {f"vg0/golden+cow-{'1' * 32}": {
        "size": len(GOLDEN), "attr": THIN, "tags": ["holdfast.export=cow", "holdfast.host=1"], "pool": "pool"}}).encode())
    assert b"was not made for this session" in request(end, b"cow", b"1" * 32)
    assert not made.calls("lvremove") and len(made.calls("lvcreate")) == 1
    link.close()
    program = ("import socket,sys; link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); link.connect(sys.argv[1]); "
               "link.send(b'\\2\\x09' + bytes(18)); print(link.recv(5000))")
    path = made.folder / "run/provision.sock"
    path.chmod(0o666)
    path.parent.chmod(0o755)
    said = output("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", program, path)
    assert "only root, and the server for a new volume, may ask" in said, said


def information(made: Site, host: str) -> tuple[int, int]:
    """Size and flags that INFO gives to a connection without a session."""
    link = socket.create_connection(("127.0.0.1", made.server.port), timeout=60, source_address=(host, 0))
    with closing(link):
        receive(link, GREETING)
        link.sendall(CLIENT_FLAGS + option(6, struct.pack(">I", 3) + b"cow" + struct.pack(">H", 0)))
        kind, data = reply(link)
        while data[:2] != b"\0\0":
            assert kind == 3, (kind, data)
            kind, data = reply(link)
        return struct.unpack(">QH", data[2:12])


@test("copyonwrite: a probe of a client's size sees its session's volume, not an original that has grown; nobody is offered connections to many copies")
def probes(bench: Bench) -> None:
    made = site(bench)
    link, _ = enter(made, FIRST, host="127.0.0.7")
    with (made.folder / "dev/vg0/golden").open("ab") as golden:
        golden.write(bytes(4096))
    size, flags = information(made, "127.0.0.7")
    assert size == len(GOLDEN) and not flags & MULTI_CONN and not flags & 2, (size, flags)
    assert information(made, "127.0.0.8")[0] == len(GOLDEN) + 4096
    assert len(copies(made)) == 1
    link.close()


@test("copyonwrite: volumes and status name the volume and client of each session; volumes remove ends one that is lost")
def listed(bench: Bench) -> None:
    made = site(bench)
    lost, _ = enter(made, SECOND)
    put(lost, b"lost")
    lost.close()
    link, _ = enter(made, FIRST, host="127.0.0.7")
    command = with_ours(bench, bench.server_program, "volumes", "--socket", made.folder / "status.sock")
    gone = next(name for name in copies(made) if made.content(name).startswith(b"lost"))
    name = next(other for other in copies(made) if other != gone)
    rows = {row["volume"] or row["path"]: row for row in json.loads(output(*command, "--json"))["volumes"] if row["export"] == "cow"}
    assert set(rows) == {name, gone}, rows
    mine = rows[name]
    assert mine["session"] == name.split("+cow-")[1] and mine["host"] is None and mine["client"].startswith("127.0.0.7:"), mine
    assert mine["golden_of"] == "vg0/golden" and mine["path"] == f"/dev/{name}", mine
    assert rows[gone]["client"] is None and rows[gone]["last_seen"], rows
    said = output(bench.server_program, "status", "--socket", made.folder / "status.sock")
    assert f"        disk /dev/{name}\n" in said and "export cow (/dev/vg0/golden): 1 connection" in said, said
    words = ["--export", "cow", "--yes", "--socket", str(made.folder / "run/provision.sock")]
    assert "a session cannot go on with another volume" in output(bench.server_program, "volumes", "reset", rows[gone]["session"], *words, status=1)
    assert "not a session" in output(bench.server_program, "volumes", "remove", "127.0.0.7", *words, status=1)
    assert f"removed {gone}" in output(bench.server_program, "volumes", "remove", rows[gone]["session"], *words)
    link.close()
    assert set(copies(made)) == {name}


@test("copyonwrite: without holdfast-provision sessions that have their volumes go on, and new ones are refused with the reason")
def without_provision(bench: Bench) -> None:
    made = site(bench)
    link, disk = enter(made, FIRST)
    put(link, b"written")
    link.close()
    for pid in descendants(made.provision.pid):
        os.kill(pid, signal.SIGKILL)
    made.provision.wait()
    again, same = enter(made, FIRST, 2)
    assert read(again, 0, 7) == b"written" and same == disk
    assert "holdfast-provision cannot be asked" in refusal(made, "127.0.0.1", "cow")
    leave(again)
    made.server.wait_for_log("the volume of its session was not removed")
