"""Disks that hang hold up nobody who wants another one, and neither the server's answers to signals nor its status."""
import fcntl
import os
import select
import signal
import socket
import struct
from pathlib import Path

from hanging_disk import FSYNC, LOOKUP, OPEN, HangingDisk
from support import MIB, Bench, Server, free_port, output, test, wait_for
from test_confinement import opener_of
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
        # The server leaves its thread in the disk: the thread sanitizer would change its exit status if that ends first.
        server = bench.serve(config=CONFIG.format(disk=bench.file("disk", MIB), hang=hang.path, timeout=5),
                             environment={"TSAN_OPTIONS": "halt_on_error=1:report_thread_leaks=0"})
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


@test("a path that does not answer keeps neither the start nor a reload of the other exports waiting")
def dead_path(bench: Bench) -> None:
    disk, sock = bench.file("disk", MIB), bench.folder / "status"
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        hang.hang = {LOOKUP}
        config = CONFIG.format(disk=disk, hang=hang.path, timeout=5).replace("= none", f"= {sock}")
        server = bench.serve(config=config)
        assert answer_to_go(server, b"disk")[0] == ACK
        server.wait_for_log(f"[hang]: {hang.path}: no answer for 5 s")
        # The files of the configuration themselves hang.
        before = config.replace("@PORT@", str(server.port))
        bench.file("server.conf", content=before.replace("[disk]", f"includedir = {hang.folder}/more\n[disk]").encode())
        server.signal(signal.SIGHUP)
        hang.wait_for_hanging(LOOKUP)
        assert answer_to_go(server, b"disk")[0] == ACK
        assert "export disk" in output(bench.server_program, "status", "--socket", sock)
        server.wait_for_log(f"{hang.folder}/more: reading it took longer than 10 s")
        server.wait_for_log("the old one stays in force")
        # And the next one is carried out.
        bench.file("server.conf", content=before.replace("[disk]", "[new]").encode())
        server.signal(signal.SIGHUP)
        server.wait_for_log("configuration read again")
        assert answer_to_go(server, b"new")[0] == ACK
        server.signal(signal.SIGHUP)
        server.signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0


@test("a refusal names the disk that does not answer")
def blames_the_disk(bench: Bench) -> None:
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        hang.hang = {OPEN}
        server = bench.serve(config=CONFIG.format(disk=bench.file("disk", MIB), hang=hang.path, timeout=2))
        with dial(server) as link:
            link.sendall(CLIENT_FLAGS + go(b"hang"))
            receive(link, 1 << 20)
            port = link.getsockname()[1]
        server.wait_for_log(f"export hang: 127.0.0.1:{port} refused: {hang.path}: ")
        assert answer_to_go(server, b"disk")[0] == ACK


@test("exports that hang, however many ask for them, leave another export's clients a place")
def many_hang(bench: Bench) -> None:
    names = [f"hang{i}" for i in range(6)]
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        hang.hang = {LOOKUP}
        config = CONFIG.format(disk=bench.file("disk", MIB), hang=hang.path, timeout=3600)
        server = bench.serve(config=config + "".join(f"[{name}]\nexportname = {hang.path}\n" for name in names))
        links = []
        for name in names:
            for _ in range(70):
                links.append(dial(server))
                links[-1].sendall(CLIENT_FLAGS + go(name.encode()))
        hang.wait_for_hanging(LOOKUP)
        assert answer_to_go(server, b"disk")[0] == ACK
        for link in links:
            link.close()


@test("the server serves, and ends, while its opener does not run, and while nobody reads its log")
def stopped_opener_and_full_log(bench: Bench) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"x" * 4096)
    port = free_port()
    server = bench.start(port, bench.server_program, "--foreground", "--listen", f"127.0.0.1:{port}", "--export",
                         f"disk={bench.file('disk', MIB)}", stderr=writer)
    os.close(writer)
    opener = opener_of(server)
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(b"disk"))
        assert len(receive(link, 20 + 12 + 20)) == 52
        os.kill(opener, signal.SIGSTOP)
        server.signal(signal.SIGHUP)
        dial(server).close()
        log = b""
        while b" serves 1 exports" not in log:  # kept for the reader all the while
            assert select.select([reader], [], [], 60)[0], log
            log += os.read(reader, 4096)
        server.signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
    os.kill(opener, signal.SIGCONT)
    os.close(reader)
