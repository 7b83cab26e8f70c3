"""Acknowledged writes that are lost afterwards: who is told by a FLUSH that fails, how often, and what a restarted server still knows."""
import errno
import fcntl
import os
import signal
import socket
import struct
import termios
from contextlib import ExitStack
from pathlib import Path

from bench import MIB, Bench, Server, output, wait_for
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, FUA, POLICY, answer, claim, dial, ended, enter, entered, flush, go, receive, refused, write

GOOD, EIO, ENOSPC = (struct.pack(">II", 0x67446698, error) for error in (0, errno.EIO, errno.ENOSPC))
OTHER = b"o" * 16


class Disk:
    """A server whose disk fails when it is told to, and which can be started again on the same disk."""

    def __init__(self, bench: Bench, further_exports: str = "") -> None:
        self._bench = bench
        self._further_exports = further_exports
        self._errors = bench.file("errors", content=bytes(2))
        library = bench.folder / "failing_disk.so"
        output("cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("failing_disk.c"), "-ldl")
        asan = os.environ.get("ASAN_OPTIONS", "")
        self._environment = {"LD_PRELOAD": str(library), "FAILING_DISK": str(self._errors),
                             "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0".lstrip(":")}
        bench.file("disk", MIB)
        self.server = self.start()

    def start(self) -> Server:
        self.server = self._bench.serve(environment=self._environment, config=f"""[generic]
listenaddr = 127.0.0.1
port = @PORT@
statussocket = {self._bench.folder}/status.sock
[disk]
exportname = {self._bench.folder}/disk
cache = writeback
{self._further_exports}""")
        return self.server

    def fails(self, of_flush: int = 0, of_write: int = 0) -> None:
        with self._errors.open("r+b") as file:
            file.write(bytes((of_flush, of_write)))


def fua(link: socket.socket) -> bytes:
    link.sendall(write(1, 0, 4096, FUA) + b"\xaa" * 4096)
    return receive(link, 16)[:8]


def wrote(link: socket.socket) -> None:
    link.sendall(write(1, 0, 4096) + b"\xaa" * 4096)
    assert receive(link, 16)[:8] == GOOD


def told(link: socket.socket) -> list[bytes]:
    """Two flushes."""
    return [flush(link)[:8] for _ in range(2)]


def from_host(server: Server, address: str) -> socket.socket:
    """A connection without a session, from another address."""
    link = socket.create_connection(("127.0.0.1", server.port), timeout=60, source_address=(address, 0))
    receive(link, 18)
    link.sendall(CLIENT_FLAGS + go(b"disk"))
    entered(link)
    return link


@test("a write to stable storage that finds no room is nobody's loss but its client's")
def no_room(bench: Bench) -> None:
    disk = Disk(bench)
    for error in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EINVAL):
        with ExitStack() as stack:
            mine, others = (stack.enter_context(enter(disk.server, None)) for _ in range(2))
            wrote(others)
            disk.fails(of_write=error)
            assert fua(mine) not in (GOOD, b""), f"error {error} was not told"
            disk.fails()
            assert told(others) == [GOOD, GOOD], f"error {error}"
            assert told(mine) == [GOOD, GOOD], f"error {error}"
            later = stack.enter_context(enter(disk.server, None))
            assert told(later) == [GOOD, GOOD], f"error {error}"
    assert "may be lost" not in disk.server.log(), disk.server.log()


@test("a write to stable storage that fails with EIO is told to all who wrote: the disk may have dropped its cache, and says so once")
def cache_dropped(bench: Bench) -> None:
    disk = Disk(bench)
    with enter(disk.server, None) as mine, from_host(disk.server, "127.0.0.9") as others:
        wrote(others)
        disk.fails(of_write=errno.EIO)
        assert fua(mine) == EIO
        disk.fails()  # a flush of the whole disk succeeds from here on
        assert told(others) == [EIO, GOOD]


@test("a loss is told once on each connection that was there, also to a session that reconnects, and not to who comes later")
def told_once(bench: Bench) -> None:
    disk = Disk(bench)
    with enter(disk.server, 1) as old, enter(disk.server, None) as nameless:
        wrote(old)
        disk.fails(of_flush=errno.EIO, of_write=errno.EIO)
        assert fua(old) == EIO
        disk.fails()
        # The old connection is fenced, and lets go of the volume; the new one must not find it as good as new.
        with enter(disk.server, 2) as new:
            assert ended(old)
            assert told(new) == [EIO, GOOD]
        with enter(disk.server, 1, session=OTHER) as later, from_host(disk.server, "127.0.0.9") as later_host:
            assert told(later) == told(later_host) == [GOOD, GOOD]
        assert told(nameless) == [EIO, GOOD]
    wait_for(lambda: disk.server.log().count("closed:") == 5, "the server to let go of the volume")
    # What was told has been received.
    with enter(disk.server, 3) as again, enter(disk.server, None) as nameless:
        assert told(again) == told(nameless) == [GOOD, GOOD]


@test("what was lost when the server stopped is told by the next one to who was there")
def lost_at_the_end(bench: Bench) -> None:
    disk = Disk(bench)
    with enter(disk.server, 1) as link, enter(disk.server, None):
        wrote(link)
        disk.fails(of_flush=errno.ENOSPC)
        assert disk.server.stop() == 0
    disk.fails()
    for _ in range(2):  # whoever has not been told is told by the server after the next, too
        server = disk.start()
        with enter(server, 1, session=OTHER) as later, from_host(server, "127.0.0.9") as later_host:
            assert told(later) == told(later_host) == [GOOD, GOOD]
        assert server.stop() == 0
    server = disk.start()
    with enter(server, 2) as link, enter(server, None) as nameless:
        assert told(link) == [ENOSPC, GOOD]
        assert told(nameless) == [ENOSPC, GOOD]
    assert server.stop() == 0
    server = disk.start()
    with enter(server, 3) as link, enter(server, None) as nameless:
        assert told(link) == told(nameless) == [GOOD, GOOD]


@test("a loss that was known when the server was killed is told by the next one, until it is known to be received")
def killed(bench: Bench) -> None:
    disk = Disk(bench)
    with ExitStack() as stack:
        told_of_it, silent = (stack.enter_context(enter(disk.server, 1, session=one * 16)) for one in (b"t", b"s"))
        wrote(told_of_it)
        disk.fails(of_flush=errno.EIO)
        assert flush(told_of_it)[:8] == EIO
        disk.fails()
        assert flush(told_of_it)[:8] == GOOD
        assert flush(told_of_it)[:8] == GOOD  # by now the first reply is acknowledged
        disk.server.signal(signal.SIGKILL)
        disk.server.process.wait()
    server = disk.start()
    with enter(server, 2, session=b"t" * 16) as one, enter(server, 2, session=b"s" * 16) as other:
        assert told(one) == [GOOD, GOOD]
        assert told(other) == [EIO, GOOD]


FLUSH, DISC = (struct.pack(">IHHQQI", 0x25609513, 0, command, 2, 0, 0) for command in (3, 2))


def acknowledged(link: socket.socket, count: int) -> None:
    """So much has reached the client's kernel, and its acknowledgement the server's."""
    wait_for(lambda: struct.unpack("i", fcntl.ioctl(link, termios.FIONREAD, bytes(4)))[0] >= count, "the replies")
    mine, theirs = (f"{struct.unpack('<I', socket.inet_aton(host))[0]:08X}:{port:04X}" for host, port in
                    (link.getsockname(), link.getpeername()))
    wait_for(lambda: any(f"{theirs} {mine} 01 00000000:" in line for line in Path("/proc/net/tcp").read_text().splitlines()),
             "the acknowledgement")


@test("an acknowledgement by the client's kernel is no proof that the client read of a loss: it is told again")
def acknowledged_and_unread(bench: Bench) -> None:
    disk = Disk(bench)
    # What the client sends before the reply is there proves nothing either.
    for generation, (at_once, replies) in enumerate(((FLUSH, 1), (FLUSH * 3, 3), (FLUSH + DISC, 1)), 1):
        session = bytes([generation]) * 16
        link = enter(disk.server, 1, session=session)
        nameless = from_host(disk.server, f"127.0.0.{generation + 20}")
        wrote(link)
        wrote(nameless)
        disk.fails(of_flush=errno.EIO)
        with enter(disk.server, generation, session=OTHER) as other:
            assert flush(other)[:8] == EIO
        disk.fails()
        for one in (link, nameless):
            one.sendall(at_once)
            if DISC not in at_once:
                acknowledged(one, 16 * replies)
                one.close()
        wait_for(lambda: disk.server.log().count(" closed:") == disk.server.log().count(" connected ("), "the links to end")
        link.close()
        nameless.close()
        with enter(disk.server, 2, session=session) as link, from_host(disk.server, f"127.0.0.{generation + 20}") as nameless:
            assert told(link) == told(nameless) == [EIO, GOOD], at_once
        with enter(disk.server, 3, session=session) as link, from_host(disk.server, f"127.0.0.{generation + 20}") as nameless:
            assert told(link) == told(nameless) == [GOOD, GOOD], at_once


@test("a client that disconnects in order after it was told of a loss is not told again")
def told_and_disconnected(bench: Bench) -> None:
    disk = Disk(bench)
    with enter(disk.server, 1) as link, from_host(disk.server, "127.0.0.9") as nameless:
        wrote(link)
        wrote(nameless)
        disk.fails(of_flush=errno.EIO)
        for one in (link, nameless):
            assert flush(one)[:8] == EIO
            disk.fails()
            one.sendall(DISC)
            assert ended(one)
    with enter(disk.server, 2) as link, from_host(disk.server, "127.0.0.9") as nameless:
        assert told(link) == told(nameless) == [GOOD, GOOD]


@test("a claim that is refused does not settle what its session is still to be told")
def refused_claim(bench: Bench) -> None:
    disk = Disk(bench)
    with enter(disk.server, 1) as old, enter(disk.server, None) as nameless:
        wrote(old)
        disk.fails(of_flush=errno.EIO)
        assert flush(nameless)[:8] == EIO
        disk.fails()
    assert refused(disk.server, 1) == POLICY  # an older claim that comes late
    with enter(disk.server, 2) as new:
        assert told(new) == [EIO, GOOD]


@test("a slot that comes first after a loss does not settle what its session wrote from another slot")
def another_slot(bench: Bench) -> None:
    disk = Disk(bench)
    with enter(disk.server, 1, slot=1) as one:
        wrote(one)
        disk.fails(of_flush=errno.EIO)
        with enter(disk.server, None) as nameless:
            assert flush(nameless)[:8] == EIO
        disk.fails()
        with enter(disk.server, 1, slot=0) as first:
            assert told(first) == [EIO, GOOD]


@test("a slot that claims before a loss and enters after it is told of what its session wrote from another slot")
def entered_late(bench: Bench) -> None:
    disk = Disk(bench)
    with dial(disk.server) as first:
        first.sendall(CLIENT_FLAGS + claim(1, slot=0))
        answer(first)
        with enter(disk.server, 1, slot=1) as one:
            wrote(one)
        disk.fails(of_flush=errno.EIO)
        with enter(disk.server, None) as nameless:
            assert flush(nameless)[:8] == EIO
        disk.fails()
        first.sendall(go(b"disk"))
        entered(first)
        assert told(first) == [EIO, GOOD]


@test("a session that comes to a disk by another export, too, is told of what it wrote by the first")
def another_export(bench: Bench) -> None:
    disk = Disk(bench, f"[other]\nexportname = {bench.folder}/disk\ncache = writeback\n")
    with enter(disk.server, 1) as one:
        wrote(one)
        disk.fails(of_flush=errno.EIO)
        with enter(disk.server, None) as nameless:
            assert flush(nameless)[:8] == EIO
        disk.fails()
        with enter(disk.server, 1, name=b"other") as other:
            assert told(other) == [EIO, GOOD]
