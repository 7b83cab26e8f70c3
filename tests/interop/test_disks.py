"""Paths of exports that no client can use, or not for writing: found by --check as by a client."""
import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbd
from bench import MIB, Bench, Server, free_port, loop_device, output, wait_for
from harness.registry import test

SOURCE = Path(__file__).resolve().parents[2]


def refuses(server: Server, export: str, why: str) -> None:
    """The server refuses the export, with this reason."""
    handle = nbd.NBD()
    try:
        handle.connect_uri(server.uri(export))
    except nbd.Error:
        server.wait_for_log(f"refused: {why}")
        return
    raise AssertionError(f"{export} was served with {handle.get_size()} bytes")


def check(bench: Bench, export: str, *, status: int = 0) -> str:
    config = bench.file("check.conf", content=f"[disk]\nexportname = {export}\n".encode())
    return output(bench.server_program, "--check", "--config", config, status=status)


@test("--check refuses a path that is no disk, or an empty one, as a client's start would")
def no_disks(bench: Bench) -> None:
    folder, fifo, link, empty = (bench.folder / name for name in ("folder", "fifo", "link", "empty"))
    folder.mkdir()
    os.mkfifo(fifo)
    link.symlink_to("/dev/null")
    bench.file("empty")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(bench.folder / "socket"))
        kinds = ["/dev/null", folder, fifo, link, bench.folder / "socket"]
        server = bench.serve(*(f"{number}={path}" for number, path in enumerate([*kinds, empty])))
        for number, path in enumerate(kinds):
            said = check(bench, str(path), status=4)
            assert f"check.conf:1: error: {path} is neither a block device nor a regular file" in said, said
            assert "good" not in said, said
            refuses(server, str(number), f"{path} is neither a block device nor a regular file")
        said = check(bench, str(empty), status=4)
        assert f"error: {empty} is empty; clients of [disk] are refused" in said and "good" not in said, said
        refuses(server, str(len(kinds)), f"{empty} is empty")


@contextmanager
def free_loop_device(bench: Bench) -> Iterator[str]:
    """Loop device without a file, which no other program takes: its number is too high for losetup --find."""
    add, remove, major = 0x4C80, 0x4C81, 7  # LOOP_CTL_ADD, LOOP_CTL_REMOVE, LOOP_MAJOR
    number = 200 + os.getpid() % 800
    node = bench.folder / "free"
    with open("/dev/loop-control", "rb") as control:
        fcntl.ioctl(control, add, number)
        try:
            os.mknod(node, 0o600 | stat.S_IFBLK, os.makedev(major, number))
            yield str(node)
        finally:
            fcntl.ioctl(control, remove, number)


@test("--check refuses a loop device without a file, and opens no device")
def loop_without_file(bench: Bench) -> None:
    with free_loop_device(bench) as free:
        said = check(bench, free, status=4)
        assert f"error: {free} is empty" in said and "good" not in said, said
    with loop_device(bench.file("disk", MIB)) as device:
        trace = bench.folder / "trace"
        config = bench.file("one.conf", content=f"[disk]\nexportname = {device}\n".encode())
        said = output("strace", "-f", "-o", trace, "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", "trace=open,openat", bench.server_program, "--check", "--config", config)
        assert "good: 1 export" in said, said
        opened = [line for line in trace.read_text().splitlines() if f'"{device}"' in line and "O_PATH" not in line]
        assert not opened, opened


@test("an export with a loop device without a file keeps neither the init script nor SIGHUP from a reload, which an invalid configuration does")
def reload_beside_an_empty_device(bench: Bench) -> None:
    good = f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nallowlist = true\n[disk]\nexportname = {bench.file('disk', MIB)}\n"
    server = bench.serve(config=good)
    config = bench.folder / "server.conf"
    pid_file = bench.file("pid", content=f"{server.process.pid}\n".encode())
    text = (SOURCE / "sysvinit/holdfast-server.in").read_text()
    for name, value in (("DAEMON", bench.server_program.resolve()), ("CONFIG", config), ("PIDFILE", pid_file)):
        text = re.sub(f"^{name}=.*", f"{name}={value}", text, flags=re.MULTILINE)
    script = bench.file("script", content=text.encode())
    config.write_text(config.read_text() + "[wrong]\nexportname\n")
    assert "would not start" in output("sh", script, "reload", status=1)
    with free_loop_device(bench) as free:
        config.write_text(good.replace("@PORT@", str(server.port)) + f"[more]\nexportname = {bench.file('more', 2 * MIB)}\n"
                          f"[empty]\nexportname = {free}\n")
        said = output("sh", script, "reload")
        assert f"error: {free} is empty; clients of [empty] are refused" in said, said
        server.wait_for_log("configuration reloaded: 3 exports")
        server.wait_for_log(f"{free} is empty; clients of [empty] are refused until this is fixed")
        assert output("nbdinfo", "--size", server.uri("more")).strip() == str(2 * MIB)
        refuses(server, "empty", f"{free} is empty")


@test("the init script restarts a server that would start, and reloads one that would take the new configuration")
def init_script_heeds_the_check(bench: Bench) -> None:
    daemon, started, config = bench.folder / "daemon", bench.folder / "started", bench.file("server.conf", content=b"")
    text = (SOURCE / "sysvinit/holdfast-server.in").read_text()
    for name, value in (("DAEMON", daemon), ("CONFIG", config), ("PIDFILE", bench.folder / "pid")):
        text = re.sub(f"^{name}=.*", f"{name}={value}", text, flags=re.MULTILINE)
    script = bench.file("script", content=text.replace("start-stop-daemon --stop --signal HUP", f"echo reload >{started}; : ").encode())
    for status, goes_on in ((0, ("restart", "reload")), (1, ()), (2, ()), (4, ("restart", "reload")), (5, ("restart",))):
        daemon.write_text(f'#!/bin/sh\ncase "$*" in *--check*) exit {status} ;; esac\necho start >{started}\n')
        daemon.chmod(0o755)
        for command in ("restart", "reload"):
            started.unlink(missing_ok=True)
            output("sh", script, command, status=0 if command in goes_on else 1)
            assert started.exists() == (command in goes_on), f"{command} after status {status}"


def reload_as_systemd(unit: str, daemon: Path, hup: str) -> tuple[int, list[int]]:
    """Run the unit's ExecReload= lines as systemd does: in turn, until one ends with neither 0 nor a status of SuccessExitStatus=."""
    clean = {0, *(int(word) for line in re.findall(r"^SuccessExitStatus=(.*)", unit, re.MULTILINE) for word in line.split())}
    ended: list[int] = []
    for line in re.findall(r"^ExecReload=\+?(.*)", unit, re.MULTILINE):
        command = line.replace("@SBINDIR@/holdfast-server", str(daemon)).replace("/bin/kill -HUP $MAINPID", hup)
        ended.append(subprocess.run(["sh", "-c", command], check=False).returncode)
        if ended[-1] not in clean:
            return ended[-1], ended
    return 0, ended


@test("the unit's reload fails, and sends no signal, if the server would not take the new configuration; without a configuration it does not start")
def unit_heeds_the_check(bench: Bench) -> None:
    unit = (SOURCE / "systemd/holdfast-server.service.in").read_text()
    config = re.search(r"^ExecStart=.* --config (\S+)$", unit, re.MULTILINE)
    assert config and f"\nConditionPathExists={config[1]}\n" in unit
    daemon, reloaded = bench.folder / "daemon", bench.folder / "reloaded"
    for status in range(6):
        daemon.write_text(f'#!/bin/sh\n[ "$*" = "--check --config {config[1]}" ] && exit {status}\nexit 77\n')
        daemon.chmod(0o755)
        reloaded.unlink(missing_ok=True)
        failed, ended = reload_as_systemd(unit, daemon, f"touch {reloaded}")
        assert (failed == 0) == reloaded.exists() == (status in (0, 4)), (status, ended)


@test("--check and list --long find a file that cannot be created with its filesize, as a client does")
def not_creatable(bench: Bench) -> None:
    missing, device = bench.folder / "nowhere/disk", "/dev/nothing-of-this-name"
    config = "[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nallowlist = true\n" + "".join(
        f"[{name}]\nexportname = {path}\nfilesize = {MIB}\n"
        for name, path in (("good", bench.folder / "new"), ("folder", missing), ("device", device)))
    server = bench.serve(config=config)
    said = output(bench.server_program, "--check", "--config", bench.folder / "server.conf")
    assert f"warning: [folder]: {missing}: {missing.parent}/: open: No such file or directory; clients are refused" in said, said
    assert f"warning: [device]: {device}: no such device; clients are refused" in said, said
    assert "[good]: " not in said.replace("[good]: cache", ""), said
    lines = {line.split()[0]: line for line in output(bench.client_program, "list", "--long", f"127.0.0.1,{server.port}").splitlines()}
    assert "No such file or directory" in lines["folder"] and "1.0 MiB" not in lines["folder"], lines
    assert "no such device" in lines["device"], lines
    assert not (bench.folder / "new").exists() and not missing.exists()
    # Its traits are those that the file has after its creation.
    asked, first = nbd.NBD(), nbd.NBD()
    asked.set_opt_mode(True)
    asked.connect_uri(server.uri("good"))
    asked.opt_info()
    before = (asked.get_size(), asked.can_trim(), asked.is_read_only())
    asked.opt_abort()
    assert not (bench.folder / "new").exists()
    first.connect_uri(server.uri("good"))
    assert before == (first.get_size(), first.can_trim(), first.is_read_only()) == (MIB, True, False), before


@test("a read-only device is offered read-only, with a line in the log, and refused where readonly = false is written")
def read_only_device(bench: Bench) -> None:
    disk = bench.random_file("disk", MIB)
    with loop_device(disk, "--read-only") as device:
        sock = bench.folder / "status"
        config = (f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nstatussocket = {sock}\n[disk]\nexportname = {device}\n"
                  f"[golden]\nexportname = {device}\nreadonly = true\n[strict]\nexportname = {device}\nreadonly = false\n")
        server = bench.serve(config=config)
        server.wait_for_log(f"[disk]: {device} is a read-only device")
        said = output(bench.server_program, "--check", "--config", bench.folder / "server.conf")
        assert f"warning: [disk]: {device} is a read-only device, and offered read-only" in said, said
        assert f"warning: [strict]: {device} is a read-only device, and the export has readonly = false" in said, said
        assert "[golden]: /dev" not in said, said
        for name in ("disk", "golden"):
            handle = nbd.NBD()
            handle.connect_uri(server.uri(name))
            assert handle.is_read_only() and not handle.can_trim(), name
            assert handle.pread(MIB, 0) == disk.read_bytes()
            handle.shutdown()
        assert server.log().count(f"{device} is a read-only device\n") == 1, server.log()
        refuses(server, "strict", f"{device} is a read-only device, and the export has readonly = false; make the device writable")
        server.stop()


@test("a device that becomes read-only while it is in use is offered read-only to the next client, and writable again after that")
def turned_read_only(bench: Bench) -> None:
    with loop_device(bench.file("disk", MIB)) as device:
        server = bench.serve(f"disk={device}")
        writer, reader = nbd.NBD(), nbd.NBD()
        writer.connect_uri(server.uri("disk"))
        writer.pwrite(b"x" * 512, 0)
        writer.flush()
        output("blockdev", "--setro", device)
        reader.connect_uri(server.uri("disk"))
        assert reader.is_read_only() and reader.pread(512, 0) == b"x" * 512
        writer.shutdown()
        reader.shutdown()
        wait_for(lambda: server.log().count("closed") >= 2, "both connections to end")
        output("blockdev", "--setrw", device)
        writer = nbd.NBD()
        writer.connect_uri(server.uri("disk"))
        assert not writer.is_read_only()
        writer.pwrite(b"y" * 512, 0)
        writer.shutdown()
        server.stop()


@test("--check warns of a device that this machine has mounted")
def mounted(bench: Bench) -> None:
    folder = bench.folder / "mounted"
    folder.mkdir()
    with loop_device(bench.file("disk", 16 * MIB)) as device:
        config = bench.file("mounted.conf", content=f"[disk]\nexportname = {device}\n[golden]\nexportname = {device}\nreadonly = true\n".encode())
        output("mkfs.ext4", "-q", device)
        # In a mount namespace of its own, so that nothing is left behind.
        said = output("unshare", "--mount", "sh", "-c", f"mount {device} {folder} && exec {bench.server_program} --check --config {config}")
        assert f"{config}:1: warning: [disk]: {device} is in use: mounted on {folder}; clients are refused until it is free" in said, said
        assert "[golden]: /dev" not in said and "\nno errors: 2 exports, 1 of which refuses clients now; see the warnings\n" in said, said
        assert "is in use" not in output(bench.server_program, "--check", "--config", config)


@test("an export that this machine has mounted is not offered by list --long, and the log of the start and of a reload warns of it")
def mounted_is_not_offered(bench: Bench) -> None:
    folder = bench.folder / "mounted"
    folder.mkdir()
    with loop_device(bench.file("disk", 16 * MIB)) as device:
        output("mkfs.ext4", "-q", device)
        script = 'mount "$1" "$2" && shift 2 && exec "$@"'
        port = free_port()
        config = bench.file("server.conf", content=(f"[generic]\nport = {port}\nlistenaddr = 127.0.0.1\nallowlist = true\n[disk]\n"
                                                    f"exportname = {device}\n[golden]\nexportname = {device}\nreadonly = true\n").encode())
        # In a mount namespace of its own, so that nothing is left behind.
        server = bench.start(port, "unshare", "--mount", "sh", "-c", script, "-", device, folder, bench.server_program, "--foreground",
                             "--config", config)
        server.wait_for_log(f"{config}:5: [disk]: {device} is in use: mounted on {folder}; clients are refused until it is free")
        lines = {line.split()[0]: line for line in output(bench.client_program, "list", "--long", f"127.0.0.1,{server.port}").splitlines()}
        assert f"{device} is in use: mounted on {folder}" in lines["disk"] and "MiB" not in lines["disk"], lines
        assert "16.0 MiB" in lines["golden"], lines
        refuses(server, "disk", f"{device} is in use: mounted on {folder}")
        server.signal(signal.SIGHUP)
        wait_for(lambda: server.log().count("clients are refused until it is free") == 2, "the warning after the reload")
        assert "[golden]: /dev" not in server.log()
        server.stop()


@test("--check tells how many exports refuse clients now, although nothing is an error")
def counts_refusing_exports(bench: Bench) -> None:
    disk, allow = bench.file("disk", MIB), bench.folder / "no-authfile"
    with loop_device(bench.file("image", MIB), "--read-only") as device:
        config = bench.file("refusing.conf", content=(
            f"[good]\nexportname = {disk}\n[missing]\nexportname = /dev/nothing-of-this-name\nauthfile = {allow}\n"
            f"[shut]\nexportname = {disk}\nauthfile = {allow}\n[offered]\nexportname = {device}\n"
            f"[strict]\nexportname = {device}\nreadonly = false\n").encode())
        said = output(bench.server_program, "--check", "--config", config)
        assert said.endswith("no errors: 5 exports, 3 of which refuse clients now; see the warnings\n"), said
