"""NBD servers that mean no good, one for each way to break a client.

    hostile_server.py LISTEN:PORT CASE

Prints a line `connection` for each client that came. CASES names them all. What they have in common: they hold the
connection as long as the client does, unless hanging up is the point.
"""

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator

NBDMAGIC, IHAVEOPT, OLD_STYLE = 0x4E42444D41474943, 0x49484156454F5054, 0x00420281861253
REPLY = 0x3E889045565A9
SIMPLE_REPLY, REQUEST = 0x67446698, 0x25609513
GO, SESSION = 7, 0x48460001
ACK, INFO, ERR_UNSUP, ERR_UNKNOWN = 1, 3, 0x80000001, 0x80000006
SIZE, FLAGS = 64 << 20, 0b1101101  # flush, fua, trim and zeroes, as holdfast-server: a device that uses them takes no less
ENOUGH = 64 << 20  # bytes of an endless answer that nobody should have taken
Case = Callable[[socket.socket], None]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def receive(link: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = link.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def greet(link: socket.socket, flags: int = 3) -> None:
    link.sendall(struct.pack(">QQH", NBDMAGIC, IHAVEOPT, flags))
    receive(link, 4)


def options(link: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        _, number, length = struct.unpack(">QII", receive(link, 16))
        yield number, receive(link, length)


def reply(option: int, kind: int, data: bytes = b"", length: int | None = None, magic: int = REPLY) -> bytes:
    return struct.pack(">QIII", magic, option, kind, len(data) if length is None else length) + data


def to_option(link: socket.socket, wanted: int) -> int:
    """The handshake as far as the option; others on the way get ERR_UNSUP, and GO instead of another gets an error."""
    greet(link)
    for number, _ in options(link):
        if number == wanted:
            return number
        link.sendall(reply(number, ERR_UNKNOWN if number == GO else ERR_UNSUP))
    raise ConnectionError


def export(size: int = SIZE, flags: int = FLAGS) -> bytes:
    return struct.pack(">HQH", 0, size, flags)


def go_on(link: socket.socket, *infos: bytes) -> None:
    """Lets the client into transmission with these INFO replies."""
    to_option(link, GO)
    link.sendall(b"".join(reply(GO, INFO, info) for info in infos or (export(),)) + reply(GO, ACK))


def flood(link: socket.socket, piece: bytes) -> None:
    for _ in range(ENOUGH // len(piece)):
        link.sendall(piece)


# The greeting

@case
def says_nothing(link: socket.socket) -> None:
    receive(link, 1)


@case
def hangs_up(link: socket.socket) -> None:
    pass


@case
def greets_with_noise(link: socket.socket) -> None:
    flood(link, os.urandom(65536))


@case
def stops_in_the_greeting(link: socket.socket) -> None:
    link.sendall(struct.pack(">Q", NBDMAGIC))
    receive(link, 1)


@case
def greets_in_the_old_style(link: socket.socket) -> None:
    link.sendall(struct.pack(">QQQI", NBDMAGIC, OLD_STYLE, SIZE, FLAGS) + bytes(124))
    receive(link, 1)


@case
def greets_without_flags(link: socket.socket) -> None:
    greet(link, 0)
    receive(link, 1)


@case
def greets_with_all_flags(link: socket.socket) -> None:
    greet(link, 0xFFFF)
    receive(link, 1)


# The answers to GO

@case
def answers_with_a_wrong_magic(link: socket.socket) -> None:
    to_option(link, GO)
    link.sendall(reply(GO, INFO, export(), magic=0x1122334455667788))
    receive(link, 1)


@case
def answers_another_option(link: socket.socket) -> None:
    to_option(link, GO)
    link.sendall(reply(3, ACK))
    receive(link, 1)


@case
def answers_with_an_enormous_length(link: socket.socket) -> None:
    to_option(link, GO)
    link.sendall(reply(GO, INFO, length=0xFFFFFFFF))
    flood(link, bytes(65536))


@case
def sends_infos_without_end(link: socket.socket) -> None:
    to_option(link, GO)
    flood(link, reply(GO, INFO, struct.pack(">H", 77) + os.urandom(1000)))


@case
def sends_infos_slowly_without_end(link: socket.socket) -> None:
    to_option(link, GO)
    while True:
        link.sendall(reply(GO, INFO, export()))
        time.sleep(0.5)


@case
def acknowledges_without_an_export(link: socket.socket) -> None:
    to_option(link, GO)
    link.sendall(reply(GO, ACK))
    receive(link, 1)


@case
def sends_an_info_that_is_too_short(link: socket.socket) -> None:
    go_on(link, struct.pack(">H", 0))
    receive(link, 1)


@case
def sends_an_info_that_is_too_long(link: socket.socket) -> None:
    go_on(link, export() + os.urandom(5000))
    receive(link, 1)


@case
def offers_impossible_block_sizes(link: socket.socket) -> None:
    go_on(link, export(), struct.pack(">HIII", 3, 0, 3, 1))
    receive(link, 1)


@case
def offers_enormous_blocks(link: socket.socket) -> None:
    go_on(link, export(), struct.pack(">HIII", 3, 1 << 31, 1 << 31, 0xFFFFFFFF))
    receive(link, 1)


@case
def offers_no_bytes(link: socket.socket) -> None:
    go_on(link, export(0))
    receive(link, 1)


@case
def offers_more_bytes_than_there_are(link: socket.socket) -> None:
    go_on(link, export((1 << 64) - 1))
    receive(link, 1)


@case
def refuses_with_an_enormous_text(link: socket.socket) -> None:
    to_option(link, GO)
    link.sendall(reply(GO, ERR_UNKNOWN, b"\x1b[2J\x07" + b"no " * 2_000_000))
    receive(link, 1)


@case
def refuses_with_control_characters(link: socket.socket) -> None:
    to_option(link, GO)
    link.sendall(reply(GO, ERR_UNKNOWN, b"\x1b[2J\x00\xff\xfe%s%n\r\n" * 40))
    receive(link, 1)


@case
def stops_in_the_middle_of_an_answer(link: socket.socket) -> None:
    to_option(link, GO)
    link.sendall(reply(GO, INFO, export()) + reply(GO, ACK)[:11])
    receive(link, 1)


@case
def sends_one_byte_a_second(link: socket.socket) -> None:
    for byte in struct.pack(">QQH", NBDMAGIC, IHAVEOPT, 3) + reply(GO, ACK) * 100:
        link.sendall(bytes([byte]))
        time.sleep(1)


# The session option

@case
def acknowledges_a_session_without_an_answer(link: socket.socket) -> None:
    link.sendall(reply(to_option(link, SESSION), ACK))
    receive(link, 1)


@case
def answers_a_session_with_noise(link: socket.socket) -> None:
    option = to_option(link, SESSION)
    link.sendall(reply(option, option, os.urandom(3)) + reply(option, ACK))
    receive(link, 1)


@case
def answers_a_session_with_an_enormous_identity(link: socket.socket) -> None:
    option = to_option(link, SESSION)
    link.sendall(reply(option, option, bytes(16) + b"i" * (1 << 20)) + reply(option, ACK))
    receive(link, 1)


@case
def answers_a_session_with_an_identity_that_is_no_text(link: socket.socket) -> None:
    option = to_option(link, SESSION)
    link.sendall(reply(option, option, bytes(16) + b"\xff\xfe\n\x1b[2J\x00") + reply(option, ACK))
    for number, _ in options(link):
        link.sendall(reply(number, ERR_UNKNOWN))


@case
def answers_a_session_without_end(link: socket.socket) -> None:
    option = to_option(link, SESSION)
    flood(link, reply(option, option, bytes(16) + b"another"))


@case
def answers_a_session_and_stops(link: socket.socket) -> None:
    option = to_option(link, SESSION)
    link.sendall(reply(option, option, bytes(16) + b"identity"))
    receive(link, 1)


# Transmission

@case
def hangs_up_after_the_handshake(link: socket.socket) -> None:
    go_on(link)


@case
def answers_requests_with_noise(link: socket.socket) -> None:
    go_on(link)
    receive(link, 28)
    flood(link, os.urandom(65536))


@case
def answers_requests_of_nobody(link: socket.socket) -> None:
    go_on(link)
    receive(link, 28)
    flood(link, struct.pack(">IIQ", SIMPLE_REPLY, 0, 0xFFFFFFFFFFFFFFFF))


@case
def answers_a_request_twice(link: socket.socket) -> None:
    go_on(link)
    while True:
        magic, _, kind, cookie, _, length = struct.unpack(">IHHQQI", receive(link, 28))
        if magic != REQUEST or kind == 1:
            return
        link.sendall((struct.pack(">IIQ", SIMPLE_REPLY, 0, cookie) + bytes(length if kind == 0 else 0)) * 2)


def serve(link: socket.socket, run: Case) -> None:
    with link, contextlib.suppress(OSError):
        run(link)


def main(listen: str, name: str) -> None:
    host, port = listen.rsplit(":", 1)
    with socket.create_server((host, int(port))) as listener:
        print("listening", flush=True)
        while True:
            link = listener.accept()[0]
            print("connection", flush=True)
            threading.Thread(target=serve, args=(link, CASES[name]), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
