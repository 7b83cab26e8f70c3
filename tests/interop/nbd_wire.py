"""Client side of NBD, byte by byte: the handshake, the session option, requests and replies."""
import socket
import struct
import uuid

from bench import Server

GREETING = 18
IHAVEOPT = 0x49484156454F5054
CLIENT_FLAGS = struct.pack(">I", 3)
SESSION, HOST = 0x48460001, 0x48460003
POLICY, INVALID, UNKNOWN = 0x80000002, 0x80000003, 0x80000006
MINE = uuid.UUID("12345678-9abc-def0-1234-56789abcdef0").bytes
ACK, INFO = 1, 3
HOST_IDENTITY, BOOT, OTHER_BOOT = b"h" * 16, b"b" * 16, b"o" * 16
FIRST, SECOND = b"1" * 16, b"2" * 16  # sessions
OLD, NEW = b"\xaa", b"\xbb"
FUA = 1


def option(number: int, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">QII", IHAVEOPT, number, len(data) if length is None else length) + data


def go(name: bytes) -> bytes:
    return option(7, struct.pack(">I", len(name)) + name + struct.pack(">H", 0))


def dial(server: Server) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    assert len(receive(link, GREETING)) == GREETING
    return link


def receive(link: socket.socket, count: int) -> bytes:
    """Receive `count` bytes, or the bytes before the end."""
    got = b""
    while len(got) < count:
        try:
            more = link.recv(count - len(got))
        except ConnectionResetError:
            break
        if not more:
            break
        got += more
    return got


def claim(generation: int, name: bytes = b"disk", session: bytes = MINE, slot: int = 0) -> bytes:
    return option(SESSION, session + struct.pack(">II", slot, generation) + name)


def hosting(attachment: int, boot: bytes = BOOT, identity: bytes = HOST_IDENTITY) -> bytes:
    return option(HOST, identity + boot + struct.pack(">QI", attachment, 0))


def reply(link: socket.socket) -> tuple[int, bytes]:
    """Return the next option reply: type and data; (0, b"") at the end of the link."""
    head = receive(link, 20)
    if len(head) < 20:
        return 0, b""
    magic, _, kind, length = struct.unpack(">QIII", head)
    assert magic == 0x3E889045565A9, hex(magic)
    return kind, receive(link, length)


def answer(link: socket.socket) -> tuple[bytes, str]:
    """Return the boot identity and the export identity after an accepted claim."""
    kind, data = reply(link)
    assert kind == SESSION, f"{kind:#x}: {data!r}"
    assert reply(link) == (ACK, b"")
    return data[:16], data[16:].decode("ascii")


def enter(server: Server, generation: int | None, name: bytes = b"disk", **of_claim: bytes | int) -> socket.socket:
    """Enter transmission, with a claim or (None) without."""
    link = dial(server)
    link.sendall(CLIENT_FLAGS)
    if generation is not None:
        link.sendall(claim(generation, name, **of_claim))  # type: ignore[arg-type]
        answer(link)
    link.sendall(go(name))
    entered(link)
    return link


def entered(link: socket.socket) -> None:
    """Read the answer to GO; other servers send more information than ours."""
    kind, data = reply(link)
    assert kind == INFO, f"{kind:#x}: {data!r}"
    while kind == INFO:
        kind, data = reply(link)
    assert kind == ACK, f"{kind:#x}: {data!r}"


def refused(server: Server, generation: int, **of_claim: bytes | int) -> int:
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + claim(generation, **of_claim))  # type: ignore[arg-type]
        kind, _ = reply(link)
        link.sendall(go(b"disk"))
        assert reply(link)[0] & 0x80000000, "GO was taken although the session was refused"
        return kind


def write(cookie: int, offset: int, length: int, flags: int = 0) -> bytes:
    return struct.pack(">IHHQQI", 0x25609513, flags, 1, cookie, offset, length)


def flush(link: socket.socket) -> bytes:
    """Read the reply to a flush: 4 bytes magic, 4 bytes error, 8 bytes cookie."""
    link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 3, 2, 0, 0))
    return receive(link, 16)


def wrote(link: socket.socket, cookie: int) -> bool:
    return receive(link, 16) == struct.pack(">IIQ", 0x67446698, 0, cookie)


def read(link: socket.socket, offset: int, length: int) -> bytes:
    link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 77, offset, length))
    assert wrote(link, 77)
    return receive(link, length)


def ended(link: socket.socket) -> bool:
    """Read to the end of the link."""
    while receive(link, 1 << 16):
        pass
    return True
