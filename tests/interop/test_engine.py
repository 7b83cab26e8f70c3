"""Many requests at a time: each gets its own answer, none waits for another's disk, client or memory."""
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import MIB, Bench, Server, free_port, memory, output, wait_for
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, answer, claim, dial, ended, enter, entered, go, receive

FLUSH, FUA = 3, 1
PAGE = 4096


def request(command: int, cookie: int, offset: int = 0, length: int = 0, flags: int = 0) -> bytes:
    return struct.pack(">IHHQQI", 0x25609513, flags, command, cookie, offset, length)


def reply(link: socket.socket, wanted: dict[int, int]) -> tuple[int, bytes]:
    """The next reply and its data; `wanted`: how many bytes follow the reply of a cookie."""
    magic, error, cookie = struct.unpack(">IIQ", receive(link, 16))
    assert (magic, error) == (0x67446698, 0), (hex(magic), error, cookie)
    return cookie, receive(link, wanted[cookie])


def tracer(bench: Bench, disk: Path, *inject: str, config: str = "") -> Server:
    """Our server with calls that are delayed or fail, as strace's inject= says it."""
    port = free_port()
    path = bench.file("traced.conf", content=f"[generic]\nlistenaddr = 127.0.0.1\nport = {port}\n{config}"
                                             f"[disk]\nexportname = {disk}\n".encode())
    words = [word for one in inject for word in ("-e", f"inject={one}")]
    return bench.start(port, "strace", "-D", "-f", "-q", "-o", bench.folder / "trace", "-E", "ASAN_OPTIONS=detect_leaks=0",
                       "-e", "trace=" + ",".join(one.split(":")[0] for one in inject), *words, bench.server_program,
                       "--foreground", "--config", path)


def with_disk(server: Server) -> int:
    """How many of the server's threads are in pwritev2."""
    assert os.uname().machine == "x86_64", "another number of pwritev2 is wanted here"
    found = 0
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        try:
            found += (task / "syscall").read_text().split()[0] == "328"
        except OSError:
            pass  # the thread has ended
    return found


@test("engine: reads and writes of every size in flight at once, small memory or large, each get their own answer")
def mixed(bench: Bench) -> None:
    size = 8 * MIB
    for budget in (0, 256 * MIB):
        disk = bench.random_file("disk", size)
        shadow = bytearray(disk.read_bytes())
        server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nbuffermemory = {budget}\n"
                                    f"[disk]\nexportname = {disk}\n")
        source = random.Random(budget)
        with enter(server, None) as link:
            for _ in range(8):
                # Each has a range of its own: what overlaps may happen in any order.
                stop, out, wanted, expected = 0, b"", {}, {}
                for cookie in range(60):
                    length = source.choice((1, 511, 512, 4096, 4096, 4096, 16384, 65536, 131072, 131073, 400_000))
                    offset = stop + source.choice((0, 0, 1, 4096))
                    stop = offset + length
                    if stop > size:
                        break
                    wanted[cookie] = 0
                    expected[cookie] = b""
                    if source.random() < 0.5:
                        wanted[cookie] = length
                        expected[cookie] = bytes(shadow[offset:stop])
                        out += request(0, cookie, offset, length)
                    else:
                        data = source.randbytes(length)
                        shadow[offset:stop] = data
                        out += request(1, cookie, offset, length, source.choice((0, 0, FUA))) + data
                    if source.random() < 0.05:
                        wanted[cookie + 1000] = 0
                        expected[cookie + 1000] = b""
                        out += request(FLUSH, cookie + 1000)
                exchange(link, out, wanted, expected)
            wanted = {1: size}
            exchange(link, request(0, 1, 0, size), wanted, {1: bytes(shadow)})
        assert server.stop() == 0
        assert disk.read_bytes() == shadow


def exchange(link: socket.socket, out: bytes, wanted: dict[int, int], expected: dict[int, bytes]) -> None:
    """Sends all of it and reads all answers, both at once: neither side may be made to wait for the other."""
    got = bytearray()
    total = sum(wanted.values()) + 16 * len(wanted)
    link.setblocking(False)
    end = time.monotonic() + 60
    while len(got) < total:
        assert time.monotonic() < end, f"{len(got)} of {total} bytes came"
        readable, writable, _ = select.select([link], [link] if out else [], [], 1)
        if readable:
            more = link.recv(1 << 20)
            assert more, "the server closed the link"
            got += more
        if writable:
            out = out[link.send(out):]
    link.setblocking(True)
    at = 0
    for _ in wanted:
        magic, error, cookie = struct.unpack_from(">IIQ", got, at)
        assert (magic, error) == (0x67446698, 0), (hex(magic), error, cookie)
        data = bytes(got[at + 16:at + 16 + wanted[cookie]])
        assert data == expected.pop(cookie), f"wrong data for {cookie}"
        at += 16 + len(data)
    assert not expected


@test("engine: without the page cache and without memory to borrow, requests of any number of blocks are carried out in whole blocks")
def whole_blocks(bench: Bench) -> None:
    disk = bench.random_file("disk", 4 * MIB)
    content = bytearray(disk.read_bytes())
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nbuffermemory = 0\n"
                                f"[disk]\nexportname = {disk}\ncache = none\n")
    with enter(server, None) as link, traced(bench, server, "pwritev2,pread64") as trace:
        for pages in (1, 64, 65, 67, 99, 201, 257, 1023):
            length, at = pages * PAGE, (1024 - pages) // 2 * PAGE
            data = os.urandom(length)
            content[at:at + length] = data
            exchange(link, request(1, 1, at, length) + data, {1: 0}, {1: b""})
            exchange(link, request(0, 2, at, length), {2: length}, {2: data})
            # Beside others, which have the memory.
            data = os.urandom(length)
            content[at:at + length] = data
            out = b"".join(request(1, cookie, at, length) + data for cookie in range(4))
            exchange(link, out, dict.fromkeys(range(4), 0), dict.fromkeys(range(4), b""))
    assert disk.read_bytes() == content
    # Blocks of 512 bytes would do on most disks, and those of 4096 are the smallest on some.
    calls = re.findall(r"(?:pread64|pwritev2)\(.*?(?:len=)?(\d+)\}?\]?(?:, 1)?, (\d+)(?:, 0)?(?:\)| <unf)", trace.read_text())
    assert len(calls) > 60, trace.read_text()
    assert all(int(number) % PAGE == 0 for call in calls for number in call), calls


def write_sizes(trace: Path) -> list[int]:
    return [int(count) for count in re.findall(r"pwritev2.* = (\d+)$", trace.read_text(), re.MULTILINE)]


@test("engine: clients that announce writes and stall, or dribble, keep memory from no other export or address, nor for long from their own")
def stalled_writers(bench: Bench) -> None:
    """The others' writes of 1 MiB show it: where there is memory, the disk gets each of them whole."""
    server = bench.serve(config="[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nstatussocket = none\nbuffermemory = "
                                f"{16 * MIB}\n" + "".join(
                                    f"[{name}]\nexportname = {bench.file(name, 8 * MIB)}\ncache = none\n" for name in "ab"))

    def enter_from(address: str, name: bytes) -> socket.socket:
        link = socket.create_connection(("127.0.0.1", server.port), 60, (address, 0))
        link.sendall(CLIENT_FLAGS + go(name))
        receive(link, 18)
        entered(link)
        return link

    links, dribbled = [], 0
    with traced(bench, server, "pwritev2") as trace, enter_from("127.0.0.2", b"b") as other, \
            enter_from("127.0.0.3", b"a") as same_export, enter_from("127.0.0.1", b"b") as same_address:
        def gets_whole_writes(link: socket.socket, fill: bytes) -> bool:
            before = len(write_sizes(trace))
            exchange(link, request(1, 1, 4 * MIB, MIB) + fill * MIB, {1: 0}, {1: b""})
            return MIB in write_sizes(trace)[before:]

        for number in range(72):  # sends nothing, a good part, and all but the last byte
            links.append(enter_from("127.0.0.1", b"a"))
            links[-1].sendall(request(1, 1, 0, 4 * MIB) + bytes((0, MIB + 1, 2 * MIB - 1)[number % 3]))
        # While they may still have it.
        assert gets_whole_writes(other, b"o")
        # What they have is taken back when they stall, and one that dribbles gets no more than it fills.
        for link, fill in ((same_export, b"e"), (same_address, b"a")):
            def whole_beside_dribbling() -> bool:
                nonlocal dribbled
                dribbled += 1
                for one in links:
                    one.sendall(b"d")
                return gets_whole_writes(link, fill)
            wait_for(whole_beside_dribbling, "memory for a whole write")
        assert (bench.folder / "a").read_bytes()[4 * MIB:5 * MIB] == b"e" * MIB
        # They are still served: the rest of their writes comes, and is written.
        for number, link in enumerate(links[:3]):
            link.sendall(b"r" * (4 * MIB - (0, MIB + 1, 2 * MIB - 1)[number] - dribbled))
            assert receive(link, 16) == struct.pack(">IIQ", 0x67446698, 0, 1)
        assert (bench.folder / "a").read_bytes()[4 * MIB - PAGE:4 * MIB] == b"r" * PAGE
        for link in links:
            link.close()


@contextmanager
def traced(bench: Bench, server: Server, calls: str) -> Iterator[Path]:
    """What the server calls within, in the file afterwards; it is killed in the end."""
    said, trace = bench.folder / "strace.log", bench.folder / "trace"
    with said.open("w") as log:
        strace = subprocess.Popen(["strace", "-f", "-o", str(trace), "-e", f"trace={calls}", "-p", str(server.process.pid)],
                                  stderr=log)
    wait_for(lambda: "attached" in said.read_text() or strace.poll() is not None, "strace to attach")
    yield trace
    server.process.kill()
    server.process.wait()
    strace.wait(60)


@test("engine: what was received together is answered together, in one send")
def batches(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.random_file('disk', MIB)}")
    with enter(server, None) as link, traced(bench, server, "sendmsg,sendto") as trace:
        server.signal(signal.SIGSTOP)
        link.sendall(b"".join(request(0, cookie, cookie * PAGE, PAGE) for cookie in range(32)))
        server.signal(signal.SIGCONT)
        assert len(receive(link, 32 * (16 + PAGE))) == 32 * (16 + PAGE)
    sends = re.findall(r"send(?:msg|to)\(.* = (\d+)$", trace.read_text(), re.MULTILINE)
    # The one that the server was stopped before may hold the first request alone.
    assert len(sends) <= 2, sends


@test("engine: a long read from the page cache is sent from there, and one of a file that has shrunk is an error")
def spliced(bench: Bench) -> None:
    disk = bench.random_file("disk", MIB)
    server = bench.serve(f"disk={disk}")
    content = disk.read_bytes()
    places = ((0, 131072), (1, 131072), (4095, 65537), (MIB - 131072, 131072), (MIB - 32769, 32769), (5, 252 * 1024))
    with enter(server, None) as link, traced(bench, server, "splice,preadv2,pread64") as trace:
        # Together, so that they are sent between other replies.
        link.sendall(b"".join(request(0, 2 * at, *place) + request(0, 2 * at + 1, at, 512) for at, place in enumerate(places)))
        wanted = {2 * at: length for at, (_, length) in enumerate(places)} | {2 * at + 1: 512 for at in range(len(places))}
        for _ in wanted.copy():
            cookie, data = reply(link, wanted)
            offset, length = places[cookie // 2] if cookie % 2 == 0 else (cookie // 2, 512)
            assert data == content[offset:offset + length], f"{length} bytes at {offset}"
        os.truncate(disk, MIB // 2)
        link.sendall(request(0, 99, MIB // 2 - 65536, 131072))
        assert struct.unpack(">IIQ", receive(link, 16)) == (0x67446698, 5, 99)
    copied = re.findall(r"pread(?:v2|64)\(.* = (\d+)$", trace.read_text(), re.MULTILINE)
    assert copied and max(int(count) for count in copied) <= 65536, copied
    assert trace.read_text().count("splice(") >= 2 * len(places), "not spliced"


@test("engine: connections share the pipes for their long reads, and ask the page cache once for each")
def shared_pipes(bench: Bench) -> None:
    disk = bench.random_file("disk", MIB)
    server = bench.serve(f"disk={disk}")
    content = disk.read_bytes()
    with connections(server, 20) as links, traced(bench, server, "fcntl,preadv2,splice") as trace:
        for link in links:
            link.sendall(request(0, 1, 0, 131072))
            assert reply(link, {1: 131072}) == (1, content[:131072])
    text = trace.read_text()
    # One, and now and then another: the client may have the reply before its pipe is free again.
    assert 1 <= text.count("F_SETPIPE_SZ") <= 8, text
    assert text.count("splice(") >= 40, text  # two for each read
    # Linux 6.5 has cachestat(2), which strace may not know; older ones are asked for a byte here and there.
    if tuple(int(number) for number in os.uname().release.split(".")[:2]) >= (6, 5):
        assert "preadv2(" not in text, text


@test("engine: a read that waits for the disk holds up neither reads from memory nor writes, and a flush holds up nobody")
def slow_disk(bench: Bench) -> None:
    server = tracer(bench, bench.random_file("disk", MIB), "fdatasync:delay_enter=1000000")
    with enter(server, None) as link:
        link.sendall(request(FLUSH, 1) + request(0, 2, 0, PAGE) + request(1, 3, 0, PAGE) + bytes(PAGE))
        wanted = {1: 0, 2: PAGE, 3: 0}
        order = [reply(link, wanted)[0] for _ in wanted]
        assert order == [2, 3, 1], order
        # One that comes while the disk is busy, too.
        link.sendall(request(FLUSH, 1))
        time.sleep(0.1)
        link.sendall(request(0, 2, 0, PAGE))
        order = [reply(link, wanted)[0] for _ in range(2)]
        assert order == [2, 1], order


@test("engine: many writes to stable storage are with the disk at once")
def parallel(bench: Bench) -> None:
    server = tracer(bench, bench.file("disk", MIB), "pwritev2:delay_enter=2000000")
    with enter(server, None) as link:
        link.sendall(b"".join(request(1, cookie, cookie * PAGE, PAGE, FUA) + bytes(PAGE) for cookie in range(16)))

        wait_for(lambda: with_disk(server) == 16, "all of them to be in pwritev2")
        assert {reply(link, dict.fromkeys(range(16), 0))[0] for _ in range(16)} == set(range(16))


@test("engine: a fence awaits what is with the disk, and drops what has not begun")
def fence_drops(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    server = tracer(bench, disk, "pwritev2:delay_enter=2000000")
    with enter(server, 1) as old:
        # More than there are threads.
        old.sendall(b"".join(request(1, cookie, cookie * PAGE, PAGE, FUA) + b"\xaa" * PAGE for cookie in range(50)))
        wait_for(lambda: with_disk(server) == 32, "all of the volume's threads to be in pwritev2")
        with dial(server) as new:
            new.sendall(CLIENT_FLAGS + claim(2))
            answer(new)
            now = disk.read_bytes()
            assert now[:32 * PAGE] == b"\xaa" * 32 * PAGE, "what was with the disk was not awaited"
            assert now[32 * PAGE:] == bytes(MIB - 32 * PAGE), "what had not begun was done"
            assert ended(old)


@test("engine: a stop answers what was taken up, also what waits for the disk")
def stop_answers(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    server = tracer(bench, disk, "pwritev2:delay_enter=1000000")  # half of the time that a stop has for replies
    with enter(server, None) as link:
        link.sendall(b"".join(request(1, cookie, cookie * PAGE, PAGE, FUA) + b"\xaa" * PAGE for cookie in range(40)))
        wait_for(lambda: with_disk(server) == 32, "all of the volume's threads to be in pwritev2")
        assert server.stop() == 0
        replies = receive(link, 1 << 20)
        # All or most: the server may not have taken up the last ones.
        cookies = {struct.unpack_from(">IIQ", replies, at)[2] for at in range(0, len(replies), 16)}
        assert len(replies) % 16 == 0 and len(cookies) >= 32, len(cookies)
    for cookie in cookies:
        assert disk.read_bytes()[cookie * PAGE:(cookie + 1) * PAGE] == b"\xaa" * PAGE


@contextmanager
def connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    links = [enter(server, None) for _ in range(count)]
    try:
        yield links
    finally:
        for link in links:
            link.close()


@test("engine: a client that asks and does not read stops nobody, and all of them together have the memory that is allowed")
def no_readers(bench: Bench) -> None:
    disk = bench.random_file("disk", 40 * MIB)
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nbuffermemory = {8 * MIB}\n"
                                f"[disk]\nexportname = {disk}\n")
    enter(server, None).close()
    before = memory(server)
    with connections(server, 40) as links:
        for link in links:
            link.sendall(b"".join(request(0, cookie, 0, 32 * MIB) for cookie in range(4)))
        for link in links:  # each of them is being answered, so each has memory
            receive(link, 16 + PAGE)
        grown = memory(server) - before
        # Each has its small piece, and all of them 8 MiB.
        assert grown < 8 * MIB + 40 * (MIB // 2) or "build" != bench.build.name, f"grew by {grown / MIB:.1f} MiB"
        assert output("nbdinfo", "--size", server.uri("disk")).strip() == str(40 * MIB)
        output("nbdcopy", server.uri("disk"), bench.folder / "copy")
        assert (bench.folder / "copy").read_bytes() == disk.read_bytes()
        assert server.stop() == 0


@test("engine: a connection that has been used and is idle costs 16 KiB")
def idle_memory(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.random_file('disk', 8 * MIB)}")
    with connections(server, 8):
        pass
    before = memory(server)
    count = 200
    with connections(server, count) as links:
        for link in links:
            out = request(0, 1, 0, MIB) + request(1, 2, 0, 131072) + bytes(131072)
            link.sendall(out)
            assert len(receive(link, 16 + MIB + 16)) == 32 + MIB
        wait_for(lambda: (memory(server) - before) // count <= 16384 or bench.build.name != "build",
                 f"{(memory(server) - before) // count} bytes a connection to become 16384", 20)
        for link in links[:3]:  # and is as good as new
            link.sendall(request(0, 1, 0, PAGE))
            assert len(receive(link, 16 + PAGE)) == 16 + PAGE


def threads(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


@test("engine: a client that is silent costs no thread, and is served, fenced and let go of as before")
def sleeping(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    most = 2 if bench.build.name == "thread" else 1  # that sanitizer has a thread of its own
    with connections(server, 20) as links, enter(server, 1) as old:
        def all_asleep() -> None:
            wait_for(lambda: threads(server) <= most, f"{threads(server)} threads to become {most}", 20)

        for again in range(2):
            all_asleep()
            for link in links:
                link.sendall(request(0, again, 0, PAGE))
                assert len(receive(link, 16 + PAGE)) == 16 + PAGE
        all_asleep()
        # A request that comes in pieces keeps it awake.
        links[0].sendall(request(1, 7, 0, PAGE)[:20])
        wait_for(lambda: threads(server) > most, "a thread")
        time.sleep(1.5)
        links[0].sendall(request(1, 7, 0, PAGE)[20:] + bytes(PAGE))
        assert reply(links[0], {7: 0}) == (7, b"")
        all_asleep()
        with dial(server) as new:
            new.sendall(CLIENT_FLAGS + claim(2))
            answer(new)
            assert ended(old)
        links.pop().close()
        wait_for(lambda: server.log().count("the client disconnected") == 1, "the end of a sleeping connection")
        all_asleep()
        assert server.stop() == 0
        assert all(ended(link) for link in links)


@test("engine: a client that asks every second or two keeps its thread, and gives it back when it is silent")
def thread_is_kept(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    tasks = Path(f"/proc/{server.process.pid}/task")
    enter(server, None).close()
    most = 2 if bench.build.name == "thread" else 1  # that sanitizer has a thread of its own
    wait_for(lambda: len(os.listdir(tasks)) == most, f"{os.listdir(tasks)} to become {most}", 20)
    before = set(os.listdir(tasks))
    with enter(server, None) as link:
        seen = []
        for again in range(6):
            link.sendall(request(0, again, 0, PAGE))
            assert len(receive(link, 16 + PAGE)) == 16 + PAGE
            seen.append(set(os.listdir(tasks)) - before)
            if again < 3:  # it falls asleep, more slowly each time
                wait_for(lambda: set(os.listdir(tasks)) == before, "the connection to fall asleep", 20)
            else:
                time.sleep(1.5)
        assert len(seen[4]) == 1 and seen[3] == seen[4] == seen[5], seen
        wait_for(lambda: set(os.listdir(tasks)) == before, "the connection to fall asleep", 20)


@test("engine: the idle timeout of an export holds, and a client with something to say is not idle")
def idle_timeout(bench: Bench) -> None:
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n[disk]\ntimeout = 3\n"
                                f"exportname = {bench.file('disk', MIB)}\n")
    with enter(server, None) as link:
        for _ in range(4):
            time.sleep(1.2)
            link.sendall(request(0, 1, 0, PAGE))
            assert len(receive(link, 16 + PAGE)) == 16 + PAGE
        assert ended(link)
    server.wait_for_log("closed: idle for 3 s")


def sleeps(server: Server) -> int:
    """How often the threads that it has now have given up the processor to wait."""
    return sum(int(line.split()[1]) for status in Path(f"/proc/{server.process.pid}/task").glob("*/status")
               for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt_switches"))


@test("engine: small requests of a client that has many in flight are received and answered together: coalesce")
def coalesce(bench: Bench) -> None:
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n"
                                f"[disk]\nexportname = {bench.random_file('disk', MIB)}\nbusypoll = 0\ncoalesce = 1000\n")
    rounds, at_a_time = 20, 6
    wanted = dict.fromkeys(range(32), 512)
    with enter(server, None) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def one_after_the_other(count: int) -> None:
            for cookie in range(count):
                link.sendall(request(0, cookie, 0, 512))
                spin_until = time.perf_counter() + 40e-6
                while time.perf_counter() < spin_until:
                    pass
            for _ in range(count):
                reply(link, wanted)

        def mostly_together() -> bool:
            link.sendall(b"".join(request(0, cookie, 0, 512) for cookie in wanted))
            for _ in wanted:
                reply(link, wanted)
            before = sleeps(server)
            for _ in range(rounds):
                one_after_the_other(at_a_time)
            return sleeps(server) - before < rounds * at_a_time // 2

        wait_for(mostly_together, "requests to be received together")
        one_after_the_other(2)  # fewer than are waited for


@test("engine: a client that sends one request at a time, and is quick, is waited for without sleep: busypoll")
def busy_poll(bench: Bench) -> None:
    assert len(os.sched_getaffinity(0)) > 1, "this wants two processors: with one, nobody is waited for without sleep"
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n"
                                f"[disk]\nexportname = {bench.random_file('disk', MIB)}\nbusypoll = 1000\n")
    requests = 500
    with enter(server, None) as link:
        def mostly_without_sleep() -> bool:
            before = sleeps(server)
            for cookie in range(requests):
                link.sendall(request(0, cookie, 0, 512))
                reply(link, {cookie: 512})
            return sleeps(server) - before < requests // 2

        # Not at once where others have the processors.
        wait_for(mostly_without_sleep, "requests to be waited for without sleep")
