"""Volumes that are created for hosts: holdfast-provision and the server, over a stand-in for the programs of LVM."""
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import threading
import time
from contextlib import closing

import lvm_stand_in
from bench import ENVIRONMENT, MIB, Bench, Server, output, wait_for
from harness.registry import test
from lvm_stand_in import GOLDEN, THICK, THIN, Site, ask, descendants, read_and_mark, refusal, start_provision, with_ours
from nbd_wire import ACK, CLIENT_FLAGS, GREETING, go, receive, reply

CONFIG = """[generic]
port = @PORT@
listenaddr = 127.0.0.1
handshaketimeout = {timeout}
provisionsocket = {socket}
statussocket = {status}
[thin]
exportname = /dev/vg0/thin-%s
create = snapshot of vg0/golden
createlimit = 100
[few]
exportname = /dev/vg0/few-%s
create = snapshot of vg0/golden
createlimit = 2
createclients = 127.0.2.0/24
[copied]
exportname = /dev/vg0/copied-%s
create = copy of vg0/thick
createlimit = 5
authfile = {authfile}
[fresh]
exportname = /dev/vg0/fresh-%s
create = empty 1M
createlimit = 5
[wrong]
exportname = /dev/vg0/wrong-%s
create = snapshot of vg0/thick
createlimit = 5
[bounded]
exportname = /dev/vg0/bounded-%s
create = snapshot of vg0/golden
createlimit = 5
createmaxsize = 1M
[boundedcopy]
exportname = /dev/vg0/boundedcopy-%s
create = copy of vg0/thick
createlimit = 5
createmaxsize = 1M
[root-*]
exportname = /dev/vg0/root-%n
create = snapshot of vg0/golden
createlimit = 4
createclients = 127.0.4.0/24
authfile = {authfile}
[root-own]
exportname = /dev/vg0/thick
[disk]
exportname = /dev/vg0/disk
[file]
exportname = {authfile}
[card-*.img]
exportname = /dev/vg0/card-%m
create = snapshot of vg0/golden
createlimit = 2
"""


def site(bench: Bench, timeout: int = 60) -> Site:
    return lvm_stand_in.site(bench, CONFIG, timeout=timeout)


@test("a hundred first connections at the same time make a hundred volumes, none twice, none lost, and the next one is beyond the limit")
def storm(bench: Bench) -> None:
    made = site(bench)
    hosts = [f"127.0.1.{number}" for number in range(1, 101)]
    found: dict[str, bytes | Exception] = {}

    def use(host: str) -> None:
        try:
            found[host] = read_and_mark(made, host, "thin")
        except Exception as error:
            found[host] = error

    for expected in (lambda host: GOLDEN[:16], lambda host: host.encode().ljust(16, b".")):
        threads = [threading.Thread(target=use, args=(host,)) for host in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wrong = {host: found.get(host) for host in hosts if found.get(host) != expected(host)}
        assert not wrong, wrong
        created = [words[words.index("--name") + 1] for words in made.calls("lvcreate")]
        assert sorted(created) == sorted(f"thin-{host}" for host in hosts), created
    said = refusal(made, "127.0.1.101", "thin")
    assert said.startswith("/dev/vg0/thin-127.0.1.101: 100 volumes of this export exist already (createlimit = 100)"), said
    assert len(made.calls("lvcreate")) == 100
    assert made.volumes()["vg0/thin-127.0.1.7"]["tags"] == ["holdfast.export=thin", "holdfast.host=127.0.1.7"]


@test("a volume is made only within createlimit, for clients of createclients and the authfile, and never as a snapshot that LVM cannot make")
def limits(bench: Bench) -> None:
    made = site(bench)
    assert "createclients does not contain this host" in refusal(made, "127.0.1.1", "few")
    for number in (1, 2):
        assert read_and_mark(made, f"127.0.2.{number}", "few") == GOLDEN[:16]
    assert "createlimit = 2" in refusal(made, "127.0.2.3", "few")
    assert read_and_mark(made, "127.0.2.1", "few").startswith(b"127.0.2.1")
    assert "there is no export of this name" in refusal(made, "127.0.1.1", "copied")
    assert "vg0/thick is not a volume of a thin pool; set create = copy of vg0/thick" in refusal(made, "127.0.1.1", "wrong")
    made.change("vg0/golden", attr="Vwi-a-t---")
    assert "does not zero new blocks" in refusal(made, "127.0.1.1", "thin")
    assert len(made.volumes()) == 5, made.volumes()


@test("a new volume of its own extents is filled before it is served: a copy with the golden volume, an empty one with zeroes")
def filled(bench: Bench) -> None:
    made = site(bench)
    assert read_and_mark(made, "127.0.3.1", "copied") == GOLDEN[:16]
    assert read_and_mark(made, "127.0.3.1", "fresh") == bytes(16)
    assert made.content("vg0/copied-127.0.3.1")[16:] == GOLDEN[16:]
    assert made.content("vg0/fresh-127.0.3.1")[16:] == bytes(MIB - 16)


@test("a slow volume holds up its own host only, which is told so in time; killed half-way, it is never served, and made again")
def slow_and_killed(bench: Bench) -> None:
    made = site(bench, timeout=4)
    held = made.hold("lvrename", "copied-127.0.3.1+new")
    began = time.monotonic()
    said = refusal(made, "127.0.3.1", "copied")
    assert said == "/dev/vg0/copied-127.0.3.1: the volume is still being made; connect again later", said
    assert time.monotonic() - began < 4.5
    assert read_and_mark(made, "127.0.3.2", "copied") == GOLDEN[:16]
    wait_for(lambda: "vg0/copied-127.0.3.1+new" in made.volumes(), "the unfinished volume")
    # Twenty further tries of the held host leave the others their places.
    links = []
    for _ in range(20):
        link = socket.create_connection(("127.0.0.1", made.server.port), timeout=60, source_address=("127.0.3.1", 0))
        link.sendall(CLIENT_FLAGS + go(b"copied"))
        links.append(link)
    assert read_and_mark(made, "127.0.3.3", "copied") == GOLDEN[:16]
    for link in links:
        link.close()
    for pid in descendants(made.provision.pid):
        os.kill(pid, signal.SIGKILL)
    made.provision.wait()
    # An interrupted copy.
    with (bench.folder / "dev/vg0/copied-127.0.3.1+new").open("wb") as half:
        half.write(b"half")
    held.unlink()
    assert "holdfast-provision cannot be asked" in refusal(made, "127.0.3.1", "copied")
    made.provision = start_provision(bench)
    bench.servers.append(Server(made.provision, 0, bench.folder / "provision.log"))
    assert read_and_mark(made, "127.0.3.1", "copied") == GOLDEN[:16]
    assert ["--yes", "vg0/copied-127.0.3.1+new"] in made.calls("lvremove")
    assert "vg0/copied-127.0.3.1+new" not in made.volumes()


@test("an inactive volume of the host is activated, and one that was not made for it stays as it is")
def inactive(bench: Bench) -> None:
    made = site(bench)
    read_and_mark(made, "127.0.1.1", "thin")
    for host in ("127.0.1.1", "127.0.1.2"):
        volume = bench.folder / f"dev/vg0/thin-{host}"
        if not volume.exists():
            volume.write_bytes(GOLDEN)
            made.bench.file("state/volumes", content=json.dumps(made.volumes() | {f"vg0/thin-{host}": {
                "size": len(GOLDEN), "attr": THIN, "tags": [], "pool": "pool"}}).encode())
        volume.rename(f"{volume} inactive")
        made.change(f"vg0/thin-{host}", attr="Vwi---tz-k")
    assert read_and_mark(made, "127.0.1.1", "thin").startswith(b"127.0.1.1")
    assert "was not made for this host, and is not active" in refusal(made, "127.0.1.2", "thin")
    assert made.calls("lvchange") == [["--activate", "y", "--ignoreactivationskip", "vg0/thin-127.0.1.1"]]


@test("holdfast-provision answers root and the server's user only, and believes no length and no name")
def hostile_askers(bench: Bench) -> None:
    made = site(bench)
    path = bench.folder / "run/provision.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def request(call: int, name: bytes, host: bytes, *, raw: bytes | None = None) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.settimeout(60)
            link.connect(str(path))
            link.send(struct.pack("BBBBHHHHII", 2, call, 0, 0, len(name), len(host), 0, 0, 0, 0) + name + host if raw is None else raw)
            try:
                return link.recv(5000)
            except ConnectionResetError:
                return b""

    zeroes = bytes(12)
    for raw in (b"\2", b"\2\1\0\0\xff\xff\xff\xff" + zeroes, b"\2\1\0\0\1\0\1\0" + zeroes + b"abc", b"\1\1\0\0\1\0\1\0ab", bytes(5000)):
        assert request(0, b"", b"", raw=raw) == b"", raw
    for name, host in ((b"thin", b"../../x"), (b"thin", b"name"), (b"thin\0", b"127.0.1.1"), (b"generic", b"127.0.1.1"),
                       (b"few", b"127.0.1.1"), (b"copied", b"127.0.1.1"), (b"root-own", b"127.0.4.1"), (b"root-*", b"127.0.4.1"),
                       (b"root-../x", b"127.0.4.1"), (b"root-a", b"name")):
        assert request(1, name, host)[:2] == b"\2\0", (name, host)
    path.chmod(0o666)
    path.parent.chmod(0o755)
    program = ("import socket,sys; link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); link.connect(sys.argv[1]); "
               "link.send(b'\\2\\1\\0\\0\\4\\0\\x09\\0' + bytes(12) + b'thin127.0.1.1'); print(link.recv(5000))")
    said = output("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", program, path)
    assert "only root, and the server for a new volume, may ask" in said, said
    assert len(made.volumes()) == 3 and not made.calls("lvcreate"), made.volumes()


@test("--check names the line of each mistake in the keys of created volumes")
def checked(bench: Bench) -> None:
    config = bench.file("wrong.conf", content=b"""[a]
exportname = /dev/vg0/a-%s
create = snapshot of golden
createlimit = 0
[b]
exportname = /dev/vg0/x-%s
create = empty 1G
createlimit = 5
[c]
exportname = /dev/vg0/x-1%s
create = empty 1G
createlimit = 5
""")
    said = output(bench.server_program, "--check", "--config", config, status=1)
    for text in (f"{config}:3: error: create: write ", f"{config}:4: error: createlimit: \"0\" is not", f"{config}:11: error: [b] and [c] could give"):
        assert text in said, said


@test("volumes reset and remove say what they would do, do it with --yes only, and refuse a volume in use or of others")
def resets(bench: Bench) -> None:
    made = site(bench)
    read_and_mark(made, "127.0.1.1", "thin")

    def volumes(*words: str, status: int = 0) -> str:
        return output(bench.server_program, "volumes", *words, "--export", "thin", "--socket", bench.folder / "run/provision.sock", status=status)

    said = volumes("reset", "127.0.1.1")
    assert "vg0/thin-127.0.1.1 would be removed with all its data, and made again as a snapshot of vg0/golden; shut the host down first" in said, said
    assert "Nothing was changed" in said and not made.calls("lvremove"), said
    made.change("vg0/thin-127.0.1.1", attr="Vwi-aotz--")
    assert "vg0/thin-127.0.1.1 is in use; disconnect the host first" in volumes("reset", "127.0.1.1", "--yes", status=1)
    made.change("vg0/thin-127.0.1.1", attr=THIN)
    assert "made vg0/thin-127.0.1.1 as a snapshot" in volumes("reset", "127.0.1.1", "--yes")
    assert made.content("vg0/thin-127.0.1.1") == GOLDEN
    assert "removed vg0/thin-127.0.1.1" in volumes("remove", "127.0.1.1", "--yes")
    assert "vg0/thin-127.0.1.1" not in made.volumes()
    assert "vg0/thin-127.0.1.1 does not exist" in volumes("remove", "127.0.1.1", "--yes", status=1)
    made.bench.file("dev/vg0/thin-127.0.1.2", content=GOLDEN)
    made.bench.file("state/volumes", content=json.dumps(made.volumes() | {"vg0/thin-127.0.1.2": {
        "size": len(GOLDEN), "attr": THIN, "tags": [], "pool": "pool"}}).encode())
    assert "was not made for this host" in volumes("remove", "127.0.1.2", "--yes", status=1)
    assert "missing --export" in output(bench.server_program, "volumes", "remove", "127.0.1.2", status=2)


@test("volumes reset removes nothing that it could not make again; snapshots of an administrator are never removed with a volume")
def keeps(bench: Bench) -> None:
    made = site(bench)
    for host in ("127.0.2.1", "127.0.2.2"):
        read_and_mark(made, host, "few")
    read_and_mark(made, "127.0.3.1", "copied")

    def refused(word: str, export: str, host: str, *options: str) -> str:
        return output(bench.server_program, "volumes", word, host, *options, "--export", export, "--socket", bench.folder / "run/provision.sock", status=1)

    config = bench.folder / "server.conf"
    config.write_text(config.read_text().replace("createlimit = 2\ncreateclients = 127.0.2", "createlimit = 1\ncreateclients = 127.0.2"))
    for options in ((), ("--yes",)):
        said = refused("reset", "few", "127.0.2.1", *options)
        assert "createlimit = 1" in said and "vg0/few-127.0.2.1 was not removed" in said, said
    made.change("vg0/thick", attr="-wi-------")
    assert "vg0/thick is not active; activate it; vg0/copied-127.0.3.1 was not removed" in refused("reset", "copied", "127.0.3.1", "--yes")
    made.change("vg0/thick", attr=THICK)
    made.change("vg0/copied-127.0.3.1", attr="owi-a-s---")
    for word in ("reset", "remove"):
        assert "vg0/copied-127.0.3.1 has snapshots" in refused(word, "copied", "127.0.3.1", "--yes")
    assert not made.calls("lvremove")


@test("volumes remove takes an address in each spelling, and what an interrupted copy has left")
def removes(bench: Bench) -> None:
    made = site(bench)
    read_and_mark(made, "127.0.3.1", "copied")
    name, left = "vg0/copied-127.0.3.1", "vg0/copied-127.0.3.1+new"
    volumes = made.volumes()
    volumes[left] = volumes.pop(name)
    (bench.folder / "state/volumes").write_text(json.dumps(volumes))
    (bench.folder / "dev" / name).rename(bench.folder / "dev" / left)

    def remove(host: str, export: str, status: int = 0) -> str:
        return output(bench.server_program, "volumes", "remove", host, "--yes", "--export", export, "--socket", bench.folder / "run/provision.sock", status=status)

    assert f"removed {left}" in remove("127.0.3.1", "copied") and left not in made.volumes()
    assert f"{name} does not exist" in remove("127.0.3.1", "copied", status=1)
    said = remove("FE80:0::1", "fresh", status=1)
    assert "does not exist" in said and said == remove("fe80::1", "fresh", status=1), said


@test("clients leave no lock file behind, and those that may have no volume ask holdfast-provision nothing")
def no_traces(bench: Bench) -> None:
    made = site(bench)
    for host in ("127.0.2.1", "127.0.2.2"):
        read_and_mark(made, host, "few")
    for last in range(3, 9):
        assert "createlimit = 2" in refusal(made, f"127.0.2.{last}", "few")
    asked = len(made.calls("lvs"))
    for last in range(1, 9):
        assert "createclients does not contain this host" in refusal(made, f"127.0.1.{last}", "few")
    assert len(made.calls("lvs")) == asked and "127.0.1.1" not in made.log(), made.log()
    locks = [path.name for path in (bench.folder / "run").iterdir() if path.name.startswith(("volume ", "group "))]
    assert locks == ["group vg0"], locks


@test("volumes promote makes a host's state the golden volume; others keep theirs until they are reset, and an interrupted promotion is finished")
def promotes(bench: Bench) -> None:
    made = site(bench)
    for host in ("127.0.1.1", "127.0.1.2"):
        read_and_mark(made, host, "thin")

    def volumes(*words: str, status: int = 0) -> str:
        return output(bench.server_program, "volumes", *words, "--socket", bench.folder / "run/provision.sock", status=status)

    said = volumes("promote", "127.0.1.1", "--export", "thin")
    assert said.startswith("vg0/golden would be renamed to vg0/golden.1, and a snapshot of vg0/thin-127.0.1.1 would become vg0/golden;"), said
    assert not made.calls("lvrename")
    made.change("vg0/golden", attr="Vwi-aotz--")
    assert "vg0/golden is in use" in volumes("promote", "127.0.1.1", "--export", "thin", "--yes", status=1)
    made.change("vg0/golden", attr=THIN)
    assert "promoted vg0/thin-127.0.1.1 to vg0/golden; the golden volume of before is vg0/golden.1" in \
        volumes("promote", "127.0.1.1", "--export", "thin", "--yes")
    assert made.content("vg0/golden.1") == GOLDEN
    assert read_and_mark(made, "127.0.1.3", "thin").startswith(b"127.0.1.1")
    assert read_and_mark(made, "127.0.1.2", "thin").startswith(b"127.0.1.2")
    volumes("reset", "127.0.1.2", "--export", "thin", "--yes")
    assert made.content("vg0/thin-127.0.1.2").startswith(b"127.0.1.1")
    assert made.volumes()["vg0/golden"]["tags"] == ["holdfast.golden"], made.volumes()
    # Ended between the two renames.
    (bench.folder / "dev/vg0/golden").rename(bench.folder / "dev/vg0/golden+new")
    state = made.volumes()
    state["vg0/golden+new"] = state.pop("vg0/golden")
    made.bench.file("state/volumes", content=json.dumps(state).encode())
    assert read_and_mark(made, "127.0.1.4", "thin").startswith(b"127.0.1.1")
    assert "vg0/golden" in made.volumes() and "vg0/golden+new" not in made.volumes()
    assert "only exports with create = snapshot" in volumes("promote", "127.0.3.1", "--export", "copied", "--yes", status=1)


NO_EXPORT = "there is no export of this name"


@test("a section with * makes a volume for each name that clients ask for, within its limits, and for no name of other characters")
def names(bench: Bench) -> None:
    made = site(bench)
    assert read_and_mark(made, "127.0.4.1", "root-web-1.example") == GOLDEN[:16]
    # The name decides, not the address; the authfile decides who may.
    assert read_and_mark(made, "127.0.4.2", "root-web-1.example").startswith(b"127.0.4.1")
    assert read_and_mark(made, "127.0.3.1", "root-web-1.example").startswith(b"127.0.4.2")
    assert "createclients does not contain this host" in refusal(made, "127.0.3.1", "root-web2")
    assert refusal(made, "127.0.9.1", "root-web-1.example") == NO_EXPORT
    assert read_and_mark(made, "127.0.4.1", "root-web2") == GOLDEN[:16]
    assert made.volumes()["vg0/root-web+2d1.example"]["tags"] == ["holdfast.export=root-+2a".replace("-", "+2d"), "holdfast.host=web+2d1.example"]
    for name in ("root-*", "root-", "root", "root-../x", "root-a/b", "root-..", "root-a..b", "root-.a", "root-a-", "root-A", "root-a b", "root-a_b",
                 "root-a%s", "root-a+2d", "root-" + "a" * 54, "root-" + "a-" * 17 + "aaa", "Root-a", "*", "xroot-a"):
        assert refusal(made, "127.0.4.1", name) == NO_EXPORT, name
    # A section of the name itself goes before the pattern.
    assert read_and_mark(made, "127.0.9.1", "root-own") == GOLDEN[:16]
    assert len(made.calls("lvcreate")) == 2, made.calls("lvcreate")
    for name in ("root-a", "root-b"):
        assert read_and_mark(made, "127.0.4.1", name) == GOLDEN[:16]
    assert "createlimit = 4" in refusal(made, "127.0.4.1", "root-c")


@test("createmaxsize bounds the size of each volume, that of a new golden volume, too")
def sizes(bench: Bench) -> None:
    made = site(bench)
    assert read_and_mark(made, "127.0.1.1", "bounded") == GOLDEN[:16]
    made.change("vg0/bounded-127.0.1.1", size=MIB + 1)
    said = output(bench.server_program, "volumes", "promote", "127.0.1.1", "--export", "bounded", "--yes", "--socket", bench.folder / "run/provision.sock", status=1)
    assert "vg0/bounded-127.0.1.1 has 1048577 bytes, more than createmaxsize = 1048576 bytes; raise createmaxsize, or shrink the volume" in said, said
    for golden, export, host in (("golden", "bounded", "127.0.1.2"), ("thick", "boundedcopy", "127.0.1.1")):
        made.change(f"vg0/{golden}", size=MIB + 1)
        said = refusal(made, host, export)
        assert f"vg0/{golden} has 1048577 bytes, more than createmaxsize = 1048576 bytes" in said, said
    assert len(made.calls("lvcreate")) == 1 and not made.calls("lvrename"), made.volumes()
    assert read_and_mark(made, "127.0.1.2", "thin") == GOLDEN[:16]


@test("volumes lists each volume of a host: its host, size, use, golden volume, client, and when it was last seen; also those without a client")
def listed(bench: Bench) -> None:
    made = site(bench)
    read_and_mark(made, "127.0.1.1", "thin")
    read_and_mark(made, "127.0.3.1", "copied")
    read_and_mark(made, "127.0.4.1", "root-gone")
    # As after a restart of the server: it has not seen this one.
    bench.file("dev/vg0/thin-127.0.1.9", content=GOLDEN)
    bench.file("state/volumes", content=json.dumps(made.volumes() | {"vg0/thin-127.0.1.9": {
        "size": len(GOLDEN), "attr": THIN, "tags": ["holdfast.export=thin", "holdfast.host=127.0.1.9"], "pool": "pool", "origin": "golden.1"}}).encode())
    output(bench.server_program, "volumes", "remove", "gone", "--export", "root-*", "--yes", "--socket", bench.folder / "run/provision.sock")
    command = with_ours(bench, bench.server_program, "volumes", "--socket", bench.folder / "status.sock")
    link, kind, _ = ask(made, "127.0.4.1", "root-web")
    with closing(link):
        assert kind == ACK
        rows = {(row["export"], row["host"]): row for row in json.loads(output(*command, "--json"))["volumes"]}
        text = output(*command)
    assert ("root-*", "gone") not in rows and ("root-*", None) not in rows, rows
    web = rows["root-*", "web"]
    assert web["client"].startswith("127.0.4.1:") and web["connected_since"] and not web["last_seen"], web
    assert (web["volume"], web["size"], web["used_percent"], web["golden_of"]) == ("vg0/root-web", len(GOLDEN), 12.5, "vg0/golden"), web
    one = rows["thin", "127.0.1.1"]
    assert one["last_client"].startswith("127.0.1.1:") and one["last_seen"] and not one["client"] and one["golden_of"] == "vg0/golden", one
    unseen = rows["thin", "127.0.1.9"]
    assert (unseen["path"], unseen["golden_of"], unseen["client"], unseen["last_seen"]) == ("/dev/vg0/thin-127.0.1.9", "vg0/golden.1", None, None), unseen
    assert rows["copied", "127.0.3.1"]["golden_of"] == "vg0/thick", rows
    assert rows["fresh", None]["path"] == "/dev/vg0/fresh-%s", rows
    assert "EXPORT" in text and "GOLDEN OF" in text and " now\n" in text, text
    assert output(*command, "--prometheus").count("holdfast_volume_connected{export=\"thin\"") == 2


@test("volumes reset --wait says what it waits for, goes on when the volume is free, and gives up in time with nothing changed")
def waits(bench: Bench) -> None:
    made = site(bench)
    read_and_mark(made, "127.0.1.1", "thin")
    words = [bench.server_program, "volumes", "reset", "127.0.1.1", "--export", "thin", "--socket", bench.folder / "run/provision.sock"]
    assert "--wait: needs --yes" in output(*words, "--wait", status=2)
    for wrong in ("0", "-1", "x", "", "1000001"):
        assert "--wait: the number of seconds must be" in output(*words, "--yes", f"--wait={wrong}", status=2)
    made.change("vg0/thin-127.0.1.1", attr="Vwi-aotz--")
    said = output(*words, "--yes", "--wait=1", status=1)
    assert said.count("waiting until vg0/thin-127.0.1.1 is no longer in use") == 1 and "is in use; disconnect the host first" in said, said
    assert not made.calls("lvremove")
    with subprocess.Popen([str(word) for word in (*words, "--yes", "--wait")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT) as waiting:
        assert waiting.stdout is not None
        plan = waiting.stdout.readline()
        assert "would be removed with all its data" in plan and "shut the host down first" in plan and "vg0/thin-127.0.1.1 is in use" in plan, plan
        first = waiting.stdout.readline()
        assert "waiting until vg0/thin-127.0.1.1 is no longer in use" in first, first
        assert waiting.poll() is None and not made.calls("lvremove")
        # Free for a moment, as when the server restarts.
        looks = len(made.calls("lvs"))
        made.change("vg0/thin-127.0.1.1", attr=THIN)
        wait_for(lambda: len(made.calls("lvs")) >= looks + 3, "three looks at a volume that is free")
        made.change("vg0/thin-127.0.1.1", attr="Vwi-aotz--")
        looks = len(made.calls("lvs"))
        wait_for(lambda: len(made.calls("lvs")) >= looks + 3, "three looks at a volume in use")
        assert waiting.poll() is None and not made.calls("lvremove")
        # Free for long enough, and in use again when LVM removes: the wait goes on.
        held = made.hold("lvremove", "-")
        made.change("vg0/thin-127.0.1.1", attr=THIN)
        wait_for((bench.folder / "state/held-lvremove--").exists, "LVM to remove the volume")
        made.change("vg0/thin-127.0.1.1", attr="Vwi-aotz--")
        held.unlink()
        again = waiting.stdout.readline()
        assert "waiting until vg0/thin-127.0.1.1 is no longer in use" in again, again
        made.change("vg0/thin-127.0.1.1", attr=THIN)
        rest = waiting.stdout.read()
        assert "made vg0/thin-127.0.1.1 as a snapshot of vg0/golden" in rest, rest
    assert waiting.returncode == 0 and made.content("vg0/thin-127.0.1.1") == GOLDEN


@test("a MAC address in the name is the host, in each spelling; one connection asks for a bounded number of hosts, and volumes reset names the host")
def macs(bench: Bench) -> None:
    made = site(bench)
    assert read_and_mark(made, "127.0.1.1", "card-52-54-00-12-34-5e.img") == GOLDEN[:16]
    for spelling in ("52:54:00:12:34:5e", "52540012345E", "52-54-00-12-34-5E"):
        assert read_and_mark(made, "127.0.1.2", f"card-{spelling}.img").startswith(b"127.0.1.")
    assert made.volumes()["vg0/card-52540012345e"]["tags"] == ["holdfast.export=card+2d+2a.img", "holdfast.host=52540012345e"]
    for word in ("52-54-00-12-34-5g", "52-54:00-12-34-5e", "5254.0012.345e", "53-54-00-12-34-5e", "00-00-00-00-00-00", "ff-ff-ff-ff-ff-ff", "52-54-00-12-34", "host"):
        assert refusal(made, "127.0.1.1", f"card-{word}.img") == NO_EXPORT, word
    link, kind, _ = ask(made, "127.0.1.2", "card-52:54:00:12:34:5e.img")
    with closing(link):
        assert kind == ACK
        said = output(bench.server_program, "status", "--socket", bench.folder / "status.sock")
        assert "export card-52-54-00-12-34-5e.img (/dev/vg0/card-52540012345e): 1 connection" in said and "(removed)" not in said, said

    def volumes(*words: str, status: int = 0) -> str:
        return output(bench.server_program, "volumes", *words, "--yes", "--socket", bench.folder / "run/provision.sock", status=status)

    assert "made vg0/card-52540012345e" in volumes("reset", "52:54:00:12:34:5e", "--export", "card-*.img")
    assert made.content("vg0/card-52540012345e") == GOLDEN
    assert "the host is no MAC address" in volumes("remove", "127.0.1.1", "--export", "card-*.img", status=1)
    assert "write --export 'card-*.img'" in volumes("remove", "52540012345e", "--export", "card-52540012345e.img", status=1)
    assert "removed vg0/card-52540012345e" in volumes("remove", "52540012345E", "--export", "card-*.img")
    with socket.create_connection(("127.0.0.1", made.server.port), timeout=120, source_address=("127.0.3.9", 0)) as link:
        assert len(receive(link, GREETING)) == GREETING
        link.sendall(CLIENT_FLAGS)
        replies = []
        for number in range(18):
            link.sendall(go(f"root-x{number}".encode()))
            replies.append(reply(link)[1].decode())
    assert all("createclients" in text for text in replies[:16]) and replies[16:] == [NO_EXPORT] * 2, replies


@test("twenty first connections at the same time make no more volumes than createlimit, and ten of one host make one volume")
def races(bench: Bench) -> None:
    made = site(bench)
    replies: list[tuple[str, int, bytes]] = []

    def use(host: str, name: str) -> None:
        link, kind, data = ask(made, host, name)
        link.close()
        replies.append((name, kind, data))

    threads = [threading.Thread(target=use, args=(f"127.0.1.{number}", "fresh")) for number in range(1, 21)]
    threads += [threading.Thread(target=use, args=("127.0.1.1", "thin")) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh = [data for name, kind, data in replies if name == "fresh" and kind != ACK]
    assert len(fresh) == 15 and all(b"createlimit = 5" in data for data in fresh), replies
    assert [kind for name, kind, _ in replies if name == "thin"] == [ACK] * 10, replies
    created = sorted(volume for volume in made.volumes() if volume.split("/")[1].startswith(("fresh", "thin")))
    assert len(created) == 6 and created[-1] == "vg0/thin-127.0.1.1", created
    assert len(made.calls("lvcreate")) == 6, made.calls("lvcreate")


def snapshots(made: Site) -> dict[tuple[str, str | None, str], dict]:
    said = output(*with_ours(made.bench, made.bench.server_program, "snapshots", "--json"))
    return {(one["export"], one["host"], one["name"]): one for one in json.loads(said)["snapshots"]}


@test("a snapshot of an export in use has its state; restore gives it back, keeps the state of before, and waits for the client")
def snapshot(bench: Bench) -> None:
    made = site(bench)
    path = bench.folder / "run/provision.sock"

    def run(command: str, *words: str, status: int = 0) -> str:
        return output(bench.server_program, command, *words, "--socket", path, status=status)

    refused = run("snapshot", "disk", "one", status=2)
    assert "the client cannot freeze its file system for a snapshot; add --no-freeze" in refused and not made.calls("lvcreate"), refused
    for name in ("One", "../x", "a b", "-a", "a" * 41, ""):
        assert "" != run("snapshot", "disk", name, "--no-freeze", status=2), name
    assert read_and_mark(made, "127.0.1.1", "disk") == GOLDEN[:16]
    made.change("vg0/disk", attr="Vwi-aotz--")
    assert "made vg0/disk+snap-one as a snapshot of vg0/disk" in run("snapshot", "disk", "one", "--no-freeze")
    assert "vg0/disk+snap-one exists already" in run("snapshot", "disk", "one", "--no-freeze", status=1)
    created = made.calls("lvcreate")[-1]
    assert created[created.index("--setactivationskip") + 1] == "y" and made.calls("lvchange") == [["--activate", "n", "vg0/disk+snap-one"]], created
    listed = snapshots(made)["disk", None, "one"]
    assert listed["volume"] == "vg0/disk+snap-one" and listed["size"] == len(GOLDEN) and not listed["automatic"] and listed["taken"], listed
    assert not snapshots(made).keys() - {("disk", None, "one")}
    with (bench.folder / "dev/vg0/disk").open("r+b") as disk:
        disk.write(b"changed")
    for words in ((), ("--yes",)):
        said = run("restore", "disk", "one", *words, status=1)
        assert "vg0/disk would get the state of" in said or words, said
        assert "vg0/disk is in use; disconnect the host first" in said, said
    assert "waiting until vg0/disk is no longer in use" in run("restore", "disk", "one", "--yes", "--wait=1", status=1)
    made.change("vg0/disk", attr=THIN)
    said = run("restore", "disk", "one")
    assert "vg0/disk would get the state of vg0/disk+snap-one; its state of now would stay as a snapshot before-" in said and not made.calls("lvrename"), said
    assert "shut the host down first" in said, said
    # A client that comes after the look keeps its disk.
    held = made.hold("lvchange", "-")
    with subprocess.Popen([str(word) for word in (bench.server_program, "restore", "disk", "one", "--yes", "--socket", path)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT) as restoring:
        wait_for((bench.folder / "state/held-lvchange--").exists, "LVM to change the volume")
        made.change("vg0/disk", attr="Vwi-aotz--")
        held.unlink()
        assert restoring.stdout is not None
        said = restoring.stdout.read()
    assert restoring.returncode == 1 and "vg0/disk is in use; disconnect the host first" in said, said
    assert not made.calls("lvrename") and made.volumes()["vg0/disk"] | {"attr": ""} == made.volumes()["vg0/disk"] | {"attr": "", "tags": []}
    made.change("vg0/disk", attr=THIN)
    said = run("restore", "disk", "one", "--yes")
    assert "restored vg0/disk from vg0/disk+snap-one; its state of before is the snapshot before-" in said, said
    assert made.content("vg0/disk").startswith(b"127.0.1.1")
    (before,) = (name for _, _, name in snapshots(made) if name.startswith("before-"))
    assert not {"holdfast.replaced", "holdfast.restoring"} & set(made.volumes()[f"vg0/disk+snap-{before}"]["tags"]), made.volumes()
    assert made.volumes()["vg0/disk"]["tags"] == [], made.volumes()
    # The names of the next seconds are taken.
    taken = [f"vg0/disk+snap-{time.strftime('before-%Y%m%d-%H%M%S', time.gmtime(time.time() + second))}" for second in range(30)]
    others = {name: made.volumes()["vg0/thick"] for name in taken if name not in made.volumes()}
    for name in others:
        bench.file(f"dev/{name}", content=b"other")
    bench.file("state/volumes", content=json.dumps(made.volumes() | others).encode())
    said = run("restore", "disk", before, "--yes")
    assert f"restored vg0/disk from vg0/disk+snap-{before}" in said and said.rstrip().endswith(".2"), said
    assert made.content("vg0/disk").startswith(b"changed")
    assert "would be removed" in run("snapshot", "disk", "one", "--remove") and ("disk", None, "one") in snapshots(made)
    assert "removed vg0/disk+snap-one" in run("snapshot", "disk", "one", "--remove", "--yes")
    assert "vg0/disk has no snapshot one" in run("restore", "disk", "one", "--yes", status=1)


@test("only thin volumes of exports have snapshots, and only snapshots of the same volume are restored and removed")
def snapshot_limits(bench: Bench) -> None:
    made = site(bench)
    path = bench.folder / "run/provision.sock"

    def run(command: str, *words: str, status: int = 1) -> str:
        return output(bench.server_program, command, *words, "--socket", path, status=status)

    assert "vg0/thick is not a volume of a thin pool, and only these have snapshots" in run("snapshot", "root-own", "a", "--no-freeze")
    assert "is no logical volume" in run("snapshot", "file", "a", "--no-freeze")
    assert "no export of this name" in run("snapshot", "vg0/disk", "a", "--no-freeze")
    assert "the export has one volume for all clients; omit --host" in run("snapshot", "disk", "a", "--no-freeze", "--host", "127.0.1.1")
    assert "name the host" in run("snapshot", "thin", "a", "--no-freeze")
    assert "vg0/thin-127.0.1.1 does not exist" in run("snapshot", "thin", "a", "--no-freeze", "--host", "127.0.1.1")
    read_and_mark(made, "127.0.1.1", "thin")
    assert "made vg0/thin-127.0.1.1+snap-a" in run("snapshot", "thin", "a", "--no-freeze", "--host", "127.0.1.1", status=0)
    assert ("thin", "127.0.1.1", "a") in snapshots(made)
    # A volume of the administrator with the name of a snapshot.
    bench.file("dev/vg0/disk+snap-mine", content=GOLDEN)
    bench.file("state/volumes", content=json.dumps(made.volumes() | {"vg0/disk+snap-mine": {
        "size": len(GOLDEN), "attr": THIN, "tags": ["holdfast.snapshot=mine", "holdfast.snapshot_of=other"], "pool": "pool"}}).encode())
    for words in (("restore", "disk", "mine", "--yes"), ("snapshot", "disk", "mine", "--remove", "--yes")):
        assert "vg0/disk has no snapshot mine" in run(*words)
    assert "vg0/disk+snap-mine" in made.volumes() and not made.calls("lvrename") and not made.calls("lvremove")
    made.change("vg0/thin-127.0.1.1", tags=["mine"])
    assert "was not made for this host" in run("restore", "thin", "a", "--yes", "--host", "127.0.1.1")


@test("automatic snapshots are kept by count and by age, and no other snapshot is removed for them")
def snapshot_kept(bench: Bench) -> None:
    made = site(bench)
    path = bench.folder / "run/provision.sock"

    def run(*words: str, status: int = 0) -> str:
        return output(bench.server_program, "snapshot", "disk", *words, "--socket", path, status=status)

    assert "--automatic: missing --keep or --keep-days" in run("--automatic", "--no-freeze", status=2)
    assert "need --automatic" in run("one", "--no-freeze", "--keep", "1", status=2)
    assert "the number must be" in run("--automatic", "--no-freeze", "--keep", "x", status=2)
    run("mine", "--no-freeze")
    names = []
    for _ in range(3):
        said = run("--automatic", "--no-freeze", "--keep", "2")
        names.append(said.split("+snap-")[1].split()[0])
        age = [tag for tag in made.volumes()[f"vg0/disk+snap-{names[-1]}"]["tags"] if tag.startswith("holdfast.taken=")]
        assert len(age) == 1 and names[-1].startswith("auto-"), made.volumes()
        wait_for(lambda: time.strftime("auto-%Y%m%d-%H%M%S", time.gmtime()) > names[-1], "the next second")
    assert {name for _, _, name in snapshots(made)} == {"mine", *names[1:]}, snapshots(made)
    # A snapshot that is mounted keeps no other from its end, nor the new one from being made.
    made.change(f"vg0/disk+snap-{names[1]}", attr="Vwi-aotz-k")
    said = run("--automatic", "--no-freeze", "--keep", "1")
    assert f"vg0/disk+snap-{names[1]} was not removed: lvremove: Logical volume vg0/disk+snap-{names[1]} in use." in said, said
    assert f"removed vg0/disk+snap-{names[2]}" in said, said
    made.change(f"vg0/disk+snap-{names[1]}", attr="Vwi---tz-k")
    names[2] = said.split("+snap-")[1].split()[0]
    wait_for(lambda: time.strftime("auto-%Y%m%d-%H%M%S", time.gmtime()) > names[2], "the next second")
    volume = made.volumes()[f"vg0/disk+snap-{names[1]}"]
    tags = [tag for tag in volume["tags"] if not tag.startswith("holdfast.taken=")]
    made.change(f"vg0/disk+snap-{names[1]}", tags=[*tags, f"holdfast.taken={int(time.time()) - 3 * 86400}"])
    tags = made.volumes()["vg0/disk+snap-mine"]["tags"]
    made.change("vg0/disk+snap-mine", tags=[tag if not tag.startswith("holdfast.taken=") else "holdfast.taken=1" for tag in tags])
    said = run("--automatic", "--no-freeze", "--keep-days", "2")
    assert f"removed vg0/disk+snap-{names[1]}" in said, said
    left = {name for _, _, name in snapshots(made)}
    assert len(left) == 3 and {"mine", names[2]} < left, left


@test("a restore that was killed is finished by the next request; a host is never given a new volume in the place of its own")
def restore_killed(bench: Bench) -> None:
    made = site(bench)
    path = bench.folder / "run/provision.sock"
    read_and_mark(made, "127.0.1.1", "thin")
    output(bench.server_program, "snapshot", "thin", "a", "--no-freeze", "--host", "127.0.1.1", "--socket", path)
    with (bench.folder / "dev/vg0/thin-127.0.1.1").open("r+b") as disk:
        disk.write(b"changed")
    held = made.hold("lvrename", "thin-127.0.1.1+new")
    with subprocess.Popen([str(word) for word in (bench.server_program, "restore", "thin", "a", "--host", "127.0.1.1", "--yes", "--socket", path)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT) as restoring:
        wait_for((bench.folder / "state/held-lvrename-thin-127.0.1.1+new").exists, "the second renaming")
        assert "vg0/thin-127.0.1.1" not in made.volumes()
        for pid in descendants(made.provision.pid):
            os.kill(pid, signal.SIGKILL)
        made.provision.wait()
        assert restoring.wait() == 1
    held.unlink()
    made.provision = start_provision(bench)
    bench.servers.append(Server(made.provision, 0, bench.folder / "provision.log"))
    before = made.volumes()
    for command in (("restore", "thin", "a", "--host", "127.0.1.1"), ("volumes", "reset", "127.0.1.1", "--export", "thin")):
        said = output(bench.server_program, *command, "--socket", path)
        assert "vg0/thin-127.0.1.1 would" in said and made.volumes() == before, "a request that only says has changed a volume"
    assert read_and_mark(made, "127.0.1.1", "thin").startswith(b"127.0.1.1")
    assert len(made.calls("lvcreate")) == 3, made.calls("lvcreate")
    # The next request about snapshots makes the replaced volume one.
    (old,) = (name for name in made.volumes() if "+snap-before-" in name)
    assert "holdfast.replaced" in made.volumes()[old]["tags"], made.volumes()
    output(bench.server_program, "snapshot", "thin", "b", "--no-freeze", "--host", "127.0.1.1", "--socket", path)
    tags = made.volumes()[old]["tags"]
    assert "holdfast.snapshot_of=thin-127.0.1.1" in tags and not {"holdfast.replaced", "holdfast.host=127.0.1.1"} & set(tags), tags
    assert ("thin", "127.0.1.1", old.split("+snap-")[1]) in snapshots(made) and len(snapshots(made)) == 3
    # Ended before the first renaming, and then reset: the volume is golden, not the snapshot.
    state = made.volumes()
    state["vg0/thin-127.0.1.1+new"] = dict(state["vg0/thin-127.0.1.1"], tags=[*state["vg0/thin-127.0.1.1"]["tags"], "holdfast.restoring"])
    bench.file("dev/vg0/thin-127.0.1.1+new", content=b"snapshot" * 1024)
    bench.file("state/volumes", content=json.dumps(state).encode())
    output(bench.server_program, "volumes", "reset", "127.0.1.1", "--export", "thin", "--yes", "--socket", path)
    assert made.content("vg0/thin-127.0.1.1") == GOLDEN and "vg0/thin-127.0.1.1+new" not in made.volumes()


@test("a restore that was ended before it has made the new volume gives the host its volume back at the next connection")
def restore_ended_early(bench: Bench) -> None:
    made = site(bench)
    path = bench.folder / "run/provision.sock"
    read_and_mark(made, "127.0.1.1", "thin")
    output(bench.server_program, "snapshot", "thin", "a", "--no-freeze", "--host", "127.0.1.1", "--socket", path)
    tags = made.volumes()["vg0/thin-127.0.1.1"]["tags"]
    held = made.hold("lvcreate", "-")
    with subprocess.Popen([str(word) for word in (bench.server_program, "restore", "thin", "a", "--host", "127.0.1.1", "--yes", "--socket", path)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT) as restoring:
        wait_for((bench.folder / "state/held-lvcreate--").exists, "LVM to make the volume")
        assert made.volumes()["vg0/thin-127.0.1.1"]["attr"][4] == "-", "a client could open the volume that is replaced"
        for pid in descendants(made.provision.pid):
            os.kill(pid, signal.SIGKILL)
        made.provision.wait()
        assert restoring.wait() == 1
    held.unlink()
    made.provision = start_provision(bench)
    bench.servers.append(Server(made.provision, 0, bench.folder / "provision.log"))
    assert read_and_mark(made, "127.0.1.1", "thin").startswith(b"127.0.1.1")
    assert made.volumes()["vg0/thin-127.0.1.1"]["tags"] == tags and len(made.calls("lvcreate")) == 2, made.volumes()


@test("a failure of LVM is not taken for a system without snapshots")
def lvs_fails(bench: Bench) -> None:
    made = site(bench)
    assert snapshots(made) == {}
    lvs = bench.file("sbin/lvs", content=b"#!/bin/sh\necho '  VG vg0 is damaged.' >&2\nexit 5\n")
    for words in (("--json",), ()):
        said = output(*with_ours(bench, bench.server_program, "snapshots", *words), status=1)
        assert said == "holdfast-server snapshots: lvs: VG vg0 is damaged.\n", said
    volumes = (bench.server_program, "volumes", "--socket", bench.folder / "status.sock")
    said = output(*with_ours(bench, *volumes, "--prometheus"), status=1)
    assert "lvs: VG vg0 is damaged.; logical volumes are missing" in said and "holdfast_volume_" not in said, said
    lvs.unlink()
    said = output(*with_ours(bench, bench.server_program, "snapshots"), status=1)
    assert said == "holdfast-server snapshots: lvs: not found; install lvm2\n", said
