"""Disks that run full: with full = wait, writes wait until there is room, and nothing else does; with full = error they fail at once."""
import errno
import json
import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from bench import MIB, Bench, Server, free_port, loop_device, memory, output, wait_for
from harness.registry import test
from nbd_wire import enter, flush, read, receive, write

GOOD, NO_ROOM = (struct.pack(">II", 0x67446698, error) for error in (0, errno.ENOSPC))
WAITS = "has no room, and writes wait for it (full = wait); enlarge its file system, or free space there"
PIECE = 64 << 10


class SmallDisk:
    """A file of 64 MiB on a file system of 2 MiB, in a mount namespace of its own, and a server in that namespace."""

    def __init__(self, bench: Bench, full: str = "wait", generic: str = "", export: str = "") -> None:
        self.bench = bench
        self._folder = bench.folder / "small"
        self._folder.mkdir()
        script = f"mount -t tmpfs -o size=2m none {self._folder} && truncate -s 64M {self._folder}/disk && echo ready && exec cat"
        self._holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout and self._holder.stdout.readline() == b"ready\n"
        self._generic, self._export = generic, export
        self.port = free_port()
        bench.file("other", MIB)
        self.configure(full)
        self.server = self.start()

    def __enter__(self) -> "SmallDisk":
        return self

    def __exit__(self, *_: object) -> None:
        if self.server.process.poll() is None:
            self.server.process.kill()
            self.server.process.wait()
        assert self._holder.stdin
        self._holder.stdin.close()
        self._holder.wait(60)

    def configure(self, full: str) -> None:
        self.bench.file("server.conf", content=f"""[generic]
listenaddr = 127.0.0.1
port = {self.port}
statussocket = {self.bench.folder}/status
{self._generic}
[disk]
exportname = {self._folder}/disk
full = {full}
{self._export}
[other]
exportname = {self.bench.folder}/other
""".encode())

    def start(self) -> Server:
        self.server = self.bench.start(self.port, "nsenter", "--mount", f"--target={self._holder.pid}", "--wd=/", self.bench.server_program,
                                        "--foreground", "--config", self.bench.folder / "server.conf")
        self.server.wait_for_log(" serves ")
        return self.server

    def grow(self) -> None:
        output("nsenter", "--mount", f"--target={self._holder.pid}", "mount", "-o", "remount,size=80m", self._folder)

    def content(self, length: int) -> bytes:
        return Path(f"/proc/{self._holder.pid}/root{self._folder}/disk").read_bytes()[:length]

    def status(self, name: str = "disk") -> dict:
        text = output(self.bench.server_program, "status", "--json", "--socket", self.bench.folder / "status")
        return next(one for one in json.loads(text)["exports"] if one["name"] == name)

    def waiting(self) -> int:
        return self.status()["waiting_for_room"]

    def await_waiting(self, count: int) -> None:
        wait_for(lambda: self.waiting() == count, f"{count} requests to wait:\n{self.server.log()}")


def pattern(at: int) -> bytes:
    return bytes([at % 251 + 1]) * PIECE


def send_writes(link: socket.socket, count: int, flags: int = 0) -> None:
    for at in range(count):
        link.sendall(write(at, at * PIECE, PIECE, flags) + pattern(at))


def replies(link: socket.socket, count: int) -> list[tuple[bytes, int]]:
    """Magic and error, and the cookie, of replies without data."""
    got = [receive(link, 16) for _ in range(count)]
    return [(one[:8], int.from_bytes(one[8:], "big")) for one in got]


def fill(disk: SmallDisk, link: socket.socket, count: int = 48, flags: int = 0) -> set[int]:
    """Send writes of which some find no room; the cookies of those that wait."""
    send_writes(link, count, flags)
    wait_for(lambda: (told := disk.status())["waiting_for_room"] > 0 and
             told["waiting_for_room"] + told["commands"]["write"]["requests"] == count, "all writes to be done or to wait")
    waiting = disk.waiting()
    done = replies(link, count - waiting)
    assert all(head == GOOD for head, _ in done)
    return set(range(count)) - {cookie for _, cookie in done}


@test("with full = wait, writes without room wait while others go on, end well when the disk grows, and last over a restart")
def wait_and_grow(bench: Bench) -> None:
    for flags in (0, 1):  # FUA
        with SmallDisk(bench) as disk, enter(disk.server, None) as link, enter(disk.server, None) as second, \
                enter(disk.server, None, b"other") as other:
            waiting = fill(disk, link, flags=flags)
            assert 8 < len(waiting) < 48
            disk.server.wait_for_log(f"{bench.folder}/small/disk {WAITS}")
            # The same connection, another one of the same disk, another export.
            assert read(link, 0, PIECE) == pattern(0)
            assert flush(link)[:8] == GOOD
            assert read(second, 0, PIECE) == pattern(0)
            second.sendall(write(7, 0, PIECE) + pattern(0))
            assert replies(second, 1) == [(GOOD, 7)]
            other.sendall(write(7, 0, PIECE) + pattern(7))
            assert replies(other, 1) == [(GOOD, 7)]
            assert disk.waiting() == len(waiting), "a write that waits was answered"
            assert f"{len(waiting)} requests wait" in output(bench.server_program, "status", "--socket", bench.folder / "status")
            metrics = output(bench.server_program, "status", "--prometheus", "--socket", bench.folder / "status")
            assert f'holdfast_requests_waiting_for_room{{export="disk"}} {len(waiting)}\n' in metrics
            disk.grow()
            ends = replies(link, len(waiting))
            assert {cookie for _, cookie in ends} == waiting and all(head == GOOD for head, _ in ends), ends
            assert flush(link)[:8] == GOOD
            disk.server.wait_for_log("there is room again, and writes go on after")
            assert disk.waiting() == 0
            assert disk.status()["waited_for_room_total"] == len(waiting)
            assert disk.status()["commands"]["write"]["errors"] == 0
            assert disk.server.log().count(WAITS) == 1
            assert disk.server.stop() == 0
            with enter(disk.start(), None) as again:
                for at in range(48):
                    assert read(again, at * PIECE, PIECE) == pattern(at), at
        os.rmdir(bench.folder / "small")


@test("with full = error, a write without room fails at once")
def fail_at_once(bench: Bench) -> None:
    with SmallDisk(bench, "error") as disk, enter(disk.server, None) as link:
        send_writes(link, 48)
        ends = replies(link, 48)
        assert {head for head, _ in ends} == {GOOD, NO_ROOM}
        assert disk.status()["waited_for_room_total"] == 0


def flood(disk: SmallDisk, link: socket.socket) -> None:
    """Send more writes than the server has memory for; it no longer receives then."""
    link.settimeout(3)
    try:
        send_writes(link, 400)
        raise AssertionError("the server has taken 25 MiB that it cannot write")
    except TimeoutError:
        pass
    assert disk.waiting() > 64
    assert memory(disk.server) < 40 * MIB or disk.bench.build.name != "build"  # a sanitizer needs more


@test("a server with writes that wait for room stops at once, and answers none of them")
def stop(bench: Bench) -> None:
    for send in (fill, flood):
        with SmallDisk(bench) as disk, enter(disk.server, None) as link:
            send(disk, link)
            begun = time.monotonic()
            assert disk.server.stop() == 0
            assert time.monotonic() - begun < 10
            if send == fill:
                assert receive(link, 1) == b""
        os.rmdir(bench.folder / "small")


@test("a fence drops writes that wait for room, and its connection enters at once and overwrites them")
def fence(bench: Bench) -> None:
    with SmallDisk(bench) as disk, enter(disk.server, 1) as link:
        waiting = fill(disk, link)
        begun = time.monotonic()
        with enter(disk.server, 2) as newer:
            assert time.monotonic() - begun < 5
            wait_for(lambda: disk.waiting() == 0, "no write to wait")
            assert receive(link, 1) == b""
            disk.grow()
            for at in sorted(waiting):
                newer.sendall(write(at, at * PIECE, PIECE) + pattern(at + 1))
            assert all(head == GOOD for head, _ in replies(newer, len(waiting)))
            assert flush(newer)[:8] == GOOD
            time.sleep(2.5)  # longer than the longest pause: a write of before would come now
            for at in waiting:
                assert read(newer, at * PIECE, PIECE) == pattern(at + 1), at
        disk.server.wait_for_log("no write waits for room any more, after ")


def taken(disk: SmallDisk) -> int:
    told = disk.status()
    return told["waiting_for_room"] + told["commands"]["write"]["requests"]


@test("a client that leaves takes its waiting writes along")
def leave(bench: Bench) -> None:
    with SmallDisk(bench) as disk, enter(disk.server, None) as link:
        flood(disk, link)
        most = taken(disk)

    def overfill(disk: SmallDisk, link: socket.socket) -> None:
        """Send a bit of a write more than the server has memory for. More would fill its socket, and keep the end out."""
        send_writes(link, most)
        link.sendall(write(most, 0, PIECE) + pattern(0)[:4096])
        wait_for(lambda: taken(disk) == most, "the memory to be used up")

    for send in (fill, overfill):
        os.rmdir(bench.folder / "small")
        with SmallDisk(bench) as disk, enter(disk.server, None) as link:
            send(disk, link)
            link.shutdown(socket.SHUT_WR)
            disk.await_waiting(0)
            disk.server.wait_for_log(": the connection ends")
            disk.grow()
            assert disk.server.stop() == 0


@test("a reload that changes full from wait to error ends the wait with ENOSPC, and one from error to wait goes for connections that exist")
def reload_key(bench: Bench) -> None:
    with SmallDisk(bench) as disk, enter(disk.server, None) as link:
        waiting = fill(disk, link)
        disk.configure("error")
        disk.server.signal(signal.SIGHUP)
        ends = replies(link, len(waiting))
        assert {cookie for _, cookie in ends} == waiting and all(head == NO_ROOM for head, _ in ends)
        assert disk.waiting() == 0
        disk.server.wait_for_log("the last one failed")
        disk.configure("wait")
        disk.server.signal(signal.SIGHUP)
        wait_for(lambda: disk.server.log().count("configuration reloaded") == 2, "the second reload")
        at = max(waiting)
        link.sendall(write(at, at * PIECE, PIECE) + pattern(at))
        disk.await_waiting(1)
        disk.grow()
        assert replies(link, 1) == [(GOOD, at)]


@test("a write in pieces that finds no room waits, and so does one without the page cache")
def pieces(bench: Bench) -> None:
    for generic, export in (("buffermemory = 0", ""), ("", "cache = none")):
        with SmallDisk(bench, generic=generic, export=export) as disk, enter(disk.server, None) as link:
            data = os.urandom(6 * MIB)
            link.settimeout(2)
            sent = 0
            try:
                link.sendall(write(1, 0, len(data)))
                while sent < len(data):
                    sent += link.send(data[sent:sent + PIECE])
            except TimeoutError:
                pass
            disk.await_waiting(1)
            link.settimeout(60)
            disk.grow()
            link.sendall(data[sent:])
            assert replies(link, 1) == [(GOOD, 1)]
            assert flush(link)[:8] == GOOD
            assert disk.content(len(data)) == data
            assert disk.waiting() == 0
        os.rmdir(bench.folder / "small")


@test("zeroes that find no room wait")
def zeroes(bench: Bench) -> None:
    with SmallDisk(bench) as disk, enter(disk.server, None) as link:
        no_hole = 2
        link.sendall(struct.pack(">IHHQQI", 0x25609513, no_hole, 6, 9, 0, 4 * MIB))
        disk.await_waiting(1)
        disk.grow()
        assert replies(link, 1) == [(GOOD, 9)]


@test("--check warns of full = wait for a block device with the page cache, which takes writes without room")
def without_effect(bench: Bench) -> None:
    with loop_device(bench.file("image", MIB)) as device:
        for cache, warned in (("cache = writeback", True), ("cache = writethrough", True), ("", False), ("readonly = true", False)):
            config = bench.file("checked.conf", content=f"[generic]\n[disk]\nexportname = {device}\nfull = wait\n{cache}\n".encode())
            said = output(bench.server_program, "--check", "--config", config)
            assert ("[disk]: full = wait has no effect on a block device with the page cache; set cache = none" in said) == warned, said


class FailingDisk:
    """A server whose writes to stable storage and flushes fail as the test says (failing_disk.c)."""

    def __init__(self, bench: Bench) -> None:
        self._errors = bench.file("errors", content=bytes(2))
        library = bench.folder / "failing_disk.so"
        output("cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("failing_disk.c"), "-ldl")
        asan = os.environ.get("ASAN_OPTIONS", "")
        bench.file("disk", MIB)
        self.server = bench.serve(environment={"LD_PRELOAD": str(library), "FAILING_DISK": str(self._errors),
                                               "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0".lstrip(":")}, config=f"""[generic]
listenaddr = 127.0.0.1
port = @PORT@
statussocket = {bench.folder}/status
[disk]
exportname = {bench.folder}/disk
full = wait
""")

    def fails(self, of_flush: int = 0, of_write: int = 0) -> None:
        with self._errors.open("r+b") as file:
            file.write(bytes((of_flush, of_write)))


@test("a wait for room is no lost write; a flush without room is one, and is answered")
def losses(bench: Bench) -> None:
    disk = FailingDisk(bench)
    with enter(disk.server, None) as link:
        for error in (errno.ENOSPC, errno.EDQUOT):
            disk.fails(of_write=error)
            link.sendall(write(5, 0, 4096, 1) + bytes(4096))
            disk.server.wait_for_log(WAITS)
            disk.fails()
            assert replies(link, 1) == [(GOOD, 5)]
            assert flush(link)[:8] == GOOD
        disk.fails(of_write=errno.EIO)
        link.sendall(write(5, 0, 4096, 1) + bytes(4096))
        assert replies(link, 1)[0][0] != GOOD
        disk.fails()
        assert flush(link)[:8] != GOOD
        assert flush(link)[:8] == GOOD
        disk.fails(of_flush=errno.ENOSPC)
        assert flush(link)[:8] == NO_ROOM
        disk.fails()
        assert flush(link)[:8] == GOOD
