"""Disks that hang hold up nobody who wants another one, and neither the server's answers to signals nor its status."""
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from pathlib import Path

from hanging_disk import FSYNC, LOOKUP, OPEN, WRITE, HangingDisk
from bench import MIB, Bench, Server, free_port, opener_of, output, wait_for
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, FIRST, SECOND, answer, claim, dial, go, hosting, option, receive, reply

ACK = 1
MOST_CALLS = 32  # for one export at once: server/connection/lobby.hh
PLACES = 8  # how many requests of a kind may wait at once: server/opener/opener.hh


def answer_to_go(server: Server, name: bytes) -> tuple[int, bytes]:
    """The last reply to GO, within the time that receive() waits."""
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(name))
        kind, data = reply(link)
        while kind == 3:  # INFO
            kind, data = reply(link)
        return kind, data


def info(name: bytes) -> bytes:
    return option(6, struct.pack(">I", len(name)) + name + struct.pack(">H", 0))


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
        server.wait_for_log("still has a disk request pending after 1 s; exiting without waiting for it")
        hang.release()  # the kernel ends no process before
        assert server.process.wait(timeout=60) == 3


@test("a claim that ends before GO lets its disk go apart: a closing flush that hangs holds up neither the others nor the status")
def claim_ends(bench: Bench) -> None:
    sock = bench.folder / "status"
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        config = CONFIG.format(disk=bench.file("disk", MIB), hang=hang.path, timeout=5).replace("= none", f"= {sock}")
        server = bench.serve(config=config)
        with dial(server) as claimed:
            with dial(server) as writer:
                writer.sendall(CLIENT_FLAGS + go(b"hang"))
                receive(writer, 20 + 12 + 20)
                write(writer)
                claimed.sendall(CLIENT_FLAGS + claim(1, b"hang"))
                answer(claimed)
            server.wait_for_log("closed:")
            hang.hang = {FSYNC}
        hang.wait_for_hanging(FSYNC)
        for _ in range(3):
            assert answer_to_go(server, b"disk")[0] == ACK
        assert "export disk" in output(bench.server_program, "status", "--socket", sock)
        server.signal(signal.SIGHUP)
        server.wait_for_log("configuration reloaded")
        hang.release()


@test("a claim that ends while there is no thread to be had lets its disk go later, and holds up nobody meanwhile")
def claim_ends_without_thread(bench: Bench) -> None:
    sock = bench.folder / "status"
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        config = CONFIG.format(disk=bench.file("disk", MIB), hang=hang.path, timeout=5).replace("= none", f"= {sock}\nuser = nobody")
        server = bench.serve(config=config)
        status = [bench.server_program, "status", "--socket", sock]
        with dial(server) as claimed:
            with dial(server) as writer:
                writer.sendall(CLIENT_FLAGS + go(b"hang"))
                receive(writer, 20 + 12 + 20)
                write(writer)
                claimed.sendall(CLIENT_FLAGS + claim(1, b"hang"))
                answer(claimed)
            server.wait_for_log("closed:")
            hang.hang = {FSYNC}
            # The server's own user may do that without a privilege.
            limit = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "prlimit", "--pid", str(server.process.pid)]
            output(*limit, "--nproc=1:")
        server.wait_for_log("its disk will be closed later")
        assert "export disk" in output(*status)
        output(*limit, "--nproc=1000:")
        hang.wait_for_hanging(FSYNC)
        assert answer_to_go(server, b"disk")[0] == ACK
        assert "export disk" in output(*status)
        hang.release()


def with_every_call_taken(server: Server, hang: HangingDisk, name: bytes) -> list[socket.socket]:
    """Clients whose requests hang with the disk, as many as one export may have."""
    hang.hang = {OPEN}
    links = [dial(server) for _ in range(MOST_CALLS)]
    for link in links:
        link.sendall(CLIENT_FLAGS + info(name))
    threads = Path(f"/proc/{server.process.pid}/task")
    wait_for(lambda: len(list(threads.iterdir())) > MOST_CALLS, "all calls to be taken")
    hang.wait_for_hanging(OPEN)
    return links


def kept(server: Server) -> int:
    """How many connections the server has not closed."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(f":{server.port:04X}") and line[3] in ("01", "08") for line in lines)


def turns(server: Server) -> None:
    """Whatever was sent before has been taken up when it returns."""
    for _ in range(2):
        dial(server).close()


@test("a client that waits for its turn and closes is forgotten at once")
def leaves_the_queue(bench: Bench) -> None:
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        server = bench.serve(config=CONFIG.format(disk=bench.file("disk", MIB), hang=hang.path, timeout=3600))
        links = with_every_call_taken(server, hang, b"hang")
        waiting = [dial(server) for _ in range(50)]
        for link in waiting:
            link.sendall(CLIENT_FLAGS + go(b"hang"))
        turns(server)
        wait_for(lambda: kept(server) == MOST_CALLS + 50, "those of turns() to be closed")
        for link in waiting:
            link.close()
        wait_for(lambda: kept(server) == MOST_CALLS, "those that left to be closed", 20)
        hang.release()
        for link in links:  # and the queue goes on without them
            assert len(receive(link, 52)) == 52
            link.close()
        assert answer_to_go(server, b"hang")[0] == ACK


@test("a client that waits for its turn and is fenced makes way at once")
def fenced_in_the_queue(bench: Bench) -> None:
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        config = CONFIG.format(disk=bench.file("disk", MIB), hang=hang.path, timeout=3600)
        server = bench.serve(config=config + f"[again]\nexportname = {hang.path}\n")
        with dial(server) as old, dial(server) as new:
            old.sendall(CLIENT_FLAGS + hosting(1) + claim(1, b"hang", FIRST))
            assert [reply(old)[0] for _ in range(4)][-1] == ACK
            links = with_every_call_taken(server, hang, b"hang")
            old.sendall(go(b"hang"))
            turns(server)
            new.settimeout(20)
            new.sendall(CLIENT_FLAGS + hosting(2) + claim(1, b"again", SECOND))
            assert [reply(new)[0] for _ in range(4)][-1] == ACK
            hang.release()
            for link in links:
                link.close()


@test("clients that do not read the reply to GO hold no place of its export's other clients")
def reads_no_reply(bench: Bench) -> None:
    path, disk = bench.folder / "sock", bench.file("disk", MIB)
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nduallisten = true\nunixsock = {path}\nstatussocket = none\n"
                                "allowlist = true\nhandshaketimeout = 3600\n" +
                                "".join(f"[{name}]\nexportname = {disk}\ndescription = {'d' * 250}\n"
                                        for name in ("disk", *(f"more{i}" for i in range(100)))))

    def enter() -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(60)
        link.connect(str(path))
        assert len(receive(link, 18)) == 18
        link.sendall(CLIENT_FLAGS)
        return link

    def unread(link: socket.socket) -> int:
        return struct.unpack("i", fcntl.ioctl(link, termios.FIONREAD, bytes(4)))[0]

    def taken(options: bytes) -> int:
        """How many bytes of the replies the socket of a client takes that reads none of them."""
        with enter() as link:
            link.sendall(options)
            count = 0
            while count != (count := unread(link)) or count == 0:
                time.sleep(0.5)
            return count

    lists, asks = option(3), info(b"disk")
    size_of_list, size_of_info = taken(lists), taken(asks)
    most_lists = taken(lists * 100) // size_of_list - 1
    most_infos = (taken(lists * most_lists + asks * 100) - most_lists * size_of_list) // size_of_info
    assert most_lists > 0 and 1 < most_infos < 100 - most_lists, (most_lists, most_infos)
    size = size_of_list * most_lists + size_of_info * most_infos
    lazy = [enter() for _ in range(MOST_CALLS)]
    for link in lazy:
        link.sendall(lists * most_lists + asks * most_infos + go(b"disk"))
    for link in lazy:
        wait_for(lambda link=link: unread(link) >= size, "all replies but the last")  # type: ignore[misc]
    threads = Path(f"/proc/{server.process.pid}/task")
    wait_for(lambda: len(list(threads.iterdir())) <= 4, "no thread to wait for a client")
    began = time.monotonic()
    assert answer_to_go(server, b"disk")[0] == ACK
    assert time.monotonic() - began < 1
    for link in lazy[:-1]:
        link.close()
    with lazy[-1] as late:  # it reads at last, and is served
        assert len(receive(late, size + size_of_info)) == size + size_of_info
        write(late)


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
        server.wait_for_log(f"includedir: {hang.folder}/more: no answer for 5 s")
        server.wait_for_log("the new configuration could not be read; the old one stays in effect")
        assert "has errors" not in server.log(), server.log()
        # And the next one is carried out.
        bench.file("server.conf", content=before.replace("[disk]", "[new]").encode())
        server.signal(signal.SIGHUP)
        server.wait_for_log("configuration reloaded")
        assert answer_to_go(server, b"new")[0] == ACK
        server.signal(signal.SIGHUP)
        server.signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0


@test("--check passes over a path that does not answer, says so, and judges the others")
def check_beside_dead_path(bench: Bench) -> None:
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        hang.hang = {LOOKUP}
        config = CONFIG.format(disk=bench.file("disk", MIB), hang=hang.path, timeout=5)
        file = bench.file("check.conf", content=config.replace("@PORT@", "10809").encode())
        check = subprocess.Popen([bench.server_program, "--config", file, "--check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said, _ = check.communicate(timeout=30)
        finally:
            hang.release()  # the kernel ends no process before
        assert check.returncode == 0, said
        assert f"[hang]: {hang.path}: no answer for 5 s" in said and "[disk]: cache = " in said, said
        assert "no errors: 2 exports, 1 of which refuses clients now" in said, said


@test("an authfile on a disk that hangs keeps out its own export's clients and no other's, however often they come")
def dead_authfile(bench: Bench) -> None:
    disk, good = bench.file("disk", MIB), bench.file("clients", content=b"127.0.0.0/8\n")
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        hang.content[:] = b"127.0.0.0/8\n"
        hang.hang = {LOOKUP}
        config = CONFIG.format(disk=disk, hang=disk, timeout=5).replace("[hang]", f"authfile = {good}\n[hang]")
        server = bench.serve(config=f"{config}authfile = {hang.path}\n")
        for _ in range(PLACES + 2):
            assert answer_to_go(server, b"disk")[0] == ACK, server.log()
        assert answer_to_go(server, b"hang")[0] != ACK
        server.wait_for_log(f"authfile {hang.path}: ")
        server.wait_for_log(f"[hang]: {hang.path}: no answer for 5 s")
        hang.release()
        wait_for(lambda: answer_to_go(server, b"hang")[0] == ACK, "the authfile to be read again")


@test("a UNIX socket whose path hangs is given up at a reload, and keeps nobody waiting meanwhile, nor when it is removed")
def dead_listener(bench: Bench) -> None:
    link = bench.folder / "link"
    (bench.folder / "sockets").mkdir()
    link.symlink_to(bench.folder / "sockets")
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        config = CONFIG.format(disk=bench.file("disk", MIB), hang=bench.folder / "disk", timeout=5)
        server = bench.serve(config=config.replace("[disk]", f"unixsock = {link}/sock\nduallisten = true\n[disk]"))
        before = config.replace("@PORT@", str(server.port))

        def reload(text: str, said: str) -> None:
            times = server.log().count(said)
            bench.file("server.conf", content=text.encode())
            server.signal(signal.SIGHUP)
            for _ in range(3):
                assert answer_to_go(server, b"disk")[0] == ACK, server.log()
            wait_for(lambda: server.log().count(said) > times, said)
            assert answer_to_go(server, b"disk")[0] == ACK, server.log()

        link.unlink()
        link.symlink_to(hang.folder)
        hang.hang = {LOOKUP}
        reload(before, "configuration reloaded")  # and its socket cannot be removed
        hang.wait_for_hanging(LOOKUP)
        other = before.replace("[disk]", f"unixsock = {hang.folder}/other\nduallisten = true\n[disk]")
        reload(other, f"cannot listen on unix:{hang.folder}/other: no answer for 10 s")
        server.wait_for_log("the reload failed; the old configuration stays in effect")
        assert "has errors" not in server.log(), server.log()
        reload(other, f"cannot listen on unix:{hang.folder}/other: an earlier attempt still hangs")
        reload(before, "configuration reloaded")
        server.signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0


def hidden_behind(bench: Bench, hang: HangingDisk, path: str, *words: str | Path) -> list[str | Path]:
    """The server in a mount namespace of its own, in which the disk that hangs has taken the place of `path`."""
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', hang.path, path,
            bench.server_program, *words]


@test("a start that waits for a path or name gives up with the reason")
def dead_start(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    with HangingDisk(bench.folder / "dead", MIB) as hang, HangingDisk(bench.folder / "names", MIB) as names:
        hang.hang, names.hang = {LOOKUP}, {OPEN}
        expected: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

        def start(reason: str, generic: str, *words: str | Path, behind: str = "", config: Path | None = None) -> None:
            number = len(expected)
            made = bench.file(f"{number}.conf", content=(f"[generic]\nport = {free_port()}\nstatussocket = none\n{generic}\n"
                                                         f"[disk]\nexportname = {disk}\n").encode())
            options = ["--foreground", "--config", config or made, *words]
            command = hidden_behind(bench, names, behind, *options) if behind else [bench.server_program, *options]
            log = bench.folder / f"{number}.log"
            with log.open("wb") as out:
                expected[reason] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out), log

        start(f"{hang.path}: no answer for 5 s", "", config=hang.path)
        start(f"--pid-file {hang.folder}/pid: no answer for 5 s", "listenaddr = 127.0.0.1", "--pid-file", hang.folder / "pid")
        start(f"cannot listen on unix:{hang.folder}/sock: no answer for 10 s", f"unixsock = {hang.folder}/sock")
        start(f"the status: cannot listen on unix:{hang.folder}/status: no answer for 10 s",
              f"listenaddr = 127.0.0.1\nstatussocket = {hang.folder}/status")
        start("resolving the name: no answer for 10 s", "listenaddr = localhost", behind="/etc/hosts")
        start("user = daemon, group = : no answer for 10 s", "listenaddr = 127.0.0.1\nuser = daemon", behind="/etc/passwd")
        for reason, (process, log) in expected.items():
            try:
                assert process.wait(timeout=60) == 1, log.read_text()
            finally:
                process.kill()
            assert reason in log.read_text(), f"{reason!r} is not in:\n{log.read_text()}"


@test("an includedir that hangs at the start is left out, loudly, and the other exports are served")
def dead_includedir(bench: Bench) -> None:
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        hang.hang = {LOOKUP}
        config = CONFIG.format(disk=bench.file("disk", MIB), hang=bench.folder / "disk", timeout=5)
        server = bench.serve(config=config.replace("[disk]", f"includedir = {hang.folder}/more\n[disk]"))
        assert answer_to_go(server, b"disk")[0] == ACK
        server.wait_for_log(f"includedir: {hang.folder}/more: no answer for 5 s")
        server.wait_for_log(f"{hang.folder}/more: skipped; its exports are not served until it is fixed")


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
        while b" serves 1 export" not in log:  # kept for the reader all the while
            assert select.select([reader], [], [], 60)[0], log
            log += os.read(reader, 4096)
        server.signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
    os.kill(opener, signal.SIGCONT)
    os.close(reader)


@test("the server serves, and ends, while the disk with its log file hangs, and the lines are written when it answers")
def log_on_a_dead_disk(bench: Bench) -> None:
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        hang.hang = {WRITE}
        port = free_port()
        # The shell opens it: this process could not answer itself, between its fork and exec.
        server = bench.start(port, "sh", "-c", 'exec "$@" 2>"$0"', hang.path, bench.server_program, "--foreground", "--listen",
                             f"127.0.0.1:{port}", "--export", f"disk={bench.file('disk', MIB)}")
        hang.wait_for_hanging(WRITE)
        assert answer_to_go(server, b"disk")[0] == ACK
        server.signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
        hang.release()
        wait_for(lambda: b" serves 1 export" in hang.content and b"stopped" in hang.content, "the lines")


@test("the command that starts a daemon returns after the lines of the start are in its log file, or a second if the disk hangs")
def log_of_a_daemon_on_a_dead_disk(bench: Bench) -> None:
    pid_file = bench.folder / "pid"
    with HangingDisk(bench.folder / "dead", MIB) as hang:
        hang.hang = {WRITE}
        start = time.monotonic()
        output("sh", "-c", 'exec "$@" 2>"$0"', hang.path, bench.server_program, "--listen", f"127.0.0.1:{free_port()}",
               "--pid-file", pid_file, "--export", f"disk={bench.file('disk', MIB)}")
        waited = time.monotonic() - start
        daemon = int(pid_file.read_text())
        try:
            assert waited >= 1, f"returned after {waited} s, and its log file has no line yet"
            hang.release()
            wait_for(lambda: b"listening on" in hang.content, "the lines")
        finally:
            os.kill(daemon, signal.SIGTERM)
            wait_for(lambda: not pid_file.exists(), "the daemon's end")


@test("a server starts again while the disk with its log file hangs, and the lines of both are written when it answers")
def restart_on_a_dead_log(bench: Bench) -> None:
    with HangingDisk(bench.folder / "dead", 0) as hang:
        hang.hang, hang.keeps_pages = {WRITE}, True
        port = free_port()
        disk = bench.file("disk", MIB)
        for _ in range(2):
            server = bench.start(port, "sh", "-c", 'exec "$@" 2>>"$0"', hang.path, bench.server_program, "--foreground",
                                 "--listen", f"127.0.0.1:{port}", "--export", f"disk={disk}")
            hang.wait_for_hanging(WRITE)
            assert answer_to_go(server, b"disk")[0] == ACK
            assert server.stop() == 0
        hang.release()
        wait_for(lambda: hang.content.count(b": stopped") == 2, "the lines of both")
