"""A stop under a client that is in the middle of sending: spoken byte by byte, because no client's library can be held there."""
import signal
import socket
import struct
import threading
import time

from bench import MIB, Bench, Server, free_port, wait_for
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, dial, go, receive


def transmission(server: Server) -> socket.socket:
    link = dial(server)
    link.sendall(CLIENT_FLAGS + go(b"disk"))
    receive(link, 20 + 12 + 20)
    return link


def write(cookie: int, length: int) -> bytes:
    return struct.pack(">IHHQQI", 0x25609513, 0, 1, cookie, 0, length)


@test("a stop lets go at once of clients that wait to send more")
def full_window(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    # Many, because it depends on the server's threads which of them still have a closed window when it stops.
    links = [transmission(server) for _ in range(24)]

    def send(link: socket.socket) -> None:
        try:
            for cookie in range(1_000_000):
                link.sendall(write(cookie, 4096) + bytes(4096))
        except OSError:
            pass

    server.signal(signal.SIGSTOP)  # so that the receive windows fill up and are closed
    senders = [threading.Thread(target=send, args=(link,), daemon=True) for link in links]
    for sender in senders:
        sender.start()
    time.sleep(2)
    server.signal(signal.SIGTERM)
    server.signal(signal.SIGCONT)
    for link in links:
        replies = receive(link, 1 << 30)
        for at in range(0, len(replies) // 16 * 16, 16):
            assert struct.unpack(">IIQ", replies[at:at + 16]) == (0x67446698, 0, at // 16)
    assert server.process.wait(60) == 0
    # A kernel that is stuck in sending takes no notice of the end of the link, and does not reconnect.
    for sender in senders:
        sender.join(10)
        assert not sender.is_alive(), "a client still waits to send, to a server that is gone"
    for link in links:
        link.close()


@test("a stop does not wait for the rest of a write, and a write that was not sent whole is not answered")
def half_write(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    with transmission(server) as link:
        link.sendall(write(7, 65536) + bytes(1000))
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 20
        assert receive(link, 1) == b""


@test("a stop does not wait for the rest of a long request without data, and leaves it unanswered")
def long_zeroes(bench: Bench) -> None:
    port = free_port()
    trace = bench.folder / "trace"
    # Every call takes a quarter of a second, so that 4 GiB in pieces take half a minute, and in one call are answered at once.
    server = bench.start(port, "strace", "-D", "-f", "-q", "-o", trace, "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", "trace=fallocate",
                         "-e", "inject=fallocate:delay_enter=250000", bench.server_program, "--foreground", "--listen",
                         f"127.0.0.1:{port}", "--export", f"disk={bench.file('disk', 4096 * MIB)}")
    with transmission(server) as link:
        calls = trace.read_text().count("fallocate(")
        link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 6, 7, 0, 0xfffff000) + struct.pack(">IHHQQI", 0x25609513, 0, 3, 8, 0, 0))
        wait_for(lambda: trace.read_text().count("fallocate(") > calls, "the zeroes to begin")
        assert server.stop() == 0
        calls = trace.read_text().count("fallocate(") - calls
        assert calls < 100, f"{calls} of 128 pieces were still done"
        replies = receive(link, 1 << 20)
        assert replies in (b"", struct.pack(">IIQ", 0x67446698, 0, 8)), f"given up, it was answered all the same: {replies!r}"
