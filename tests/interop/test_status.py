"""What a running server tells of itself: to `holdfast-server status`, to Prometheus, to the service manager."""
import json
import re
import signal
import socket
import stat
import struct
import time
import uuid
from pathlib import Path

import nbd
from support import MIB, Bench, Server, output, test, wait_for
from test_hostile import CLIENT_FLAGS, dial, go, option, receive

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
        assert (client["session"], client["slot"], client["generation"]) == (str(mine), 3, 7), client
        assert f"session {mine}, slot 3, generation 7" in status(bench)


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
    assert str(bench.folder / "status") in output(bench.server_program, "status", "-s", bench.folder / "status", status=1)
    assert "--frobnicate" in output(bench.server_program, "status", "--frobnicate", status=2)
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
