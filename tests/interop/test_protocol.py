"""Structured replies, meta contexts, hints and fast zeroes: what others' programs make of them, and every odd case byte by
byte."""
import errno
import json
import os
import struct
from dataclasses import dataclass

from bench import MIB, Bench, Server, nbdsh, output, wait_for
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, dial, option, receive

LIST, INFO, GO, STRUCTURED, LIST_META, SET_META, EXTENDED, SESSION = 3, 6, 7, 8, 9, 10, 11, 0x48460001
ACK, REP_SERVER, REP_INFO, REP_META = 1, 2, 3, 4
UNSUP, INVALID, UNKNOWN, TOO_BIG = 0x80000001, 0x80000003, 0x80000006, 0x80000009
READ, WRITE, TRIM, CACHE, ZEROES, STATUS = 0, 1, 4, 5, 6, 7
FUA, NO_HOLE, DF, REQ_ONE, FAST = 1, 2, 4, 8, 16
DONE = 1
NONE, DATA, HOLE, BLOCK_STATUS, ERROR, ERROR_OFFSET = 0, 1, 2, 5, 0x8001, 0x8002
ALLOCATION = b"base:allocation"
HOLE_STATE = 3


@dataclass
class Reply:
    """One message of the transmission phase: a simple reply (kind None, `data` unread), or a chunk with its payload."""
    kind: int | None
    flags: int
    data: bytes

    def error(self) -> int:
        return struct.unpack(">I", self.data[:4])[0]

    def words(self) -> str:
        """What an error chunk says for a person."""
        length = struct.unpack(">H", self.data[4:6])[0]
        assert len(self.data) == 6 + length + (8 if self.kind == ERROR_OFFSET else 0), self
        return self.data[6:6 + length].decode("ascii")


class Raw:
    """A client that says exactly what it is told to."""

    def __init__(self, server: Server) -> None:
        self.link = dial(server)
        self.link.sendall(CLIENT_FLAGS)
        self.flags = 0

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def ask(self, number: int, data: bytes = b"") -> list[tuple[int, bytes]]:
        """An option, and all replies to it: the last is ACK or an error."""
        self.link.sendall(option(number, data))
        replies = []
        while True:
            head = receive(self.link, 20)
            assert len(head) == 20, "the server closed the connection"
            magic, echoed, kind, length = struct.unpack(">QIII", head)
            assert (magic, echoed) == (0x3E889045565A9, number), head
            replies.append((kind, receive(self.link, length)))
            if kind == ACK or kind & 0x80000000:
                return replies

    def enter(self, name: bytes = b"disk", structured: bool = True, context: bytes | None = None) -> "Raw":
        """Into transmission, with what was asked for."""
        if structured:
            assert self.ask(STRUCTURED) == [(ACK, b"")]
        if context is not None:
            assert self.ask(SET_META, queries(context, ALLOCATION))[-1][0] == ACK
        replies = self.ask(GO, named(name) + struct.pack(">H", 0))
        assert replies[-1][0] == ACK, replies
        self.flags = struct.unpack(">H", replies[0][1][-2:])[0]
        return self

    def send(self, command: int, offset: int = 0, length: int = 0, flags: int = 0, payload: bytes = b"") -> None:
        self.link.sendall(struct.pack(">IHHQQI", 0x25609513, flags, command, 7, offset, length) + payload)

    def reply(self) -> Reply:
        magic = struct.unpack(">I", receive(self.link, 4))[0]
        if magic == 0x67446698:
            return Reply(None, DONE, receive(self.link, 12)[:4])
        assert magic == 0x668E33EF, hex(magic)
        flags, kind, cookie, length = struct.unpack(">HHQI", receive(self.link, 16))
        assert cookie == 7
        return Reply(kind, flags, receive(self.link, length))

    def call(self, command: int, offset: int = 0, length: int = 0, flags: int = 0, payload: bytes = b"") -> list[Reply]:
        """A request and its whole reply."""
        self.send(command, offset, length, flags, payload)
        replies = [self.reply()]
        while not replies[-1].flags & DONE:
            replies.append(self.reply())
        return replies

    def refused(self, *request: int, payload: bytes = b"") -> int:
        """The error of a request."""
        last = self.call(*request, payload=payload)[-1]
        assert last.kind in (None, ERROR), last
        return last.error()

    def extents(self, offset: int, length: int, flags: int = 0) -> list[tuple[int, int]]:
        (only,) = self.call(STATUS, offset, length, flags)
        assert only.kind == BLOCK_STATUS and struct.unpack(">I", only.data[:4]) == (1,), only
        return list(struct.iter_unpack(">II", only.data[4:]))


def named(name: bytes) -> bytes:
    return struct.pack(">I", len(name)) + name


def queries(name: bytes, *all_of_them: bytes) -> bytes:
    return named(name) + struct.pack(">I", len(all_of_them)) + b"".join(named(one) for one in all_of_them)


def sparse(bench: Bench, name: str = "disk", size: int = 8 * MIB) -> bytes:
    """A file with a mebibyte of data at 2 MiB and one at 5 MiB, and holes around them. Returns its content."""
    path = bench.file(name, size)
    with path.open("r+b") as file:
        for at in (2 * MIB, 5 * MIB):
            file.seek(at)
            file.write(os.urandom(MIB))
        os.fsync(file.fileno())
    return path.read_bytes()


MAP = [(0, 2 * MIB, 3), (2 * MIB, MIB, 0), (3 * MIB, 2 * MIB, 3), (5 * MIB, MIB, 0), (6 * MIB, 2 * MIB, 3)]


def served_sparse(bench: Bench) -> tuple[Server, bytes]:
    content = sparse(bench)
    return bench.serve(f"disk={bench.folder / 'disk'}"), content


# --- the programs of others ---

@test("protocol: nbdinfo finds every ability, the context, and the description of an export")
def abilities(bench: Bench) -> None:
    sparse(bench)
    server = bench.serve(config="[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nallowlist = true\n[disk]\n"
                                f"exportname = {bench.folder / 'disk'}\ndescription = Müllers Platte\n")
    info = json.loads(output("nbdinfo", "--no-content", "--json", server.uri("disk")))
    assert info["structured"]
    export = info["exports"][0]
    for ability in ("cache", "df", "fast_zero", "flush", "fua", "multi_conn", "trim", "zero"):
        assert export[f"can_{ability}"], f"{ability} in {export}"
    assert export["description"] == "Müllers Platte"
    assert export["contexts"] == ["base:allocation"]
    assert (export["block_size_minimum"], export["block_size_preferred"]) == (1, 4096)
    for ability in ("cache", "connect", "df", "fast-zero", "flush", "fua", "multi-conn", "trim", "write", "zero",
                    "structured-reply"):
        output("nbdinfo", "--can", ability, server.uri("disk"))
    output("nbdinfo", "--is", "read-only", server.uri("disk"), status=2)
    listed = json.loads(output("nbdinfo", "--list", "--json", server.uri()))["exports"]
    assert [(each["export-name"], each["description"]) for each in listed] == [("disk", "Müllers Platte")]


@test("protocol: nbdinfo --map and qemu-img map see the holes of a file")
def maps(bench: Bench) -> None:
    server, _ = served_sparse(bench)
    extents = json.loads(output("nbdinfo", "--map", "--json", server.uri("disk")))
    assert [(each["offset"], each["length"], each["type"]) for each in extents] == MAP
    assert "75.0%" in output("nbdinfo", "--map", "--totals", server.uri("disk"))
    extents = json.loads(output("qemu-img", "map", "--output=json", "-f", "raw", server.uri("disk")))
    assert [(each["start"], each["length"], 0 if each["data"] else 3) for each in extents] == MAP
    assert all(each["zero"] != each["data"] for each in extents)


@test("protocol: nbdcopy keeps holes on the way out and in, over several connections")
def nbdcopy(bench: Bench) -> None:
    content = sparse(bench)
    bench.file("to", 8 * MIB)
    server = bench.serve(f"disk={bench.folder / 'disk'}", f"to={bench.folder / 'to'}")
    copy = bench.folder / "copy"
    output("nbdcopy", "--connections=4", server.uri("disk"), copy)
    assert copy.read_bytes() == content
    assert copy.stat().st_blocks * 512 < 3 * MIB, copy.stat()
    assert server.log().count("export disk: 127.0.0.1:") >= 4, server.log()
    output("nbdcopy", "--flush", "--request-size=1048576", server.uri("disk"), server.uri("to"))
    to = bench.folder / "to"
    assert to.read_bytes() == content
    assert to.stat().st_blocks * 512 < 3 * MIB, to.stat()


@test("protocol: nbddump shows what is there and skips what is not")
def nbddump(bench: Bench) -> None:
    with bench.file("disk", 64 * MIB).open("r+b") as file:
        file.seek(48 * MIB)
        file.write(b"holdfast, far behind")
    server = bench.serve(f"disk={bench.folder / 'disk'}")
    assert "|holdfast, far be|" in output("nbddump", server.uri("disk"))


@test("protocol: qemu-img copies holes as holes, zeroes fast, compares and measures")
def qemu_img(bench: Bench) -> None:
    content = sparse(bench)
    bench.random_file("to", 8 * MIB)
    server = bench.serve(f"disk={bench.folder / 'disk'}", f"to={bench.folder / 'to'}")
    copy = bench.folder / "copy"
    output("qemu-img", "convert", "-f", "raw", "-O", "raw", server.uri("disk"), copy)
    assert copy.read_bytes() == content and copy.stat().st_blocks * 512 < 3 * MIB
    # -n into random data: zeroes are written, and the target's space is given back.
    output("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", copy, server.uri("to"))
    output("qemu-img", "compare", "-f", "raw", "-F", "raw", server.uri("disk"), server.uri("to"))
    assert (bench.folder / "to").read_bytes() == content
    output("qemu-img", "bench", "-f", "raw", "-c", "256", "-d", "16", "-w", server.uri("to"))


@test("protocol: libnbd's own structured reads, block status, cache and fast zeroes")
def libnbd(bench: Bench) -> None:
    content = sparse(bench)
    server = bench.serve(f"disk={bench.folder / 'disk'}")
    nbdsh("", """
h.add_meta_context("base:allocation")
h.connect_uri(URI)
assert h.get_structured_replies_negotiated() and h.can_meta_context("base:allocation")
content = open(DISK, "rb").read()
chunks = []
def chunk(data, offset, status, error):
    chunks.append((offset, len(data), status))
assert h.pread_structured(8 << 20, 0, chunk) == content
assert {status for _, _, status in chunks} == {nbd.READ_DATA, nbd.READ_HOLE}, chunks
chunks.clear()
assert h.pread_structured(65536, (2 << 20) - 32768, chunk, nbd.CMD_FLAG_DF) == content[(2 << 20) - 32768:][:65536]
assert len(chunks) == 1, chunks
extents = []
h.block_status(8 << 20, 0, lambda context, offset, entries, error: extents.extend(entries))
assert extents[::2] == [2 << 20, 1 << 20, 2 << 20, 1 << 20, 2 << 20] and extents[1::2] == [3, 0, 3, 0, 3], extents
h.cache(8 << 20, 0)
h.zero(1 << 20, 2 << 20, nbd.CMD_FLAG_FAST_ZERO)
h.zero(4096, 5 << 20, nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_NO_HOLE)
assert h.pread(1 << 20, 2 << 20) == bytes(1 << 20)
assert h.pread(8192, 5 << 20) == bytes(4096) + content[(5 << 20) + 4096:][:4096]
""", URI=server.uri("disk"), DISK=str(bench.folder / "disk"))
    assert content != (bench.folder / "disk").read_bytes()


# --- structured replies, byte by byte ---

@test("protocol: a read is one chunk, in parts when it is long, and holes are told as such")
def chunks(bench: Bench) -> None:
    server, content = served_sparse(bench)
    with Raw(server).enter() as raw:
        assert raw.flags & 1 << 7, "DF is not offered"
        (only,) = raw.call(READ, 2 * MIB - 512, 1024)
        assert (only.kind, only.data) == (DATA, struct.pack(">Q", 2 * MIB - 512) + content[2 * MIB - 512:][:1024])
        (only,) = raw.call(READ, 0, 65536)
        assert (only.kind, only.data) == (HOLE, struct.pack(">QI", 0, 65536))
        (only,) = raw.call(READ, 0, 65536, DF)
        assert only.kind in (DATA, HOLE)
        (only,) = raw.call(READ, 3 * MIB - 32768, 65536, DF)
        assert (only.kind, only.data[8:]) == (DATA, content[3 * MIB - 32768:][:65536])
        (only,) = raw.call(READ, 0, 0)
        assert (only.kind, only.data) == (NONE, b"")
        got = bytearray(b"x" * len(content))
        for each in raw.call(READ, 0, len(content)):
            offset = struct.unpack(">Q", each.data[:8])[0]
            if each.kind == DATA:
                got[offset:offset + len(each.data) - 8] = each.data[8:]
            elif each.kind == HOLE:
                size = struct.unpack(">I", each.data[8:])[0]
                got[offset:offset + size] = bytes(size)
            else:
                assert each.kind == NONE, each
        assert got == content
    with Raw(server).enter(structured=False) as raw:
        assert not raw.flags & 1 << 7, "DF is offered to a client without structured replies"
        (only,) = raw.call(READ, 2 * MIB, 512)
        assert only.kind is None and only.error() == 0
        assert receive(raw.link, 512) == content[2 * MIB:][:512]
        assert raw.refused(READ, 0, 512, DF) == errno.EINVAL


@test("protocol: a read that must not be split is one chunk up to the longest, whatever memory there is")
def unfragmented(bench: Bench) -> None:
    content = bench.random_file("disk", 33 * MIB).read_bytes()
    for budget in (0, 256 * MIB):
        server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nbuffermemory = {budget}\n"
                                    f"[disk]\nexportname = {bench.folder / 'disk'}\n")
        with Raw(server).enter() as raw:
            for length in (65536, 256 * 1024 + 1, MIB, 4 * MIB, 32 * MIB):
                (only,) = raw.call(READ, MIB, length, DF)
                assert only.kind == DATA and only.data == struct.pack(">Q", MIB) + content[MIB:MIB + length], length
            assert raw.refused(READ, 0, 32 * MIB + 1, DF) == errno.EINVAL
            assert raw.refused(WRITE, 0, 512, DF, payload=bytes(512)) == errno.EINVAL


@test("protocol: a client that must keep to blocks is told so, asked or not, and one that does not keep to them is told why it fails")
def unasked_block_size(bench: Bench) -> None:
    bench.file("disk", MIB)
    for cache, told in (("none", 1), ("writeback", 0)):
        server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n"
                                    f"[disk]\nexportname = {bench.folder / 'disk'}\ncache = {cache}\n")
        with Raw(server) as raw:
            assert raw.ask(STRUCTURED) == [(ACK, b"")]
            replies = raw.ask(GO, named(b"disk") + struct.pack(">H", 0))
            sizes = [data for kind, data in replies if kind == REP_INFO and data[:2] == struct.pack(">H", 3)]
            assert len(sizes) == told, replies
            if told:
                least = struct.unpack(">HIII", sizes[0])[1]
                assert least in (512, 1024, 2048, 4096), least
                (only,) = raw.call(READ, 1, least)
                assert only.error() == errno.EINVAL and only.words().startswith("offset or length is not a multiple"), only
                server.wait_for_log("set the client's block size, or cache = writeback here")
                (only,) = raw.call(READ, least, least)
                assert only.data[8:] == bytes(least)


@test("protocol: where a long read fails it says at which offset, and the connection goes on")
def error_offset(bench: Bench) -> None:
    content = bench.random_file("disk", 8 * MIB).read_bytes()
    server = bench.serve(f"disk={bench.folder / 'disk'}")
    with Raw(server).enter() as raw:
        os.truncate(bench.folder / "disk", 4 * MIB)
        replies = raw.call(READ, 0, 8 * MIB)
        got = b"".join(each.data[8:] for each in replies if each.kind == DATA)
        assert content.startswith(got)
        assert (replies[-1].kind, replies[-1].error(), replies[-1].words()) == (ERROR_OFFSET, errno.EIO, "Input/output error")
        offset = struct.unpack(">Q", replies[-1].data[-8:])[0]
        assert 0 <= offset <= 8 * MIB and offset >= len(got)
        (only,) = raw.call(READ, 6 * MIB, 512)
        assert (only.kind, only.error(), only.data[-8:]) == (ERROR_OFFSET, errno.EIO, struct.pack(">Q", 6 * MIB))
        (only,) = raw.call(READ, MIB, 512)
        assert only.data[8:] == content[MIB:][:512]


@test("protocol: errors are chunks where structured replies are, and simple replies where they are not")
def errors(bench: Bench) -> None:
    server, _ = served_sparse(bench)
    for structured in (False, True):
        with Raw(server).enter(structured=structured) as raw:
            beyond, unknown = "beyond the end of the export", "the command, or one of its flags, was not offered"
            for request, words in (((READ, 8 * MIB, 1), beyond), ((CACHE, 8 * MIB, 1), beyond), ((99, 0, 0), unknown)):
                (only,) = raw.call(*request)
                assert only.kind == (ERROR if structured else None) and only.error() == errno.EINVAL, only
                assert not structured or only.words() == words, only
            (only,) = raw.call(WRITE, 8 * MIB, 512, payload=bytes(512))
            assert only.error() == errno.ENOSPC
            assert raw.call(CACHE, 0, 4096)[0].kind is None


# --- meta contexts ---

@test("protocol: a block status is the whole range, one extent, or EINVAL, as it was asked")
def block_status(bench: Bench) -> None:
    server, _ = served_sparse(bench)
    with Raw(server).enter(context=b"disk") as raw:
        assert raw.extents(0, 8 * MIB) == [(length, state) for _, length, state in MAP]
        assert raw.extents(0, 8 * MIB, REQ_ONE) == [(2 * MIB, HOLE_STATE)]
        assert raw.extents(MIB, 512, REQ_ONE) == [(512, HOLE_STATE)]
        assert raw.extents(2 * MIB - 1, 2) == [(1, HOLE_STATE), (1, 0)]
        assert raw.extents(8 * MIB - 1, 1) == [(1, HOLE_STATE)]
        for request in ((0, 0), (0, 8 * MIB + 1), (8 * MIB, 1), (1 << 63, 512), (0, 0xFFFFFFFF)):
            assert raw.refused(STATUS, *request) == errno.EINVAL, request
        for flag in (FUA | REQ_ONE, NO_HOLE, DF, FAST, 32, 1 << 15):
            expected = 0 if flag == FUA | REQ_ONE else errno.EINVAL
            if expected:
                assert raw.refused(STATUS, 0, 512, flag) == expected, flag
            else:
                assert raw.extents(0, 512, flag) == [(512, HOLE_STATE)]
        assert raw.refused(READ, 0, 512, REQ_ONE) == errno.EINVAL


@test("protocol: a file in many pieces is told in answers of bounded length, which add up to all of it")
def fragmented(bench: Bench) -> None:
    piece, count = 4096, 1200
    with bench.file("disk", count * piece).open("r+b") as file:
        for at in range(0, count * piece, 2 * piece):
            os.pwrite(file.fileno(), b"x" * piece, at)
        os.fsync(file.fileno())
    server = bench.serve(f"disk={bench.folder / 'disk'}")
    with Raw(server).enter(context=b"disk") as raw:
        at, all_of_them = 0, []
        while at < count * piece:
            extents = raw.extents(at, count * piece - at)
            assert 1 <= len(extents) <= 512
            all_of_them += extents
            at += sum(length for length, _ in extents)
        assert all_of_them == [(piece, 0), (piece, HOLE_STATE)] * (count // 2)


@test("protocol: base:allocation is listed and selected by the specification's wildcards and names")
def contexts(bench: Bench) -> None:
    server, _ = served_sparse(bench)
    found = [(REP_META, struct.pack(">I", 0) + ALLOCATION), (ACK, b"")]
    chosen = [(REP_META, struct.pack(">I", 1) + ALLOCATION), (ACK, b"")]
    with Raw(server) as raw:
        for number in (LIST_META, SET_META):
            assert [kind for kind, _ in raw.ask(number, queries(b"disk", ALLOCATION))] == [INVALID]
        raw.ask(STRUCTURED)
        assert raw.ask(STRUCTURED) == [(ACK, b"")]
        assert raw.ask(STRUCTURED, b"x")[0][0] == INVALID
        for all_of_them in ((), (b"base:",), (ALLOCATION,), (b"qemu:", b"base:", ALLOCATION)):
            assert raw.ask(LIST_META, queries(b"disk", *all_of_them)) == found, all_of_them
        for all_of_them in ((b"qemu:",), (b"base:nothing",), (b"x-what:ever", b":")):
            assert raw.ask(LIST_META, queries(b"disk", *all_of_them)) == [(ACK, b"")], all_of_them
        assert raw.ask(SET_META, queries(b"disk", ALLOCATION, ALLOCATION)) == chosen
        for all_of_them in ((), (b"base:",), (b"x-what:ever",)):
            assert raw.ask(SET_META, queries(b"disk", *all_of_them)) == [(ACK, b"")], all_of_them
        assert raw.ask(EXTENDED)[0][0] == UNSUP


@test("protocol: block status is there only for the export that was selected last, and entered")
def selected(bench: Bench) -> None:
    sparse(bench)
    bench.file("other", MIB)
    server = bench.serve(f"disk={bench.folder / 'disk'}", f"other={bench.folder / 'other'}")
    good = queries(b"disk", ALLOCATION)
    for options, there in (([good], True), ([], False), ([good, queries(b"disk")], False), ([good, b"junk"], False),
                           ([good, queries(b"nothere", ALLOCATION)], False), ([queries(b"disk"), good], True),
                           ([queries(b"other", ALLOCATION)], False), ([good, queries(b"other", ALLOCATION)], False)):
        with Raw(server) as raw:
            raw.ask(STRUCTURED)
            for each in options:
                raw.ask(SET_META, each)
            raw.ask(GO, named(b"disk") + struct.pack(">H", 0))
            if there:
                assert raw.extents(0, MIB) == [(MIB, HOLE_STATE)], options
            else:
                assert raw.refused(STATUS, 0, MIB) == errno.EINVAL, options
            assert raw.call(READ, 2 * MIB, 512)[0].kind == DATA
    with Raw(server).enter(structured=False) as raw:
        assert raw.refused(STATUS, 0, 512) == errno.EINVAL


@test("protocol: queries that are empty, endless, too many or cut off are refused, and the sync is kept")
def hostile_queries(bench: Bench) -> None:
    server, _ = served_sparse(bench)
    with Raw(server) as raw:
        raw.ask(STRUCTURED)
        for number in (LIST_META, SET_META):
            for data, expected in ((b"", INVALID), (queries(b"disk", b""), INVALID), (queries(b"disk", b"base"), INVALID),
                                   (queries(b"disk") + b"x", INVALID), (named(b"disk") + b"\0\0\0\1", INVALID),
                                   (named(b"disk") + b"\xff" * 4, TOO_BIG), (b"\xff" * 8, INVALID),
                                   (queries(b"disk", *[b"x:"] * 300), TOO_BIG),
                                   (queries(b"disk", b"base:" + b"q" * 5000), TOO_BIG),
                                   (queries(b"n" * 4097), TOO_BIG), (queries(b"disk", *[b"x:"] * 9000), TOO_BIG),
                                   (os.urandom(1 << 20), TOO_BIG), (queries(b"di\0sk"), INVALID)):
                assert raw.ask(number, data)[-1][0] == expected, (number, data[:40])
        raw.enter(context=b"disk")
        assert raw.extents(0, 512) == [(512, HOLE_STATE)]


# --- what is offered, and what is not ---

@test("protocol: every command and flag is refused where it was not offered, and nothing is changed by it")
def not_offered(bench: Bench) -> None:
    disk = bench.random_file("disk", MIB)
    content = disk.read_bytes()
    head = "[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n"
    server = bench.serve(config=f"{head}[plain]\nexportname = {disk}\nflush = no\nfua = no\ntrim = no\n"
                                f"[ro]\nexportname = {disk}\nreadonly = yes\n[one]\nexportname = {disk}\n"
                                f"readonly = yes\nmaxconnections = 1\n")
    with Raw(server).enter(b"plain") as raw:
        for request in ((3, 0, 0), (TRIM, 0, 512), (WRITE, 0, 512, FUA), (ZEROES, 0, 512, FUA), (READ, 0, 512, FUA),
                        (READ, 0, 512, FAST), (CACHE, 0, 512, NO_HOLE), (8, 0, 512), (ZEROES, 0, 512, DF)):
            payload = bytes(512) if request[0] == WRITE else b""
            assert raw.refused(*request, payload=payload) == errno.EINVAL, request
    with Raw(server).enter(b"ro") as raw:
        assert raw.flags & (1 << 6 | 1 << 11 | 1 << 5) == 0 and raw.flags & 1 << 8
        for request in ((TRIM, 0, 512), (ZEROES, 0, 512, FAST), (WRITE, 0, 512)):
            payload = bytes(512) if request[0] == WRITE else b""
            assert raw.refused(*request, payload=payload) == errno.EPERM, request
        assert raw.call(CACHE, 0, MIB)[0].error() == 0
    with Raw(server).enter(b"one") as raw:
        assert not raw.flags & 1 << 8, "several connections are offered where one may be had"
    assert disk.read_bytes() == content


@test("protocol: zeroes that cannot be fast are ENOTSUP at once, and leave everything as it was")
def fast_zeroes(bench: Bench) -> None:
    # tmpfs punches holes, and knows no other way to zero a range.
    folder = bench.folder.name
    memory = f"/dev/shm/{folder}"
    with open(memory, "wb") as file:
        file.write(b"x" * MIB)
    try:
        server = bench.serve(f"disk={memory}")
        with Raw(server).enter(context=b"disk") as raw:
            assert raw.flags & 1 << 11
            assert raw.refused(ZEROES, 0, MIB, FAST | NO_HOLE) == errno.ENOTSUP
            with open(memory, "rb") as file:
                assert file.read() == b"x" * MIB
            assert raw.call(ZEROES, 0, 65536, FAST)[0].error() == 0
            assert raw.call(ZEROES, 65536, 65536, NO_HOLE)[0].error() == 0
            with open(memory, "rb") as file:
                assert file.read() == bytes(131072) + b"x" * (MIB - 131072)
            assert raw.extents(0, 131072) == [(65536, HOLE_STATE), (65536, 0)]
        assert "ENOTSUP" not in server.log() and "not supported" not in server.log(), server.log()
    finally:
        os.unlink(memory)


@test("protocol: CACHE brings a range into the page cache")
def cached(bench: Bench) -> None:
    size = 4 * MIB
    disk = bench.random_file("disk", size)
    server = bench.serve(f"disk={disk}")
    with disk.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, size, os.POSIX_FADV_DONTNEED)
    assert resident(disk) < MIB, "the page cache cannot be emptied here"
    with Raw(server).enter() as raw:
        def all_here() -> bool:
            # Once need not be enough: where the kernel has no page free at once, it leaves that one out.
            assert raw.call(CACHE, MIB, 2 * MIB)[0].error() == 0
            return resident(disk) >= 2 * MIB

        wait_for(all_here, "what was asked for to come from the disk")


def resident(path: os.PathLike[str]) -> int:
    return int(output("fincore", "--bytes", "--noheadings", "--output", "RES", os.fspath(path)).strip() or 0)


@test("protocol: name and description are told to who asks for them")
def name_and_description(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nallowlist = true\n[disk]\n"
                                f"exportname = {disk}\ndescription = of host 7\n[bare]\nexportname = {disk}\n")
    asking = struct.pack(">HHHH", 3, 1, 2, 3)
    with Raw(server) as raw:
        told = {data[:2]: data[2:] for kind, data in raw.ask(INFO, named(b"disk") + asking) if kind == REP_INFO}
        assert told[b"\0\1"] == b"disk" and told[b"\0\2"] == b"of host 7"
        assert told[b"\0\3"] == struct.pack(">III", 1, 4096, 32 * MIB)
        told = {data[:2]: data[2:] for kind, data in raw.ask(INFO, named(b"bare") + asking) if kind == REP_INFO}
        assert told[b"\0\1"] == b"bare" and b"\0\2" not in told
        assert raw.ask(LIST) == [(REP_SERVER, named(b"disk") + b"of host 7"), (REP_SERVER, named(b"bare")), (ACK, b"")]


@test("protocol: an export that a client may not have looks like one that does not exist, wherever it is named")
def hidden(bench: Bench) -> None:
    allow = bench.file("allow", content=b"10.0.0.1\n")
    disk = bench.file("disk", MIB)
    server = bench.serve(config="[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nallowlist = true\n"
                                f"[seen]\nexportname = {disk}\n"
                                f"[hidden]\nexportname = {disk}\nauthfile = {allow}\ndescription = a secret\n")

    def answers(name: bytes) -> list[list[tuple[int, bytes]]]:
        with Raw(server) as raw:
            raw.ask(STRUCTURED)
            info = named(name) + struct.pack(">H", 0)
            return [raw.ask(number, data) for number, data in (
                (INFO, info), (LIST_META, queries(name)), (SET_META, queries(name, ALLOCATION)),
                (SESSION, bytes(24) + name), (GO, info), (LIST, b""))]

    assert answers(b"hidden") == answers(b"nothere")
    assert all(replies[-1][0] == UNKNOWN for replies in answers(b"hidden")[:-1])
    assert answers(b"hidden")[-1] == [(REP_SERVER, named(b"seen")), (ACK, b"")]
    server.wait_for_log("export hidden: 127.0.0.1:")
    assert f"refused: the client's address is not in {allow}" in server.log()
