"""What the process that speaks to clients may do: nothing but serve what its opener has opened for it."""
import os
import re
import signal
import socket
import stat
from pathlib import Path

import nbd
from bench import MIB, Bench, answers, free_port, opener_of, output, wait_for
from harness.registry import test
from libnbd_link import connect, refused


def status(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in text.splitlines())}


def is_sanitized(bench: Bench) -> bool:
    return bench.build.name != "build"


@test("the process that speaks to clients has no capabilities, cannot get any, and has a filter for system calls")
def no_privileges(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    handle = connect(server.uri("disk"))  # so that there is a thread of a connection, too
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        now = status(int(task.name))
        for which in ("CapInh", "CapPrm", "CapEff", "CapAmb") + (("CapBnd",) if os.geteuid() == 0 else ()):
            assert int(now[which], 16) == 0, f"{which} is {now[which]}"
        assert now["NoNewPrivs"] == "1"
        assert now["Seccomp"] == ("0" if is_sanitized(bench) else "2"), now["Seccomp"]
    handle.shutdown()


@test("the process that speaks to clients opens nothing, whatever its clients ask and through a reload, and uses no call that it may not")
def opens_nothing(bench: Bench) -> None:
    disk, late = bench.file("disk", MIB), bench.folder / "late"
    clients = bench.file("clients", content=b"127.0.0.1\n")
    port = free_port()
    config = bench.file("server.conf", content=(
        f"[generic]\nport = {port}\nlistenaddr = 127.0.0.1\nallowlist = true\n[disk]\nexportname = {disk}\nauthfile = {clients}\n"
        f"[late]\nexportname = {late}\n").encode())
    trace = bench.folder / "trace"
    server = bench.start(port, "strace", "--follow-forks", "--output-separately", "--output", trace,
                         "--trace", "%file,open_by_handle_at,execve,setsockopt", "--quiet=all", "--env", "ASAN_OPTIONS=detect_leaks=0",
                         bench.server_program, "--foreground", "--config", config)
    server.wait_for_log(" serves ")
    handle = connect(server.uri("disk"))
    handle.pwrite(b"x" * 4096, 0)
    handle.flush()
    handle.zero(4096, 4096)
    handle.trim(4096, 8192)
    assert refused(server.uri("late"))
    late.write_bytes(bytes(MIB))
    assert not refused(server.uri("late"))
    output("nbdinfo", "--list", server.uri())
    config.write_text(config.read_text() + f"[new]\nexportname = {disk}\nreadonly = true\n")
    pid = int(Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()[0])
    os.kill(pid, signal.SIGHUP)
    wait_for(lambda: not refused(server.uri("new")), "the new export")
    handle.shutdown()
    os.kill(pid, signal.SIGTERM)
    assert server.process.wait(60) == 0, server.log()
    assert "system call" not in server.log(), server.log()
    # The threads of connections are known by what they set their sockets to.
    threads = [path for path in bench.folder.glob("trace.*") if "SO_SNDTIMEO" in path.read_text()]
    assert threads, "no thread of a connection was traced"
    for path in threads:
        opened = [line for line in path.read_text().splitlines() if re.search(r"open|stat", line) and "AT_EMPTY_PATH" not in line
                  and not re.search(r" = -1 E", line)]
        assert not opened, f"{path.name}: {opened}"
    main = (bench.folder / f"trace.{pid}").read_text().splitlines()
    # Not even the configuration: processes of its own have read that.
    opened = [line for line in main if str(bench.folder) in line and re.match(r"open", line)]
    assert not opened, opened


@test("the opener's end ends the server, which says so")
def opener_ends(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    handle = connect(server.uri("disk"))
    os.kill(opener_of(server), signal.SIGKILL)
    assert server.process.wait(60) == 1, server.log()
    assert "the opener process has ended" in server.log(), server.log()
    try:
        handle.pread(512, 0)
        raise AssertionError("a server without an opener still serves")
    except nbd.Error:
        pass


@test("the server's end ends the opener, and signals for all of a service do not")
def server_ends(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    opener = opener_of(server)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        os.kill(opener, number)
    assert not refused(server.uri("disk"))
    server.process.kill()
    server.process.wait()
    wait_for(lambda: not Path(f"/proc/{opener}").exists(), "the end of the opener")


@test("a reload takes a changed authfile, a new port and a UNIX socket, and gives up the old ones")
def reload_listeners(bench: Bench) -> None:
    disk, clients = bench.file("disk", MIB), bench.file("clients", content=b"192.0.2.1\n")
    first, second = bench.folder / "first.sock", bench.folder / "second.sock"
    head = "[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nduallisten = true\n"
    server = bench.serve(config=f"{head}unixsock = {first}\n[disk]\nexportname = {disk}\nauthfile = {clients}\n")
    assert refused(server.uri("disk"))
    clients.write_text("127.0.0.1\n")
    assert not refused(server.uri("disk")), "an authfile counts from the next connection on"
    port = free_port()
    config = bench.folder / "server.conf"
    config.write_text(f"[generic]\nport = {port}\nlistenaddr = 127.0.0.1\nduallisten = true\nunixsock = {second}\n"
                      f"[disk]\nexportname = {disk}\n")
    server.signal(signal.SIGHUP)
    wait_for(lambda: answers(port), "the new port")
    server.wait_for_log("configuration reloaded")
    wait_for(lambda: not first.exists(), "the old socket to be removed, after the reload was logged")
    assert not answers(server.port)
    assert not refused(f"nbd+unix:///disk?socket={second}")
    assert server.stop() == 0
    assert not second.exists()


@test("a daemon's pid file goes with it, and the opener keeps nothing of the command that started it")
def pid_file(bench: Bench) -> None:
    disk, file, port = bench.file("disk", MIB), bench.folder / "pid", free_port()
    # The output is a pipe here: who held it open would hold up whoever reads it.
    output(bench.server_program, "--export", f"disk={disk}", "--listen", f"127.0.0.1:{port}", "--pid-file", file, timeout=60)
    pid = int(file.read_text())
    assert answers(port)
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not file.exists(), "the end of the pid file")
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the end of the daemon")


@test("a daemon's log reaches a logger that has started anew, though the daemon may connect to nothing")
def logger_anew(bench: Bench) -> None:
    disk, file, port = bench.file("disk", MIB), bench.folder / "pid", free_port()
    dev = bench.folder / "dev"
    dev.mkdir()
    os.mknod(dev / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))

    def logger() -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.settimeout(60)
        made.bind(str(dev / "log"))
        (dev / "log").chmod(0o666)
        return made

    def hears(text: bytes) -> None:
        while text not in (line := log.recv(4096)):
            pass
        assert line.startswith(b"<30>holdfast-server["), line

    with logger() as log:
        output("unshare", "--mount", "sh", "-c", 'mount --bind "$1" /dev && shift && exec "$@"', "-", dev, bench.server_program,
               "--export", f"disk={disk}", "--listen", f"127.0.0.1:{port}", "--pid-file", file)
        connect(f"nbd://127.0.0.1:{port}/disk").shutdown()
        hears(b"export disk: 127.0.0.1:")
    (dev / "log").unlink()
    with logger() as log:
        connect(f"nbd://127.0.0.1:{port}/disk").shutdown()
        hears(b"export disk: 127.0.0.1:")
        os.kill(int(file.read_text()), signal.SIGTERM)
        wait_for(lambda: not file.exists(), "the end of the daemon")
