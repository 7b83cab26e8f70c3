"""Servers on loopback ports, other programs and their output, for the interop tests."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
# nbdsh asks the PATH for its python3, which must be Debian's, with Debian's libnbd.
ENVIRONMENT = os.environ | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


# The kernel gives the outgoing connections of all programs ports from 32768 up (net.ipv4.ip_local_port_range).
OUR_PORTS = range(15000, 32768)
_reservations: list[socket.socket] = []


def free_port() -> int:
    """Return a port of which no other call has returned the number, in this process or in another one that still runs, and which
    no outgoing connection gets: the server may bind the port at any later time."""
    for _ in range(len(OUR_PORTS)):
        port = random.choice(OUR_PORTS)
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0holdfast-test-port-{port}")
            with socket.socket() as ipv4, socket.socket(socket.AF_INET6) as ipv6:
                ipv6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                ipv4.bind(("0.0.0.0", port))
                ipv6.bind(("::", port))
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        return port
    raise AssertionError(f"found no free port from {OUR_PORTS.start} to {OUR_PORTS.stop - 1}")


def output(*command: str | Path, status: int = 0, timeout: float = 120) -> str:
    """Run a program to its end, check its exit status, and return its output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, env=ENVIRONMENT)
    text = done.stdout + done.stderr
    assert done.returncode == status, f"{command} ended with {done.returncode}, not {status}:\n{text}"
    return text


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for an event; the time limit only ends a failing test."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for: {what}"
        time.sleep(0.02)


@contextmanager
def loop_device(path: Path, *options: str, sector: int = 512) -> Iterator[str]:
    """Block device over a file, with logical blocks of `sector` bytes; `options` are those of losetup."""
    device = output("losetup", "--find", "--show", "--sector-size", str(sector), *options, path).strip()
    try:
        if "--read-only" not in options:
            output("blockdev", "--setrw", device)  # another test may have left it read-only
        yield device
    finally:
        # The kernel waits for programs that still have the device open.
        output("losetup", "--detach", device)


@dataclass
class Server:
    """Running server: its process, its port on 127.0.0.1, its log."""
    process: subprocess.Popen[bytes]
    port: int
    log_file: Path

    def uri(self, export: str = "") -> str:
        return f"nbd://127.0.0.1:{self.port}/{export}"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_for_log(self, text: str) -> None:
        wait_for(lambda: text in self.log(), f"{text!r} in the server's log:\n{self.log()}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Send SIGTERM, and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def opener_of(server: Server) -> int:
    """Child process of the server with this name."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")

    def named() -> list[int]:
        return [int(pid) for pid in children.read_text().split() if Path(f"/proc/{pid}/comm").read_text() == "holdfast-opener\n"]

    wait_for(lambda: len(named()) == 1, "the opener")  # the port answers a moment before
    return named()[0]


@dataclass
class Bench:
    """Context of a test: the build flavour, a private folder, and the processes to end afterwards."""
    build: Path
    folder: Path
    servers: list[Server] = field(default_factory=list)
    client_build: Path | None = None  # where our client is, when it is not beside the server

    @property
    def server_program(self) -> Path:
        return self.build / "holdfast-server"

    @property
    def client_program(self) -> Path:
        return (self.client_build or self.build) / "holdfast-client"

    @property
    def netboot_program(self) -> Path:
        return (self.client_build or self.build) / "holdfast-netboot"

    def file(self, name: str, size: int = 0, content: bytes | None = None) -> Path:
        path = self.folder / name
        with path.open("wb") as out:
            if content is not None:
                out.write(content)
            if size:
                out.truncate(size)
        return path

    def random_file(self, name: str, size: int) -> Path:
        return self.file(name, content=os.urandom(size))

    def start(self, port: int, *command: str | Path, environment: dict[str, str] | None = None,
              descriptors: tuple[int, ...] = (), stderr: int | None = None) -> Server:
        """Start a server, and wait until its port answers. Its log goes to a file, or to `stderr`."""
        log_file = self.folder / f"server-{len(self.servers)}.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log if stderr is None else stderr,
                                       env=ENVIRONMENT | (environment or {}), pass_fds=descriptors)
        server = Server(process, port, log_file)
        self.servers.append(server)
        wait_for(lambda: answers(port) or process.poll() is not None, f"{command[0]} to listen")
        assert process.poll() is None, f"{command[0]} ended with {process.returncode}:\n{server.log()}"
        return server

    def serve(self, *exports: str, config: str | None = None, environment: dict[str, str] | None = None) -> Server:
        """Start holdfast-server with `NAME=PATH[,readonly]` exports, or with a configuration in which @PORT@ is its port."""
        port = free_port()
        if config is None:
            words = [word for export in exports for word in ("--export", export)]
            return self.start(port, self.server_program, "--foreground", "--listen", f"127.0.0.1:{port}", *words,
                              environment=environment)
        path = self.file("server.conf", content=config.replace("@PORT@", str(port)).encode())
        server = self.start(port, self.server_program, "--foreground", "--config", path, environment=environment)
        # Its main port may answer a moment before those of its exports do.
        server.wait_for_log(" serves ")
        return server

    def check_calls(self) -> None:
        """Fail if the system call filter refused a call: the filter and the SELinux policy must know all calls needed to serve."""
        lines = [line for server in self.servers for line in server.log().splitlines() if "is not allowed by the filter" in line]
        assert not lines, "\n".join(lines)

    def check_sanitizers(self) -> None:
        """Fail if a sanitizer reported an error: a report alone ends no server, and end() kills the running ones.
        A server that leaves a hung disk behind does not join the threads in it, so thread leaks do not count. The check of virtual
        calls reads memory through a pipe, and reports each call while there is no descriptor for that."""
        blind = re.compile(r".*: runtime error: .* does not point to an object of type .*\n.*\n<memory cannot be printed>\n")
        lines = [line for server in self.servers for line in blind.sub("", server.log()).splitlines()
                 if re.search("Sanitizer: |: runtime error: ", line) and not re.search("thread leak|Sanitizer: reported ", line)]
        assert not lines, "\n".join(lines)

    def end(self) -> None:
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()


def nbd_server(configuration: Path) -> list[str]:
    """The command for a classic nbd-server that ends with the process that runs it. It leaves its parent by itself
    (and in its debug mode serves one client only), so it gets a process namespace that ends with the command."""
    return ["unshare", "--pid", "--fork", "--kill-child", "--", "sh", "-c",
            f"nbd-server -C {configuration} -p {configuration}.pid && exec sleep infinity"]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def bench(build: Path, client_build: Path | None = None, folder: Path | None = None) -> Iterator[Bench]:
    """Create the context in a private folder, inside `folder` or the default folder for temporary files."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-interop-", dir=folder))
    folder.chmod(0o755)
    made = Bench(build, folder, client_build=client_build)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


def serves(server: Server) -> None:
    assert output("nbdinfo", "--size", server.uri("disk")).strip() == str(MIB)
    assert server.process.poll() is None


def memory(server: Server) -> int:
    """Resident memory of the server in bytes."""
    with open(f"/proc/{server.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def nbdsh(uri: str, script: str, **names: str) -> None:
    """Run a script with `h` connected, unless `uri` is empty; `names` become constants of the script."""
    head = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    output("nbdsh", *(("-u", uri) if uri else ()), "-c", head + script)
