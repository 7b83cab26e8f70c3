"""The server follows its disks: one that grows, shrinks, appears or goes under it. Loop devices stand for logical volumes: the kernel
sends the same notices for both."""
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbd
from bench import MIB, Bench, Server, output, wait_for
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, NEW, answer, claim, dial, enter, go, read, receive, reply, write, wrote


class Disk:
    """Loop device of a file."""
    def __init__(self, bench: Bench, name: str, size: int) -> None:
        self.file = bench.file(name, size)
        self.device = output("losetup", "--find", "--show", self.file).strip()
        # Some other program may have left the device read-only.
        output("blockdev", "--setrw", self.device)

    def resize(self, size: int) -> None:
        os.truncate(self.file, size)
        output("losetup", "--set-capacity", self.device)

    def detach(self) -> None:
        subprocess.run(["losetup", "--detach", self.device], check=False)


@contextmanager
def disk_of(bench: Bench, size: int, name: str = "file") -> Iterator[Disk]:
    disk = Disk(bench, name, size)
    try:
        yield disk
    finally:
        bench.end()  # before the device goes
        disk.detach()


def enter_with_size(server: Server, generation: int | None) -> tuple[socket.socket, int]:
    """Enter transmission, and return the size that the server offers, too."""
    link = dial(server)
    link.sendall(CLIENT_FLAGS)
    if generation is not None:
        link.sendall(claim(generation))
        answer(link)
    link.sendall(go(b"disk"))
    size = -1
    while (got := reply(link))[0] == 3:
        if got[1][:2] == b"\0\0":
            size = struct.unpack(">Q", got[1][2:10])[0]
    assert got[0] == 1, got
    return link, size


def follow_growth(bench: Bench, server: Server, disk: Disk) -> None:
    """The log names a client with a session; all clients keep their connections, and the next one is offered the new size."""
    link, size = enter_with_size(server, 1)
    plain = enter(server, None, name=b"other")
    assert size == 8 * MIB
    link.sendall(write(1, 0, 4096) + NEW * 4096)
    assert wrote(link, 1)
    disk.resize(16 * MIB)
    server.wait_for_log(f"{disk.device} has grown from {8 * MIB} to {16 * MIB} bytes; 127.0.0.1")
    assert server.log().count("uses them after its next probe") == 1, server.log()
    assert read(link, 0, 4096) == NEW * 4096 and read(plain, 0, 512) == bytes(512)
    link.close()
    link, size = enter_with_size(server, 2)
    assert size == 16 * MIB, size
    assert read(link, 12 * MIB, 512) == bytes(512)
    # A further notice concerns nobody who has the new size.
    disk.resize(16 * MIB)
    assert read(link, 0, 4096) == NEW * 4096
    assert server.log().count("has grown") == 1, server.log()


def exports(disk: Disk, bench: Bench) -> tuple[str, str]:
    return f"disk={disk.device}", f"other={bench.file('other', MIB)}"


@test("disk sizes: a disk that grows is named in the log by a notice from the kernel, and offered with its new size to the next connection")
def grows(bench: Bench) -> None:
    with disk_of(bench, 8 * MIB) as disk:
        server = bench.serve(*exports(disk, bench))
        follow_growth(bench, server, disk)
        assert "notices" not in server.log(), server.log()


@test("disk sizes: without the kernel's notices, the server finds out by itself")
def grows_without_notices(bench: Bench) -> None:
    library = bench.folder / "no_netlink.so"
    output("cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("no_netlink.c"), "-ldl")
    asan = os.environ.get("ASAN_OPTIONS", "")
    environment = {"LD_PRELOAD": str(library), "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0".lstrip(":")}
    with disk_of(bench, 8 * MIB) as disk:
        server = bench.serve(*exports(disk, bench), environment=environment)
        server.wait_for_log("checking open disks every second instead")
        follow_growth(bench, server, disk)


@test("disk sizes: in a network of another user namespace, which gets no notices, the server finds out by itself")
def grows_in_a_user_namespace(bench: Bench) -> None:
    path = bench.folder / "socket"
    own = os.readlink("/proc/self/ns/user")
    with disk_of(bench, 8 * MIB) as disk:
        config = bench.file("server.conf", content=f"[generic]\nunixsock = {path}\nstatussocket = none\n[disk]\nexportname = {disk.device}\n".encode())
        log = bench.folder / "log"
        with log.open("wb") as out:
            server = subprocess.Popen(["unshare", "--user", "--net", "sh", "-c", 'read -r mapped && exec "$@"', "sh", bench.server_program,
                                       "--foreground", "--config", config], stdin=subprocess.PIPE, stdout=out, stderr=out)
        try:
            wait_for(lambda: os.readlink(f"/proc/{server.pid}/ns/user") != own, "the user namespace")
            for users in ("uid_map", "gid_map"):
                Path(f"/proc/{server.pid}/{users}").write_text("0 0 65536\n")
            assert server.stdin
            server.stdin.write(b"mapped\n")
            server.stdin.close()
            wait_for(lambda: " serves " in log.read_text() or server.poll() is not None, "the server")
            assert "not sent to this network namespace" in log.read_text(), log.read_text()
            client = nbd.NBD()
            client.connect_uri(f"nbd+unix:///disk?socket={path}")
            disk.resize(9 * MIB)
            wait_for(lambda: f"{disk.device} has grown from {8 * MIB} to {9 * MIB} bytes" in log.read_text(), "growth")
            client.shutdown()
        finally:
            server.terminate()
            server.wait(timeout=60)


@test("disk sizes: a client without a session is named as the one to reconnect when the disk grows")
def no_session(bench: Bench) -> None:
    with disk_of(bench, 8 * MIB) as disk:
        server = bench.serve(f"disk={disk.device}")
        with enter(server, None) as plain:
            disk.resize(9 * MIB)
            server.wait_for_log(f"{disk.device} has grown from {8 * MIB} to {9 * MIB} bytes; reconnect 127.0.0.1")
            assert read(plain, 0, 512) == bytes(512)


@test("disk sizes: a disk that shrinks under a client is an error in the log, once, with the command that mends it")
def shrinks(bench: Bench) -> None:
    with disk_of(bench, 8 * MIB) as disk:
        server = bench.serve(f"disk={disk.device}")
        with enter(server, 1) as link:
            disk.resize(4 * MIB)
            server.wait_for_log(f"{disk.device} has shrunk to {4 * MIB} bytes, although 127.0.0.1")
            server.wait_for_log(f"extend it at once: lvextend -L {8 * MIB}b {disk.device}")
            disk.resize(4 * MIB - 4096)
            server.wait_for_log(f"has shrunk to {4 * MIB - 4096} bytes")
            assert read(link, 0, 512) == bytes(512)
            link.sendall(write(1, 6 * MIB, 4096) + NEW * 4096)
            assert receive(link, 16)[4:8] != bytes(4), "a write beyond the end was acknowledged"
            disk.resize(8 * MIB)
            link.sendall(write(2, 6 * MIB, 4096) + NEW * 4096)
            assert wrote(link, 2)
        assert server.log().count(f"has shrunk to {4 * MIB} bytes") == 1, server.log()


@test("disk sizes: a path that is refused for a new reason is named with it, and not said to be served")
def refused_for_another_reason(bench: Bench) -> None:
    path = bench.folder / "volume"
    server = bench.serve(config="[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n"
                         f"[disk]\nexportname = {path}\n[other]\nexportname = {bench.file('other', MIB)}\n")
    server.wait_for_log(f"[disk]: {path}: stat: No such file or directory")
    with disk_of(bench, 8 * MIB) as disk:
        path.touch()
        disk.resize(9 * MIB)  # the notice
        server.wait_for_log(f"{path} is empty; clients of [disk] are refused")
        server.wait_for_log(f"[disk]: {path}: stat: No such file or directory: no longer so")
    assert "clients are served" not in server.log(), server.log()


@test("disk sizes: a volume that appears is served, and one that goes is one line in the log")
def comes_and_goes(bench: Bench) -> None:
    path = bench.folder / "volume"
    server = bench.serve(config="[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n"
                         f"[disk]\nexportname = {path}\n[other]\nexportname = {bench.file('other', MIB)}\n")
    server.wait_for_log(f"[disk]: {path}")
    with enter(server, None, name=b"other") as other, disk_of(bench, 8 * MIB) as disk:
        path.symlink_to(disk.device)
        server.wait_for_log(f"[disk]: {path}: stat: No such file or directory: no longer so")
        enter(server, 1).close()
        before = server.log().count("clients are refused until")
        path.unlink()
        disk.resize(9 * MIB)  # the notice; udev removes the name of a volume that goes
        wait_for(lambda: server.log().count("clients are refused until") > before, "a line on the volume that is gone")
        assert read(other, 0, 512) == bytes(512)
        assert server.log().count("clients are refused until") == before + 1, server.log()
