"""Disks that hang hold up nobody who wants another one, and neither the server's answers to signals nor its status."""
import signal
import socket
import struct
from pathlib import Path

from hanging_disk import FSYNC, HangingDisk
from support import MIB, Bench, Server, test, wait_for
from test_hostile import CLIENT_FLAGS, dial, go, receive
from test_session import reply

ACK = 1


def answer_to_go(server: Server, name: bytes) -> tuple[int, bytes]:
    """The last reply to GO, within the time that receive() waits."""
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(name))
        kind, data = reply(link)
        while kind == 3:  # INFO
            kind, data = reply(link)
        return kind, data


def write(link: socket.socket) -> None:
    link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 1, 1, 0, 4096) + b"w" * 4096)
    assert receive(link, 16)[:8] == struct.pack(">II", 0x67446698, 0)


CONFIG = """[generic]
port = @PORT@
listenaddr = 127.0.0.1
statussocket = none
handshaketimeout = {timeout}
stoptimeout = 1
[disk]
exportname = {disk}
[hang]
exportname = {hang}
"""


@test("a closing flush that hangs holds one thread, and neither its export's next clients nor another export's")
def closing_flush(bench: Bench) -> None:
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        server = bench.serve(config=CONFIG.format(disk=bench.file("disk", MIB), hang=hang.path, timeout=5))
        with dial(server) as link:
            link.sendall(CLIENT_FLAGS + go(b"hang"))
            receive(link, 20 + 12 + 20)
            write(link)
            hang.hang = {FSYNC}
        hang.wait_for_hanging(FSYNC)
        threads = Path(f"/proc/{server.process.pid}/task")
        for _ in range(20):  # the disk is still open, and they are let in
            assert answer_to_go(server, b"hang")[0] == ACK
        assert answer_to_go(server, b"disk")[0] == ACK
        wait_for(lambda: len(list(threads.iterdir())) <= 4, f"the others to leave: {list(threads.iterdir())}")
        server.signal(signal.SIGTERM)
        server.wait_for_log("still has a request in the disk after 1 s; leaving without it")
        hang.release()  # the kernel ends no process before
        assert server.process.wait(timeout=60) == 3
