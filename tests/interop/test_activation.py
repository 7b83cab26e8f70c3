"""Sockets that are given to the server, as systemd's socket activation does it: by descriptors from 3 on."""
import fcntl
import os
import signal
import socket
import subprocess

from bench import ENVIRONMENT, MIB, Bench, Server, free_port, output, wait_for
from harness.registry import test

# LISTEN_PID is the server's own, which only whoever becomes it can know.
GIVE = 'LISTEN_PID=$$ LISTEN_FDS=$# ; export LISTEN_PID LISTEN_FDS; n=3; for fd; do eval "exec $n<&$fd"; n=$((n + 1)); done; '
CONFIG = """[generic]
port = {port}
listenaddr = {address}
statussocket = none
[disk]
exportname = {disk}
"""


def listening(family: int, address: tuple | str) -> socket.socket:
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind(address)
    made.listen()
    # Above those that the shell gives away.
    high = socket.socket(fileno=fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, 100))
    made.close()
    return high


def command(bench: Bench, sockets: list[socket.socket], *words: str) -> list[str]:
    script = GIVE + f"exec {bench.server_program} " + " ".join(str(word) for word in words)
    return ["bash", "-c", script, "bash", *(str(one.fileno()) for one in sockets)]


def start(bench: Bench, port: int, sockets: list[socket.socket], *words: str) -> Server:
    server = bench.start(port, *command(bench, sockets, "--foreground", *words), descriptors=tuple(s.fileno() for s in sockets))
    server.wait_for_log(" serves ")
    return server


def write_config(bench: Bench, port: int, address: str) -> str:
    return str(bench.file("server.conf", content=CONFIG.format(port=port, address=address,
                                                               disk=bench.file("disk", MIB)).encode()))


@test("a given socket replaces the configuration's of the same address, and clients wait in it while no server runs")
def same_address(bench: Bench) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        config = write_config(bench, port, "127.0.0.1")
        first = start(bench, port, [given], "--config", config)
        assert "on a socket from the service manager" in first.log()
        assert output("nbdinfo", "--size", first.uri("disk")).strip() == str(MIB)
        first.signal(signal.SIGHUP)
        first.wait_for_log("configuration reloaded")
        assert output("nbdinfo", "--size", first.uri("disk")).strip() == str(MIB)
        assert first.stop() == 0
        with socket.create_connection(("127.0.0.1", port), timeout=60) as early:
            start(bench, port, [given], "--config", config)
            assert early.recv(8) == b"NBDMAGIC"


@test("a given socket for all addresses of both families is all that the configuration wants")
def both_families(bench: Bench) -> None:
    with listening(socket.AF_INET6, ("::", 0)) as given:
        port = given.getsockname()[1]
        server = start(bench, port, [given], "--config", write_config(bench, port, ""))
        for host in ("127.0.0.1", "[::1]"):
            assert output("nbdinfo", "--size", f"nbd://{host}:{port}/disk").strip() == str(MIB)
        assert server.stop() == 0


@test("given sockets that the configuration does not speak of serve every export, also after a reload; paths stay")
def further(bench: Bench) -> None:
    path = bench.folder / "nbd.sock"
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as given, listening(socket.AF_UNIX, str(path)) as local:
        port, own = given.getsockname()[1], free_port()
        server = start(bench, port, [given, local], "--config", write_config(bench, own, "127.0.0.1"))
        for again in (False, True):
            if again:
                server.signal(signal.SIGHUP)
                server.wait_for_log("configuration reloaded")
            for uri in (f"nbd://127.0.0.1:{port}/disk", f"nbd://127.0.0.1:{own}/disk", f"nbd+unix:///disk?socket={path}"):
                assert output("nbdinfo", "--size", uri).strip() == str(MIB)
        assert server.stop() == 0
        assert path.exists()


@test("what is given and does not listen, or is another process's, is not taken")
def wrong_ones(bench: Bench) -> None:
    port = free_port()
    config = write_config(bench, port, "127.0.0.1")
    script = "exec 120</dev/null; " + command(bench, [], "--foreground", "--config", config)[2]
    text = output("bash", "-c", script, "bash", "120", status=1)
    assert "descriptor 3" in text, text
    server = bench.start(port, bench.server_program, "--foreground", "--config", config,
                         environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert output("nbdinfo", "--size", server.uri("disk")).strip() == str(MIB)


@test("a daemon takes the given sockets before it leaves its parent")
def daemon(bench: Bench) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        config = write_config(bench, port, "127.0.0.1")
        pid_file = bench.folder / "pid"
        # Returns when clients can connect.
        subprocess.run(command(bench, [given], "--config", config, "--pid-file", str(pid_file)), pass_fds=(given.fileno(),),
                       stdin=subprocess.DEVNULL, check=True, timeout=60, env=ENVIRONMENT)
        pid = int(pid_file.read_text())
        try:
            assert output("nbdinfo", "--size", f"nbd://127.0.0.1:{port}/disk").strip() == str(MIB)
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon to leave")
