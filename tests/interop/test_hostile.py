"""Clients that mean no good: the server drops them, says why, and goes on serving the others."""
import os
import random
import socket
import struct
import time

from bench import MIB, Bench, memory, serves, wait_for
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, dial, go, option, receive

@test("unknown options are answered with ERR_UNSUP, whatever their length, and the sync is kept")
def unknown_options(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS)
        for number, size in ((5, 0), (99, 0), (1234567, 1), (0x48460004, 28), (0xFFFFFFFF, 4096), (42, 65536)):
            link.sendall(option(number, os.urandom(size)))
            magic, echoed, kind, length = struct.unpack(">QIII", receive(link, 20))
            receive(link, length)
            assert (magic, echoed) == (0x3E889045565A9, number)
            assert kind in (0x80000001, 0x80000009), hex(kind)
        link.sendall(go(b"disk"))
        assert struct.unpack(">QIII", receive(link, 20))[2] == 3


@test("a client that names a length of 4 GiB makes the server allocate nothing")
def huge_lengths(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    before = memory(server)
    links = []
    for number in (1, 3, 6, 7, 9, 10, 99):
        link = dial(server)
        link.sendall(CLIENT_FLAGS + option(number, b"x" * 64, length=0xFFFFFFFF))
        links.append(link)
    link = dial(server)
    link.sendall(CLIENT_FLAGS + go(b"disk"))
    receive(link, 20 + 12 + 20)
    link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 1, 7, 0, 0xFFFFFFFF))  # a write of 4 GiB
    links.append(link)
    serves(server)
    assert memory(server) - before < 64 * MIB, f"grew by {(memory(server) - before) / MIB:.0f} MiB"
    for link in links:
        link.close()


@test("rubbish at any point of the handshake ends that connection and no other")
def rubbish(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    seed = 20261122
    source = random.Random(seed)
    dialogue = CLIENT_FLAGS + option(3) + go(b"nothere") + go(b"disk")
    for _ in range(200):
        wrong = bytearray(dialogue)
        wrong[source.randrange(len(wrong))] ^= 1 << source.randrange(8)
        with dial(server) as link:
            link.sendall(bytes(wrong[:source.randrange(1, len(wrong) + 1)]))
            if source.random() < 0.5:
                link.shutdown(socket.SHUT_WR)
                receive(link, 1 << 20)
    serves(server)


@test("a wrong request magic drops the connection")
def wrong_magic(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(b"disk"))
        receive(link, 20 + 12 + 20)
        link.sendall(b"\0" * 28)
        assert receive(link, 1) == b""
    serves(server)


@test("an unknown command is answered with EINVAL")
def unknown_command(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(b"disk"))
        receive(link, 20 + 12 + 20)
        for command in (7, 8, 99, 65535):
            link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, command, command, 0, 512))
            assert struct.unpack(">IIQ", receive(link, 16)) == (0x67446698, 22, command)


@test("a client that says nothing is dropped when the handshake's time is over, and others are served meanwhile")
def silent(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    links = [dial(server) for _ in range(8)]
    dripping = dial(server)
    dripping.settimeout(0.2)
    serves(server)
    began = time.monotonic()

    def dropped() -> bool:
        try:
            dripping.sendall(b"\0")  # a byte at a time buys no more time
            return dripping.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    wait_for(dropped, "the dripping client to be dropped", 60)
    for link in links:
        assert receive(link, 1) == b""
    assert time.monotonic() - began < 60
    serves(server)


@test("a client that reads nothing of what it asked for harms nobody, and the server can still be stopped")
def reads_nothing(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    before = memory(server)
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(b"disk"))
        link.settimeout(1)
        try:
            for i in range(2000):
                link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, i, 0, MIB))
        except TimeoutError:
            pass
        serves(server)
        assert memory(server) - before < 96 * MIB
        assert server.stop() == 0


@test("an option after the option, a hundred thousand of them, ends by the server's own bound")
def endless_options(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS)
        try:
            for _ in range(100_000):
                link.sendall(option(99))
                if len(receive(link, 20)) < 20:
                    break
            else:
                raise AssertionError("100,000 options were answered")
        except (BrokenPipeError, ConnectionResetError):
            pass
    serves(server)
