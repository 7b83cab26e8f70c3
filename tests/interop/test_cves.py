"""What has been the undoing of other NBD servers and clients, by the numbers under which it became known: each class of fault
is tried on ours. Under the sanitizers these tests see more than a crash."""
import ctypes
import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbd
from bench import MIB, Bench, Server, memory, output, serves
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, IHAVEOPT, dial, go, option, receive

REPLY_MAGIC = 0x3E889045565A9
ACK, UNSUP, POLICY, INVALID, UNKNOWN, TOO_BIG = 1, 0x80000001, 0x80000002, 0x80000003, 0x80000006, 0x80000009
EXPORT_NAME, LIST, STARTTLS, INFO, GO, STRUCTURED, SESSION = 1, 3, 5, 6, 7, 8, 0x48460001


def reply(link: socket.socket) -> tuple[int, int, bytes]:
    """The next reply of the handshake: which option it answers, its type, its data. All zero when the link has ended."""
    head = receive(link, 20)
    if len(head) < 20:
        return 0, 0, b""
    magic, number, kind, length = struct.unpack(">QIII", head)
    assert magic == REPLY_MAGIC, hex(magic)
    assert length <= 65536, f"a reply of {length} bytes"
    return number, kind, receive(link, length)


def last_reply(link: socket.socket) -> tuple[int, int, bytes]:
    """The one that ends an answer."""
    while (got := reply(link))[1] in (2, 3, SESSION):
        pass
    return got


def named(number: int, name: bytes, length: int | None = None) -> bytes:
    """INFO or GO with a name whose length field may say something else."""
    return option(number, struct.pack(">I", len(name) if length is None else length) + name + struct.pack(">H", 0))


@contextmanager
def hostile_server(*dialogues: bytes) -> Iterator[int]:
    """A port on which the first caller is told the first of these after the greeting, the next one the next."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            for words in dialogues:
                link, _ = listener.accept()
                with link:
                    link.sendall(b"NBDMAGIC" + struct.pack(">QH", IHAVEOPT, 3) + words)
                    receive(link, 1 << 16)

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.join(60)


def one_disk(bench: Bench) -> Server:
    return bench.serve(f"disk={bench.file('disk', MIB)}")


# --- nbd-server ---

@test("CVE-2005-3534, and CVE-2011-0530, which is its return (a buffer of the longest request's size, with no room for the "
      "reply's head): reads and writes around the size of any buffer are whole, longer ones are refused")
def long_requests(bench: Bench) -> None:
    content = os.urandom(MIB) * 34
    server = bench.serve(f"disk={bench.file('disk', content=content)}")
    handle = nbd.NBD()
    handle.set_strict_mode(0)
    handle.connect_uri(server.uri("disk"))
    for size in (MIB, 4 * MIB, 32 * MIB):  # theirs; what one request gets of our memory; the longest that is served
        for length in (size - 32, size - 16, size - 1, size, size + 1, size + 16):
            if length <= 32 * MIB:
                assert handle.pread(length, 512) == content[512:512 + length], length
                handle.pwrite(content[512:512 + length], 512)
                continue
            for ask in (lambda: handle.pread(length, 512), lambda: handle.pwrite(content[512:512 + length], 512)):
                try:
                    ask()
                    raise AssertionError(f"{length} bytes were served")
                except nbd.Error:
                    pass
    handle.shutdown()
    assert (bench.folder / "disk").read_bytes() == content


@test("requests of up to 4 GiB, beyond the longest and beyond the end: none is carried out, no memory is taken for it")
def endless_requests(bench: Bench) -> None:
    server = one_disk(bench)
    before = memory(server)
    for command in (0, 1, 4, 5, 6):
        for length in (0xFFFFFFFF, 0x80000000, (32 << 20) + 1, (32 << 20) + 4096, MIB + 1):
            with dial(server) as link:
                link.sendall(CLIENT_FLAGS + go(b"disk"))
                receive(link, 52)
                link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, command, 7, 512, length))
                if command == 1:  # a payload that is skipped is waited for, and this one does not come
                    link.shutdown(socket.SHUT_WR)
                answer = receive(link, 16)
                assert answer == b"" or struct.unpack(">IIQ", answer)[1] != 0, (command, length)
    serves(server)
    assert memory(server) - before < 64 * MIB


@test("CVE-2013-6410 (an address that matches a part of the authfile's): only the whole address lets in")
def partial_match(bench: Bench) -> None:
    allow = bench.file("allow", content=b"127.0.0.1\n")
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n[disk]\nauthfile = {allow}\n"
                                f"exportname = {bench.file('disk', MIB)}\n")

    def enters(source: str) -> bool:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60, source_address=(source, 0)) as link:
            receive(link, 18)
            link.sendall(CLIENT_FLAGS + go(b"disk"))
            return last_reply(link)[1] == ACK

    for entry, ours, others in (("127.0.0.1", "127.0.0.1", ("127.0.0.10", "127.0.0.11", "127.0.0.100")),
                                ("127.0.0.10", "127.0.0.10", ("127.0.0.1", "127.0.0.101")),
                                ("127.0.0.16/29", "127.0.0.23", ("127.0.0.24", "127.0.0.15", "127.0.0.1"))):
        allow.write_text(f"{entry}\n")
        assert enters(ours), f"{ours} with {entry}"
        for other in others:
            assert not enters(other), f"{other} with {entry}"
    for half in ("127.0.0", "127.0.0.", "127.0.0.1/", "127", "127.0.0.1 /8"):
        allow.write_text(f"{half}\n")
        assert not enters("127.0.0.1"), f"with {half!r}, which is no address"


@test("CVE-2013-7441, CVE-2017-7539, CVE-2017-9524 (leaving, or rubbish, in the middle of the negotiation): nobody else notices")
def leaving(bench: Bench) -> None:
    server = one_disk(bench)
    dialogue = CLIENT_FLAGS + option(LIST) + go(b"nowhere") + go(b"disk")
    for end in range(0, len(dialogue) + 1, 3):
        with dial(server) as link:
            link.sendall(dialogue[:end])
            if end % 2:  # a reset, and not a farewell
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for rubbish in (b"\xff" * 64, CLIENT_FLAGS + b"\0" * 64, CLIENT_FLAGS + option(EXPORT_NAME, b"nowhere"),
                    CLIENT_FLAGS + struct.pack(">QQQ", IHAVEOPT, IHAVEOPT, IHAVEOPT), b"GET / HTTP/1.0\r\n\r\n"):
        with dial(server) as link:
            link.sendall(rubbish)
            assert b"\x25\x60" not in receive(link, 1 << 16)
    serves(server)


@test("CVE-2015-0847 (a deadlock in a signal's handler): signals at every point of a connection stop nothing")
def signals(bench: Bench) -> None:
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n[disk]\nexportname = {bench.file('disk', MIB)}\n")
    for _ in range(40):
        for number in (signal.SIGHUP, signal.SIGCHLD):
            server.signal(number)
        with dial(server) as link:
            server.signal(signal.SIGHUP)
            link.sendall(CLIENT_FLAGS + go(b"disk"))
            server.signal(signal.SIGHUP)
            assert last_reply(link)[1] == ACK
            server.signal(signal.SIGHUP)
    serves(server)
    assert server.stop() == 0


@test("CVE-2022-26495 (a name of 0xffffffff bytes): refused in EXPORT_NAME, INFO and GO, and the sync is kept where it can be")
def endless_name(bench: Bench) -> None:
    server = one_disk(bench)
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS)
        for number in (INFO, GO):
            link.sendall(named(number, b"disk", length=0xFFFFFFFF))
            assert reply(link)[:2] == (number, INVALID)
        link.sendall(go(b"disk"))
        assert last_reply(link)[1] == ACK
    for number in (EXPORT_NAME, INFO, GO):
        with dial(server) as link:
            link.sendall(CLIENT_FLAGS + option(number, b"disk", length=0xFFFFFFFF))
            assert receive(link, 1) == b""
    serves(server)


@test("CVE-2022-26496 (a name longer than its buffer): every length in INFO and GO is held to its option's, and to 4096")
def name_beyond_its_option(bench: Bench) -> None:
    server = one_disk(bench)
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS)
        for number in (INFO, GO):
            for length in (5, 6, 7, 1023, 1024, 4096, 65535, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFA):
                link.sendall(named(number, b"disk", length=length))
                assert reply(link)[:2] == (number, INVALID), length
            for length in (4097, 8192, 65536, (1 << 20) - 6):
                link.sendall(named(number, b"n" * length))
                assert reply(link)[:2] == (number, TOO_BIG), length
    serves(server)


# --- qemu ---

@test("CVE-2017-2630 (a client and the reply to its LIST): names longer than the reply, or than 4096 bytes, end our client well")
def hostile_list(bench: Bench) -> None:
    for said, length in ((b"disk", 0xFFFFFFFF), (b"disk", 5), (b"n" * 4097, 4097), (b"n" * 8000, 8000)):
        data = struct.pack(">I", length) + said
        with hostile_server(struct.pack(">QIII", REPLY_MAGIC, LIST, 2, len(data)) + data) as port:
            text = output(bench.client_program, "list", f"127.0.0.1,{port}", status=4)
            assert "the server lists a name" in text, text


@test("CVE-2017-15118 (an export's name of more than 256 bytes): names of up to 4096 are names, longer ones are refused")
def long_name(bench: Bench) -> None:
    long = "n" * 4096
    server = bench.serve(f"disk={bench.file('disk', MIB)}", f"{long}={bench.file('other', MIB)}")
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS)
        for length in (255, 256, 257, 1024, 3000, 4095):
            link.sendall(named(GO, b"n" * length))
            assert reply(link)[:2] == (GO, UNKNOWN), length
        link.sendall(named(GO, b"n" * 4097))
        assert reply(link)[:2] == (GO, TOO_BIG)
        link.sendall(named(GO, long.encode()))
        assert last_reply(link)[:2] == (GO, ACK)
    for length in (3000, 4095, 4097):
        with dial(server) as link:
            link.sendall(CLIENT_FLAGS + option(EXPORT_NAME, b"n" * length))
            assert receive(link, 1) == b""
    serves(server)


@test("CVE-2017-15119 (options of up to 4 GiB, which are read and thrown away): the link is dropped, unread")
def large_options(bench: Bench) -> None:
    # Whoever would read it all is dropped in the end, too, but not before this.
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nhandshaketimeout = 600\n[disk]\n"
                                f"exportname = {bench.file('disk', MIB)}\n")
    for number in (LIST, STARTTLS, INFO, GO, STRUCTURED, 10, SESSION, 99, 0xFFFFFFFF):
        with dial(server) as link:
            link.sendall(CLIENT_FLAGS + option(number, length=0xFFFFFFFF))
            assert receive(link, 1) == b"", number
    serves(server)


@test("CVE-2020-10761 (an error's text with the client's own long name in it): every text keeps to 4096 bytes")
def long_error(bench: Bench) -> None:
    server = one_disk(bench)
    name = b"n" * 4096
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS)
        for asked in (named(INFO, name), named(GO, name), option(SESSION, bytes(24) + name),
                      option(10, struct.pack(">I", len(name)) + name + struct.pack(">I", 0)),
                      option(9, struct.pack(">I", len(name)) + name + struct.pack(">I", 0))):
            link.sendall(asked)
            number, kind, text = reply(link)
            assert number != 0 and kind & 0x80000000 and len(text) <= 4096, (number, hex(kind), len(text))
    serves(server)


@test("CVE-2024-7409 (a client that keeps its socket open while the server goes): a stop ends, whatever the clients do")
def stop_under_clients(bench: Bench) -> None:
    server = one_disk(bench)
    silent = [dial(server) for _ in range(6)]
    asking = [dial(server) for _ in range(6)]
    inside = [dial(server) for _ in range(6)]
    for link in asking:
        link.sendall(CLIENT_FLAGS + option(LIST)[:10])
    for link in inside:
        link.sendall(CLIENT_FLAGS + go(b"disk"))
        assert last_reply(link)[1] == ACK
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", server.port), timeout=1) as link:
                    link.sendall(CLIENT_FLAGS)
            except OSError:
                pass

    others = [threading.Thread(target=come_and_go) for _ in range(2)]
    for other in others:
        other.start()
    try:
        assert server.stop() == 0
    finally:
        over.set()
        for other in others:
            other.join()
        for link in silent + asking + inside:
            link.close()


# --- nbdkit and libnbd ---

class Opens:
    """Counts how often a file is opened (inotify(7))."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.descriptor >= 0 and libc.inotify_add_watch(self.descriptor, os.fsencode(path), 0x20) >= 0, ctypes.get_errno()

    def count(self) -> int:
        """Since the last call. An event that follows its like is left out, so this is none, or some."""
        try:
            return len(os.read(self.descriptor, 65536)) // 16
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self.descriptor)


@test("CVE-2019-14850 (the back end opened before it is known who asks): a disk is opened for GO, and for who may have it")
def early_open(bench: Bench) -> None:
    disk, allow = bench.file("disk", MIB), bench.file("allow", content=b"127.0.0.1\n")
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nallowlist = true\n[disk]\nauthfile = {allow}\n"
                                f"exportname = {disk}\n[other]\nexportname = {bench.file('other', MIB)}\n")
    opens = Opens(disk)
    try:
        links = [dial(server) for _ in range(4)]
        for link in links[:4]:
            link.sendall(CLIENT_FLAGS + option(LIST) + option(99) + named(GO, b"nowhere"))
            for _ in range(3):
                last_reply(link)
        allow.write_text("127.0.0.2\n")
        links += [dial(server) for _ in range(2)]
        links[4].sendall(CLIENT_FLAGS + named(GO, b"disk"))
        assert last_reply(links[4])[1] in (POLICY, UNKNOWN)
        links[4].sendall(named(INFO, b"disk") + option(SESSION, bytes(24) + b"disk"))
        assert last_reply(links[4])[1] in (POLICY, UNKNOWN) and last_reply(links[4])[1] in (POLICY, UNKNOWN)
        links[5].sendall(CLIENT_FLAGS + option(EXPORT_NAME, b"disk"))
        assert receive(links[5], 1) == b""
        assert opens.count() == 0, "the disk was opened for clients that did not get it"
        allow.write_text("127.0.0.1\n")
        links.append(dial(server))
        links[6].sendall(CLIENT_FLAGS + named(GO, b"disk"))
        assert last_reply(links[6])[1] == ACK
        assert opens.count() > 0, "the disk was not seen to be opened"
        for link in links:
            link.close()
    finally:
        opens.close()


@test("CVE-2019-14851 (options in an order that nobody thought of): none is an assertion's end")
def wrong_order(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}", f"other={bench.file('other', MIB)}")
    session = option(SESSION, bytes(24) + b"disk")
    context = option(10, struct.pack(">I4sII", 4, b"disk", 1, 15) + b"base:allocation")
    pieces = (named(INFO, b"disk"), named(INFO, b"nowhere"), session, context, option(STRUCTURED), option(LIST), option(STARTTLS))
    for first in pieces:
        for second in pieces:
            with dial(server) as link:
                link.sendall(CLIENT_FLAGS + first + second + named(GO, b"other"))
                while (got := last_reply(link))[0] not in (0, GO):
                    pass
                assert got[:2] == (GO, ACK)
                link.sendall(option(LIST) + bytes(28))  # an option where requests are expected: out of sync
                assert receive(link, 1) == b""
    serves(server)


@test("CVE-2021-3716 (plain text before STARTTLS taken for what came under TLS): STARTTLS is refused, and a client of TLS leaves")
def starttls(bench: Bench) -> None:
    server = one_disk(bench)
    with dial(server) as link:
        # All at once, as whoever sits on the line would send it.
        link.sendall(CLIENT_FLAGS + option(STRUCTURED) + option(STARTTLS) + named(GO, b"disk"))
        assert reply(link)[0] == STRUCTURED
        assert reply(link)[:2] == (STARTTLS, UNSUP), "with TLS, all that came before it must be forgotten: see to this test"
        assert last_reply(link)[:2] == (GO, ACK)
    output("nbdinfo", f"nbds://127.0.0.1:{server.port}/disk", status=1)
    serves(server)


@test("CVE-2025-47711, CVE-2025-47712 (the status of very large ranges): every range is answered with what fits into it and into 32 bits")
def large_block_status(bench: Bench) -> None:
    size = 6 << 30
    server = bench.serve(f"disk={bench.file('disk', size)}", f"odd={bench.file('odd', size - 512)}")
    context = struct.pack(">I15s", 15, b"base:allocation")
    for name, last in ((b"disk", size), (b"odd", size - 512)):
        with dial(server) as link:
            link.sendall(CLIENT_FLAGS + option(STRUCTURED) + option(10, struct.pack(">I", len(name)) + name + struct.pack(">I", 1) + context)
                         + named(GO, name))
            while (got := last_reply(link))[0] != GO:
                assert got[0] in (STRUCTURED, 10) and got[1] in (ACK, 4), got
            assert got[1] == ACK
            for flags in (0, 8):
                for offset, length in ((0, 0xFFFFFFFF), (0, 0xFFFFFE00), (512, 0xFFFFF000), (0, 0x80000000), (last - 512, 512),
                                       (last - 0x80000000, 0x80000000), (last - 512, 513), (0, 0), (1 << 63, 0xFFFFFFFF)):
                    link.sendall(struct.pack(">IHHQQI", 0x25609513, flags, 7, 9, offset, length))
                    magic, done, kind, cookie, count = struct.unpack(">IHHQI", receive(link, 20))
                    data = receive(link, count)
                    assert (magic, done, cookie) == (0x668E33EF, 1, 9)
                    if kind != 5:
                        assert kind & 0x8000, kind
                        continue
                    extents = list(struct.iter_unpack(">II", data[4:]))
                    assert 1 <= len(extents) <= 4096 and not (flags and len(extents) > 1)
                    described = sum(extent[0] for extent in extents)
                    assert all(extent[0] > 0 for extent in extents) and described <= last - offset
                    assert not flags or described <= length
    assert output("nbdinfo", "--size", server.uri("disk")).strip() == str(size)


@test("CVE-2023-5215 (a size that becomes negative): our client attaches nothing of 2^63 bytes or more")
def negative_size(bench: Bench) -> None:
    for size in (1 << 63, (1 << 64) - 1, (1 << 64) - 4096):
        info = struct.pack(">HQH", 0, size, 1)
        listed = struct.pack(">QIII", REPLY_MAGIC, LIST, 2, 8) + struct.pack(">I4s", 4, b"disk")
        answers = listed + struct.pack(">QIII", REPLY_MAGIC, LIST, ACK, 0)
        looked = struct.pack(">QIII", REPLY_MAGIC, INFO, 3, len(info)) + info + struct.pack(">QIII", REPLY_MAGIC, INFO, ACK, 0)
        with hostile_server(answers, looked) as port:
            text = output(bench.client_program, "list", "--long", f"127.0.0.1,{port}")
            assert "larger than the largest possible device" in text and str(size) not in text, text
