"""Paths of exports that no client can use, or not for writing: found by --check as by a client."""
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

import nbd
from bench import MIB, Bench, Server, loop_device, output, wait_for
from harness.registry import test


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
            said = check(bench, str(path), status=1)
            assert f"check.conf:1: error: {path} is neither a block device nor a regular file" in said, said
            assert "good" not in said, said
            refuses(server, str(number), f"{path} is neither a block device nor a regular file")
        said = check(bench, str(empty), status=1)
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
        said = check(bench, free, status=1)
        assert f"error: {free} is empty" in said and "good" not in said, said
    with loop_device(bench.file("disk", MIB)) as device:
        trace = bench.folder / "trace"
        config = bench.file("one.conf", content=f"[disk]\nexportname = {device}\n".encode())
        said = output("strace", "-f", "-o", trace, "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", "trace=open,openat", bench.server_program, "--check", "--config", config)
        assert "good: 1 export" in said, said
        opened = [line for line in trace.read_text().splitlines() if f'"{device}"' in line and "O_PATH" not in line]
        assert not opened, opened


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
        assert "[golden]: /dev" not in said and "good: 2 exports" in said, said
        assert "is in use" not in output(bench.server_program, "--check", "--config", config)
