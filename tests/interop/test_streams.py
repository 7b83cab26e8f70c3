"""Both programs when they are started without standard streams, as a careless service manager does it."""
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from bench import ENVIRONMENT, MIB, Bench, answers, free_port, output, wait_for
from harness.registry import test


def without_streams(*command: str | Path) -> list[str]:
    """The command behind a shell that closes descriptors 0 to 2 and becomes it."""
    return ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *(str(word) for word in command)]


def streams(process: int) -> list[str]:
    return [os.readlink(f"/proc/{process}/fd/{stream}") for stream in range(3)]


@test("a client without standard streams does not take their descriptors for its sockets")
def client_without_streams(bench: Bench) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        command = without_streams(bench.client_program, "list", f"nbd://127.0.0.1:{silent.getsockname()[1]}/")
        with subprocess.Popen(command, env=ENVIRONMENT) as client:
            try:
                accepted, _ = silent.accept()  # the client's socket is open, and waits for a greeting
                assert streams(client.pid) == ["/dev/null"] * 3, streams(client.pid)
                accepted.close()
            finally:
                client.kill()


@test("a client that has no standard output fails, as with a full disk behind it")
def client_without_output(bench: Bench) -> None:
    assert subprocess.run(without_streams(bench.client_program, "help"), env=ENVIRONMENT, check=False).returncode == 1


@test("a server without standard streams serves, also in the background, and its sockets are not overwritten")
def server_without_streams(bench: Bench) -> None:
    disk = bench.random_file("disk", MIB)
    for background in (False, True):
        port = free_port()
        pid_file = bench.folder / f"pid-{background}"
        words = [] if background else ["--foreground"]
        started = subprocess.Popen(without_streams(bench.server_program, *words, "--pid-file", pid_file, "--listen",
                                                   f"127.0.0.1:{port}", "--export", f"disk={disk}"), env=ENVIRONMENT)
        try:
            wait_for(lambda: answers(port) and pid_file.exists() or started.poll() not in (None, 0), "the server to listen")
            server = int(pid_file.read_text())
            assert streams(server) == ["/dev/null"] * 3, streams(server)
            if background:
                assert started.wait(timeout=60) == 0
            info = json.loads(output("nbdinfo", "--json", f"nbd://127.0.0.1:{port}/disk"))
            assert info["exports"][0]["export-size"] == MIB, info
        finally:
            if pid_file.exists():
                os.kill(int(pid_file.read_text()), signal.SIGTERM)
            else:
                started.kill()
        if not background:
            assert started.wait(timeout=60) == 0
        wait_for(lambda: not pid_file.exists(), "the end of the server")
