"""Every limit of the server, and what a well-behaved client notices of those who run into them.

Its latency is printed beside each; what is asserted is that all of its requests are answered, and rightly."""
import os
import random
import resource
import signal
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable

from bench import MIB, Bench, Server, opener_of, output, wait_for
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, GREETING, go, option, receive

CONFIG = """[generic]
port = @PORT@
listenaddr = 127.0.0.1
statussocket = none
{generic}
[disk]
exportname = {disk}
{export}
"""


def serve(bench: Bench, generic: str = "", export: str = "") -> Server:
    return bench.serve(config=CONFIG.format(generic=generic, export=export, disk=bench.random_file("disk", MIB)))


def dial(server: Server, address: str = "127.0.0.1", window: int = 0) -> socket.socket:
    """A greeted connection from this address of the loopback network."""
    link = socket.socket()
    link.settimeout(60)
    if window:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    link.bind((address, 0))
    link.connect(("127.0.0.1", server.port))
    assert len(receive(link, GREETING)) == GREETING, "turned away"
    return link


def enter(link: socket.socket) -> socket.socket:
    link.sendall(CLIENT_FLAGS + go(b"disk"))
    assert len(receive(link, 20 + 12 + 20)) == 52, "not let in"
    return link


def request(command: int, cookie: int, offset: int, length: int) -> bytes:
    return struct.pack(">IHHQQI", 0x25609513, 0, command, cookie, offset, length)


class Reader:
    """The well-behaved client: reads small pieces one after the other, compares them, and notes how long each took."""

    def __init__(self, bench: Bench, server: Server) -> None:
        self.content = (bench.folder / "disk").read_bytes()
        self.link = enter(dial(server, "127.0.0.9"))
        self.latencies: list[float] = []
        self.failure: Exception | None = None
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        try:
            while not (self.enough.is_set() and len(self.latencies) >= 100):
                offset = random.randrange(255) * 4096
                began = time.monotonic()
                self.link.sendall(request(0, 1, offset, 4096))
                answer = receive(self.link, 16 + 4096)
                self.latencies.append(time.monotonic() - began)
                assert answer == struct.pack(">IIQ", 0x67446698, 0, 1) + self.content[offset:offset + 4096]
        except Exception as failure:  # told in the test's own thread
            self.failure = failure


def beside(bench: Bench, server: Server, what: str, attack: Callable[[], None]) -> None:
    """Runs the attack beside the well-behaved client."""
    reader = Reader(bench, server)
    reader.thread.start()
    try:
        attack()
    finally:
        reader.enough.set()
        reader.thread.join(60)
    assert not reader.thread.is_alive() and reader.failure is None, f"beside {what}: {reader.failure!r}"
    print(f"      beside {what}: {len(reader.latencies)} reads, median {statistics.median(reader.latencies) * 1e3:.2f} ms, "
          f"longest {max(reader.latencies) * 1e3:.1f} ms")
    reader.link.close()


@test("beside clients that send rubbish, a well-behaved one has all of its answers")
def rubbish(bench: Bench) -> None:
    server = serve(bench)

    def attack() -> None:
        for i in range(200):
            with dial(server) as link:
                if i % 2:
                    enter(link)
                try:
                    link.sendall(os.urandom(4096))
                except OSError:
                    pass

    beside(bench, server, "rubbish", attack)
    server.wait_for_log("the client sent an invalid request header")
    server.wait_for_log("handshake ended")


@test("beside clients that stop in the middle, a well-behaved one has all of its answers, and they are dropped in time")
def stops_in_the_middle(bench: Bench) -> None:
    server = serve(bench, generic="handshaketimeout = 2", export="timeout = 2")

    def attack() -> None:
        links = []
        for i in range(40):
            link = dial(server)
            if i % 2:
                enter(link).sendall(request(1, 1, 0, 65536) + bytes(1000))
            else:
                link.sendall(CLIENT_FLAGS + option(7, b"x" * 10, length=100))
            links.append(link)
        for link in links:
            receive(link, 1 << 20)  # until it is dropped

    beside(bench, server, "clients that stop in the middle", attack)
    server.wait_for_log("handshake ended")
    server.wait_for_log("closed: idle for 2 s (timeout)")


@test("beside a thousand connections from one address, others are let in and served: maxperaddress")
def thousand_connections(bench: Bench) -> None:
    server = serve(bench, generic="maxconnections = 200\nmaxperaddress = 50")
    links = []

    def attack() -> None:
        for _ in range(1000):
            try:
                links.append(enter(dial(server)))
            except (AssertionError, OSError):
                pass

    beside(bench, server, "a thousand connections", attack)
    assert len(links) == 50, f"{len(links)} were let in"
    server.wait_for_log("refused: already 50 connections from its address or IPv6 /64 network (maxperaddress)")
    enter(dial(server, "127.0.0.10")).close()
    # What is free again can be had again.
    links.pop().close()

    def let_in() -> bool:
        try:
            links.append(enter(dial(server)))
        except (AssertionError, OSError):
            return False
        return True

    wait_for(let_in, "the place of the one that left")


@test("maxconnections bounds all addresses together, and this machine's own have no share by default")
def max_connections(bench: Bench) -> None:
    server = serve(bench, generic="maxconnections = 8")
    links = [enter(dial(server)) for _ in range(8)]
    for address in ("127.0.0.1", "127.0.0.11"):
        try:
            dial(server, address)
        except (AssertionError, OSError):
            continue
        raise AssertionError("a ninth connection was greeted")
    server.wait_for_log("refused: too many connections (maxconnections = 8)")
    for link in links:
        link.close()


@test("beside clients that say nothing, a well-behaved one has all of its answers, and they are dropped in time")
def silent(bench: Bench) -> None:
    server = serve(bench, generic="handshaketimeout = 3")

    def attack() -> None:
        links = [dial(server) for _ in range(100)]
        for link in links:
            assert receive(link, 1) == b""

    beside(bench, server, "clients that say nothing", attack)
    server.wait_for_log("handshake ended: not finished after 3 s")


@test("3,000 clients that say nothing cost no thread, and the one that says something is let in beside them")
def silent_thousands(bench: Bench) -> None:
    # They would be waited for until the test has ended.
    server = serve(bench, generic="handshaketimeout = 3600")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    links = []
    for i in range(3007):
        link = socket.socket()
        link.bind((f"127.0.{i % 7}.{i % 97 + 10}", 0))
        link.connect(("127.0.0.1", server.port))
        links.append(link)
    began = time.monotonic()
    with enter(dial(server)) as good:
        print(f"      let in after {(time.monotonic() - began) * 1e3:.0f} ms")
        threads = os.listdir(f"/proc/{server.process.pid}/task")
        assert len(threads) <= 4, f"{len(threads)} threads"
        good.sendall(request(0, 1, 0, 4096))
        assert len(receive(good, 16 + 4096)) == 16 + 4096
    server.wait_for_log("handshake ended: too many clients are in the handshake, and its network has the most")
    for link in links:
        link.close()


@test("a client that asks for an export and then says nothing holds no thread")
def silent_after_info(bench: Bench) -> None:
    server = serve(bench)
    info = option(6, struct.pack(">I", 4) + b"disk" + struct.pack(">H", 0))
    links = [dial(server, f"127.0.0.{i + 10}") for i in range(40)]
    for link in links:
        link.sendall(CLIENT_FLAGS + info)
    for link in links:
        assert len(receive(link, 20 + 12 + 20)) == 52
    wait_for(lambda: len(os.listdir(f"/proc/{server.process.pid}/task")) <= 2, "the threads to end")
    for link in links:  # and the handshake goes on
        link.sendall(info)
        assert len(receive(link, 20 + 12 + 20)) == 52
        link.close()


@test("who is let in is asked once for all, and a hidden name costs the opener as little as one that does not exist")
def no_oracle(bench: Bench) -> None:
    mine, other = bench.file("mine", content=b"127.0.0.2\n"), bench.file("other", content=b"192.0.2.1\n")
    disk = bench.file("disk", MIB)
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nallowlist = true\nstatussocket = none\n"
                                f"[mine]\nexportname = {disk}\nauthfile = {mine}\n"
                                f"[hidden]\nexportname = {disk}\nauthfile = {other}\n")
    opener = opener_of(server)
    with dial(server, "127.0.0.2") as link:
        link.sendall(CLIENT_FLAGS)
        os.kill(opener, signal.SIGSTOP)  # whoever asks it now waits
        answers = []
        for name in (b"hidden", b"nosuch"):
            link.sendall(go(name))
            head = struct.unpack(">QIII", receive(link, 20))
            answers.append((head[2], receive(link, head[3])))
        assert answers[0] == answers[1] and answers[0][0] == 0x80000006, answers
        link.sendall(option(3))
        head = struct.unpack(">QIII", receive(link, 20))
        assert head[2] == 2 and receive(link, head[3])[4:] == b"mine"
        assert struct.unpack(">QIII", receive(link, 20))[2] == 1
        os.kill(opener, signal.SIGCONT)
        link.sendall(go(b"mine"))
        assert len(receive(link, 20 + 12 + 20)) == 52


@test("an address that no authfile allows is closed at accept, and let in as soon as one does")
def closed_at_accept(bench: Bench) -> None:
    mine = bench.file("mine", content=b"127.0.0.2\n")
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nstatussocket = none\n"
                                f"[disk]\nexportname = {bench.file('disk', MIB)}\nauthfile = {mine}\n")
    with socket.socket() as link:
        link.settimeout(60)
        link.bind(("127.0.0.3", 0))
        link.connect(("127.0.0.1", server.port))
        assert receive(link, 1) == b"", "greeted"
    server.wait_for_log(f"refused: no export is available to this client; export disk: the client's address is not in {mine}")
    mine.write_text("127.0.0.3\n")
    enter(dial(server, "127.0.0.3")).close()


@test("beside clients that read nothing of what they asked for, a well-behaved one has all of its answers: stalltimeout")
def reads_nothing(bench: Bench) -> None:
    server = serve(bench, export="stalltimeout = 1")

    def attack() -> None:
        links = [enter(dial(server, window=4096)) for _ in range(8)]
        for link, length in zip(links, 4 * (MIB, 128 << 10)):  # copied, and sent from the page cache
            link.sendall(b"".join(request(0, i, 0, length) for i in range(64 * MIB // length)))
        wait_for(lambda: server.log().count("received nothing of a reply for 1 s (stalltimeout)") == 8, "all to be cut off")
        for link in links:
            link.close()

    beside(bench, server, "clients that read nothing", attack)


@test("a client that takes its replies slowly is not cut off, whether they are copied or sent from the page cache")
def reads_slowly(bench: Bench) -> None:
    # A window of 4096 bytes is opened by half of it at a time, so the server sees something every two seconds.
    server = serve(bench, export="stalltimeout = 4")
    links = [enter(dial(server, window=4096)) for _ in range(2)]
    for link, length in zip(links, (MIB, 128 << 10)):
        link.sendall(b"".join(request(0, i, 0, length) for i in range(16 * MIB // length)))
    began, got = time.monotonic(), 0
    while got < 10_000:  # 1000 bytes a second, so few that the server's kernel does not wake it for them
        time.sleep(0.1)
        wanted = int((time.monotonic() - began) * 1000) - got
        for link in links:
            assert len(receive(link, wanted)) == wanted, "cut off"
        got += wanted
    assert "stalltimeout" not in server.log()
    for link in links:
        link.close()


@test("a flood of refusals leaves few lines in the log, and one says how many are missing")
def flood_of_refusals(bench: Bench) -> None:
    server = serve(bench)
    refused, began = 0, time.monotonic()
    while "suppressed before it)" not in server.log():
        with dial(server) as link:
            link.sendall(CLIENT_FLAGS + go(b"nothere"))
            receive(link, 20)
        refused += 1
        assert refused < 5000, "every refusal has its line"
    lines = server.log().count("127.0.0.1:") - 1  # one names the listening address
    # server/access/log_limit.hh: 32 lines at once and 4 a second; the first of these may come at any moment.
    assert lines <= 33 + 4 * (time.monotonic() - began), f"{lines} lines about {refused} refusals"
    output("nbdinfo", "--size", server.uri("disk"))


@test("each export has its own list of clients, and LIST shows a client those that it may use and no other")
def access(bench: Bench) -> None:
    mine = bench.file("mine", content=b"127.0.0.2, 127.0.0.3   # two\n2001:db8::/32 127.1.0.0/16\n")
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nallowlist = true\nstatussocket = none\n"
                                f"[all]\nexportname = {bench.file('disk', MIB)}\n"
                                f"[mine]\nexportname = {bench.folder}/disk\nauthfile = {mine}\n"
                                f"[nobody]\nexportname = {bench.folder}/disk\nauthfile = {bench.file('nobody')}\n")
    for address, names in (("127.0.0.1", [b"all"]), ("127.0.0.2", [b"all", b"mine"]), ("127.0.0.3", [b"all", b"mine"]),
                           ("127.1.2.3", [b"all", b"mine"]), ("127.0.0.23", [b"all"])):
        with dial(server, address) as link:
            link.sendall(CLIENT_FLAGS + option(3))
            shown = []
            while (head := struct.unpack(">QIII", receive(link, 20)))[2] == 2:  # SERVER, until ACK
                shown.append(receive(link, head[3])[4:])
            assert head[2] == 1 and shown == names, (address, shown)
            # What is not for a client looks to it like what is not there.
            answers = []
            for name in (b"nobody", b"nosuch"):
                link.sendall(go(name))
                reply = struct.unpack(">QIII", receive(link, 20))
                answers.append((reply[2], receive(link, reply[3]).replace(name, b"")))
            assert answers[0] == answers[1], answers
    server.wait_for_log("export nobody: 127.0.0.1:")
