"""What a running server tells of itself: to `holdfast-server status`, to Prometheus, to the service manager."""
import json
import os
import re
import signal
import socket
import stat
import struct
import time
import uuid
from pathlib import Path

import nbd
from bench import MIB, Bench, Server, loop_device, output, wait_for
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, dial, go, option, receive

CONFIG = """[generic]
port = @PORT@
listenaddr = 127.0.0.1
statussocket = {socket}
[disk]
exportname = {disk}
[other]
exportname = {disk}
readonly = true
"""


def serve(bench: Bench) -> Server:
    return bench.serve(config=CONFIG.format(socket=bench.folder / "status", disk=bench.file("disk", MIB)))


def status(bench: Bench, *options: str) -> str:
    return output(bench.server_program, "status", "--socket", bench.folder / "status", *options)


def json_status(bench: Bench) -> dict:
    return json.loads(status(bench, "--json"))


def get(path: Path, request: bytes) -> bytes:
    """What the socket answers to these bytes."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60)
        link.connect(str(path))
        link.sendall(request)
        return receive(link, 1 << 24)


@test("the status counts requests, bytes and errors by export and by connection, and keeps those of ended ones")
def counts(bench: Bench) -> None:
    server = serve(bench)
    handle = nbd.NBD()
    handle.set_strict_mode(0)
    handle.connect_uri(server.uri("disk"))
    for i in range(5):
        handle.pwrite(bytes(512), i * 512)
    for i in range(3):
        handle.pread(4096, i * 4096)
    handle.flush()
    try:
        handle.pread(512, 2 * MIB)
        raise AssertionError("a read behind the end succeeded")
    except nbd.Error:
        pass
    told = json_status(bench)
    assert (told["state"], told["pid"], told["connections"]) == ("serving", server.process.pid, 1), told
    disk = next(one for one in told["exports"] if one["name"] == "disk")
    client, = told["clients"]
    for one in (disk, client):
        assert one["commands"]["write"] == {"requests": 5, "errors": 0, "bytes": 2560}, one
        assert one["commands"]["read"] == {"requests": 4, "errors": 1, "bytes": 3 * 4096}, one
        assert one["commands"]["flush"]["requests"] == 1, one
        assert (one["requests"], one["errors"], one["bytes_in"], one["bytes_out"]) == (10, 1, 2560, 12288), one
        assert one["in_flight"] == 0, one
    assert client["peer"].startswith("127.0.0.1:") and client["export"] == "disk" and client["session"] is None, client
    assert disk["connections"] == 1 and disk["path"] == str(bench.folder / "disk")
    text = status(bench)
    assert client["peer"] in text and "10 requests (1 with errors, 0 in flight)" in text, text
    handle.shutdown()
    wait_for(lambda: not json_status(bench)["clients"], "the connection to be gone")
    disk = next(one for one in json_status(bench)["exports"] if one["name"] == "disk")
    assert (disk["connections"], disk["connections_total"], disk["requests"]) == (0, 1, 10), disk


def by_command(one: dict) -> dict[str, tuple[int, int, int]]:
    """What there was: requests, errors, bytes."""
    return {name: (each["requests"], each["errors"], each["bytes"]) for name, each in one["commands"].items() if each["requests"]}


@test("each command is counted, however it is carried out, and refusals are errors")
def every_command(bench: Bench) -> None:
    disk = bench.file("disk", 8 * MIB)
    server = bench.serve(config=CONFIG.format(socket=bench.folder / "status", disk=disk))
    large = bytes(range(256)) * (5 * MIB // 256)
    expected = [{}, {}]
    for structured, counted in zip((True, False), expected):
        handle = nbd.NBD()
        handle.set_strict_mode(0)
        handle.set_request_structured_replies(structured)
        handle.add_meta_context("base:allocation")
        handle.connect_uri(server.uri("disk"))
        handle.pwrite(large, 0)                                  # in pieces
        handle.pwrite(large[:65536], 0)                          # its payload apart
        handle.pwrite(large[:512], 0)                            # from the input
        handle.pwrite(large[:4096], 0, nbd.CMD_FLAG_FUA)         # by a thread of the volume
        counted["write"] = (4, 0, 5 * MIB + 65536 + 512 + 4096)
        for length in (512, 65536, 5 * MIB):                     # copied, from the page cache, in pieces
            assert handle.pread(length, 0) == large[:length]
        assert handle.pread(65536, 6 * MIB) == bytes(65536)      # a hole
        counted["read"] = (4, 0, 512 + 65536 + 5 * MIB + 65536)
        handle.trim(8192, 0)
        handle.zero(4096, 0)
        handle.cache(2048, 0)
        handle.flush()
        counted |= {"trim": (1, 0, 8192), "write_zeroes": (1, 0, 4096), "cache": (1, 0, 2048), "flush": (1, 0, 0)}
        if structured:
            handle.block_status(MIB, 0, lambda *_: 0)
            counted["block_status"] = (1, 0, MIB)
        for name, ask in (("read", lambda: handle.pread(512, 8 * MIB)), ("write", lambda: handle.pwrite(bytes(512), 8 * MIB)),
                          ("trim", lambda: handle.trim(512, 8 * MIB)), ("write_zeroes", lambda: handle.zero(512, 8 * MIB)),
                          ("cache", lambda: handle.cache(512, 8 * MIB))):
            try:
                ask()
                raise AssertionError(f"a {name} behind the end succeeded")
            except nbd.Error:
                requests, errors, moved = counted[name]
                counted[name] = requests + 1, errors + 1, moved
        client, = json_status(bench)["clients"]
        assert by_command(client) == counted, (by_command(client), counted)
        assert client["in_flight"] == 0, client
        handle.shutdown()
        wait_for(lambda: not json_status(bench)["clients"], "the connection to be gone")
    told = next(one for one in json_status(bench)["exports"] if one["name"] == "disk")
    sums = {name: tuple(sum(one.get(name, (0, 0, 0))[i] for one in expected) for i in range(3)) for name in expected[0]}
    assert by_command(told) == sums, (by_command(told), sums)
    assert (told["connections"], told["connections_total"], told["in_flight"]) == (0, 2, 0), told
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(b"disk"))
        receive(link, 20 + 12 + 20)
        link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 99, 1, 0, 0))
        receive(link, 16)
        client, = json_status(bench)["clients"]
        assert by_command(client) == {"other": (1, 1, 0)}, client
    wait_for(lambda: not json_status(bench)["clients"], "the connection to be gone")
    os.truncate(disk, 5 * MIB)  # so that the volume fails within a reply in pieces
    handle = nbd.NBD()
    handle.connect_uri(server.uri("disk"))
    os.truncate(disk, 4 * MIB + 512)
    try:
        handle.pread(5 * MIB, 0)
        raise AssertionError("what is not there was read")
    except nbd.Error:
        client, = json_status(bench)["clients"]
        assert by_command(client) == {"read": (1, 1, 0)}, client
    handle.shutdown()


@test("clients that are turned away are counted by the limit that did it, beside how many there are")
def turned_away(bench: Bench) -> None:
    disk, nobody = bench.file("disk", MIB), bench.file("nobody", content=b"192.0.2.1\n")
    config = CONFIG.replace("[disk]", "maxconnections = 36\nmaxperaddress = {most}\n[closed]\nexportname = {disk}\n"
                            "authfile = {nobody}\n[one]\nexportname = {disk}\nmaxconnections = 1\n[disk]")
    server = bench.serve(config=config.format(socket=bench.folder / "status", disk=disk, nobody=nobody, most=33))

    def link_from(address: str, export: bytes = b"") -> socket.socket:
        link = socket.create_connection(("127.0.0.1", server.port), timeout=60, source_address=(address, 0))
        receive(link, 18)
        if export:
            link.sendall(CLIENT_FLAGS + go(export))
            receive(link, 20)
        return link

    def now() -> tuple[dict[str, int], int, int]:
        told = json_status(bench)
        assert told["maxconnections"] == 36, told
        return {name: count for name, count in told["turned_away"].items() if count}, told["connections"], told["handshakes"]

    links = [link_from("127.0.0.2", b"one")]
    wait_for(lambda: now() == ({}, 1, 0), "the first")
    links.append(link_from("127.0.0.2", b"one"))
    assert now() == ({"export_maxconnections": 1}, 2, 1), now()
    links.pop().close()
    links.append(link_from("127.0.0.3", b"closed"))
    expected = {"export_maxconnections": 1, "authfile": 1}
    wait_for(lambda: now() == (expected, 2, 1), "the refusal by the authfile")
    links += [link_from("127.0.0.2") for _ in range(32)]
    assert now() == (expected, 34, 33), now()
    link_from("127.0.0.2").close()
    expected["maxperaddress"] = 1
    assert now() == (expected, 34, 33), now()
    links.pop(0).close()
    wait_for(lambda: now() == (expected, 33, 33), "the first to be gone")
    for link in links:
        link.close()
    wait_for(lambda: now() == (expected, 0, 0), "all to be gone")
    links = [link_from(address, b"disk") for address in 33 * ["127.0.0.2"] + 3 * ["127.0.0.4"]]
    wait_for(lambda: now() == (expected, 36, 0), "all to be served")
    link_from("127.0.0.5").close()
    expected["maxconnections"] = 1
    assert now() == (expected, 36, 0), now()
    for link in links:
        link.close()


@test("a client that is refused for its export's size is no connection in the status")
def refused_size(bench: Bench) -> None:
    config = CONFIG.format(socket=bench.folder / "status", disk=bench.file("disk", MIB)) + f"filesize = {2 * MIB}\n"
    server = bench.serve(config=config)
    output("nbdinfo", "--size", server.uri("disk"))
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(b"other"))
        server.wait_for_log(f"less than filesize = {2 * MIB}")
        server.wait_for_log("export other: 127.0.0.1")
    assert [one["connections_total"] for one in json_status(bench)["exports"]] == [1, 0]


@test("the status names a connection's session, and what is in flight")
def session(bench: Bench) -> None:
    server = serve(bench)
    mine = uuid.uuid4()
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + option(0x48460001, mine.bytes + struct.pack(">II", 3, 7) + b"disk"))
        receive(link, 20)
        assert json_status(bench)["handshakes"] == 1
        link.sendall(go(b"disk") + struct.pack(">IHHQQI", 0x25609513, 0, 1, 1, 0, 4096) + bytes(100))
        wait_for(lambda: any(one["in_flight"] for one in json_status(bench)["clients"]), "the half-sent write")
        client, = json_status(bench)["clients"]
        assert (client["session"], client["slot"], client["generation"]) == (mine.hex[:8], 3, 7), client
        assert f"session {mine.hex[:8]}, slot 3, generation 7" in status(bench)
        # Whoever knows the whole can fence the connection.
        for words in ((), ("--json",), ("--prometheus",)):
            assert mine.hex[8:] not in status(bench, *words).replace("-", "")


@test("the status is had in Prometheus' format, by the command and by HTTP over the socket")
def prometheus(bench: Bench) -> None:
    server = serve(bench)
    output("nbdinfo", "--size", server.uri("disk"))
    answer = get(bench.folder / "status", b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n") and b"text/plain; version=0.0.4" in head, head
    assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? \d+')
    families = set()
    for text in (body.decode(), status(bench, "--prometheus")):
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                families.add(line.split()[2])
            elif not line.startswith("# HELP "):
                assert sample.fullmatch(line), line
                assert re.match("[a-z_]+", line)[0] in families, line
    assert 'holdfast_requests_total{export="disk",command="read"} ' in body.decode()
    assert get(bench.folder / "status", b"GET /secret HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.0 404 ")
    assert get(bench.folder / "status", b"DELETE /status HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.0 405 ")


@test("askers who say nothing, or too much, keep neither the server nor later askers for long")
def rude_askers(bench: Bench) -> None:
    server = serve(bench)
    path = bench.folder / "status"
    silent = []
    for _ in range(20):
        link = socket.socket(socket.AF_UNIX)
        link.connect(str(path))
        silent.append(link)
    # The server's loop goes on, with the clients that it is there for.
    output("nbdinfo", "--size", server.uri("disk"))

    def answered() -> bool:
        try:
            return get(path, b"GET /status HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 ")
        except OSError:
            return False

    assert not answered(), "there is room for more than a few"
    wait_for(answered, "the silent ones to be dropped")
    for link in silent:
        link.settimeout(60)
        assert receive(link, 1) == b""
        link.close()
    try:
        assert get(path, b"GET /status HTTP/1.0\r\nX: " + b"x" * 100_000) == b""
    except OSError:
        pass
    assert answered()


@test("the status socket is for its owner and group, and a server is found only where there is one")
def socket_mode(bench: Bench) -> None:
    server = serve(bench)
    assert stat.S_IMODE((bench.folder / "status").stat().st_mode) == 0o660
    assert server.stop() == 0
    assert not (bench.folder / "status").exists()
    text = output(bench.server_program, "status", "-s", bench.folder / "status", status=1)
    assert str(bench.folder / "status") in text and "--export" in text, text
    assert "--frobnicate" in output(bench.server_program, "status", "--frobnicate", status=2)
    assert "are mutually exclusive" in output(bench.server_program, "status", "--json", "--prometheus", status=2)
    assert "--prometheus" in output(bench.server_program, "status", "--help")
    bad = CONFIG.format(socket="/nowhere/at/all", disk=bench.folder / "disk").replace("@PORT@", "1")
    config = bench.file("bad.conf", content=bad.replace("port = 1\n", f"port = {server.port}\n").encode())
    text = output(bench.server_program, "--foreground", "--config", config, status=1)
    assert f"{config}:4" in text and "/nowhere/at/all" in text, text


@test("the service manager is told of readiness, reloads with their time, the stop, and that the loop turns")
def notices(bench: Bench) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(bench.folder / "notify"))
        manager.settimeout(60)
        environment = {"NOTIFY_SOCKET": str(bench.folder / "notify"), "WATCHDOG_USEC": "200000"}

        def wait_for_notice(start: str) -> str:
            while True:
                notice = manager.recv(4096).decode()
                if notice.startswith(start):
                    return notice

        server = bench.serve(config=CONFIG.format(socket="none", disk=bench.file("disk", MIB)), environment=environment)
        wait_for_notice("READY=1")
        for _ in range(3):
            wait_for_notice("WATCHDOG=1")
        before = time.monotonic_ns() // 1000
        server.signal(signal.SIGHUP)
        notice = wait_for_notice("RELOADING=1\nMONOTONIC_USEC=")
        assert before <= int(notice.rpartition("=")[2]) <= time.monotonic_ns() // 1000
        wait_for_notice("READY=1")
        wait_for_notice("WATCHDOG=1")
        server.signal(signal.SIGTERM)
        wait_for_notice("STOPPING=1")
        assert server.process.wait(60) == 0
        # Meant for another process: none.
        manager.setblocking(False)
        environment["WATCHDOG_PID"] = "1"
        other = bench.serve(config=CONFIG.format(socket="none", disk=bench.folder / "disk"), environment=environment)
        time.sleep(0.5)
        assert other.stop() == 0
        try:
            while True:
                assert not manager.recv(4096).startswith(b"WATCHDOG"), "WATCHDOG_PID was not looked at"
        except BlockingIOError:
            pass


@test("the volumes are listed with their clients, sizes and who was there last, as a table and as JSON")
def volumes(bench: Bench) -> None:
    server = serve(bench)

    def rows() -> list[dict]:
        found = json.loads(output(bench.server_program, "volumes", "--json", "--socket", bench.folder / "status"))["volumes"]
        assert [row["export"] for row in found] == ["disk", "other"], found
        return found

    for row in rows():
        assert row == {"export": row["export"], "host": None, "session": None, "path": str(bench.folder / "disk"), "volume": None, "size": MIB, "used_percent": None, "golden_of": None,
                       "pool": None, "pool_used_percent": None, "pool_metadata_used_percent": None, "client": None, "connected_since": None, "last_client": None, "last_seen": None}, row
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(b"disk"))
        receive(link, 20)
        client = f"127.0.0.1:{link.getsockname()[1]}"
        wait_for(lambda: rows()[0]["client"] == client, "the client to be listed")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rows()[0]["connected_since"]), rows()
        assert rows()[1]["client"] is None, rows()
        table = output(bench.server_program, "volumes", "--socket", bench.folder / "status").splitlines()
        assert table[0].split()[:3] == ["EXPORT", "HOST", "PATH"] and client in table[1] and table[1].endswith("  now"), table
    wait_for(lambda: rows()[0]["client"] is None, "the client to leave")
    assert rows()[0]["last_client"] == client and rows()[0]["last_seen"] and rows()[1]["last_client"] is None, rows()
    assert "no answer" in output(bench.server_program, "volumes", "--socket", bench.folder / "none", status=1)
    figures = output(bench.server_program, "volumes", "--prometheus", "--socket", bench.folder / "status")
    assert f'holdfast_volume_size_bytes{{export="disk",volume="",pool=""}} {MIB}\n' in figures, figures
    assert "mutually exclusive" in output(bench.server_program, "volumes", "--prometheus", "--json", status=2)
    assert "--jason: unknown option" in output(bench.server_program, "volumes", "--jason", status=2)


@test("the volumes get names and use from lvs, which is run without a shell, and with no variable of the caller's but the language C")
def volumes_of_lvm(bench: Bench) -> None:
    with loop_device(bench.file("volume", MIB)) as device:
        server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nstatussocket = {bench.folder}/status\n"
                             f"[disk]\nexportname = {device}\n")
        number = os.stat(device).st_rdev
        lvs = bench.file("lvs", content=f"""#!/bin/sh
echo "$*" >{bench.folder}/words
tr '\\0' '\\n' </proc/$$/environ >{bench.folder}/variables
echo '  vg0,root,{2 * MIB},12.50,{os.major(number)},{os.minor(number)},pool,,,'
echo '  vg0,pool,{4 * MIB},81.20,-1,-1,,,91.00,'
echo rubbish >&2
""".encode())
        lvs.chmod(0o755)
        trace = bench.folder / "trace"
        # In a mount namespace, where lvs is the only program of /usr/sbin.
        said = output("unshare", "--mount", "sh", "-ec", 'mount -t tmpfs tmpfs /usr/sbin && cp "$1" /usr/sbin/lvs && shift && exec "$@"', "sh", lvs,
                      "strace", "-f", "-o", trace, "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", "trace=execve",
                      bench.server_program, "volumes", "--json", "--socket", bench.folder / "status")
        answer, *warnings = said.splitlines()
        assert warnings == ["holdfast-server: warning: thin pool vg0/pool, data: 81.20% full; run lvextend -L +10G vg0/pool",
                            "holdfast-server: error: thin pool vg0/pool, metadata: 91.00% full; run lvextend --poolmetadatasize +256M vg0/pool"]
        row = json.loads(answer)["volumes"][0]
        assert row["pool_metadata_used_percent"] == 91, row
        assert row["volume"] == "vg0/root" and row["size"] == 2 * MIB and row["used_percent"] == 12.5, row
        assert row["pool"] == "vg0/pool" and row["pool_used_percent"] == 81.2, row
        assert (bench.folder / "words").read_text().startswith("--noheadings --nosuffix --units b --separator , -o vg_name,lv_name,")
        variables = (bench.folder / "variables").read_text().split()
        assert "LC_ALL=C" in variables and not [line for line in variables if line.startswith("PATH=")], variables
        programs = re.findall(r'execve\("([^"]*)"', trace.read_text())
        assert programs[:2] == [str(bench.server_program), "/usr/sbin/lvs"] and not [name for name in programs if name.endswith("/sh")], programs
        assert server.process.poll() is None
