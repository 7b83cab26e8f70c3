"""What a reply promises: the system calls of the server, seen from outside, in their order; and the cache modes."""
import json
import re
import subprocess

import nbd
from bench import MIB, Bench, Server, loop_device, output, wait_for
from harness.registry import test

# The time at which it began, the call, its arguments, how long it took.
CALL = re.compile(r"^([\d.]+) (pwritev2|fdatasync|sendto|sendmsg)\((.*)= \d+ <([\d.]+)>$", re.MULTILINE)


def calls_in_order(trace: str) -> list[str]:
    """The calls of several threads: a reply where it begins, anything else where it ends, so that a reply that was early
    by ever so little would stand before what it speaks of."""
    calls = []
    for began, name, words, took in CALL.findall(trace):
        reply = name.startswith("send")
        text = "reply" if reply else f"{name} durable" if "RWF_DSYNC" in words else name
        calls.append((float(began) + (0 if reply else float(took)), text))
    return [text for _, text in sorted(calls)]


def traced(bench: Bench, server: Server, handle: nbd.NBD) -> list[str]:
    """A write, a write with FUA and, where it is offered, a flush: the calls that are made for them."""
    said = bench.folder / f"strace-{server.port}.log"
    trace = bench.folder / f"trace-{server.port}"
    with said.open("w") as log:
        # -ff: a file for each thread, so that no call is cut in two by another thread's.
        strace = subprocess.Popen(["strace", "-ff", "-ttt", "-T", "-o", str(trace), "-e",
                                   "trace=pwritev2,fdatasync,sendto,sendmsg", "-p", str(server.process.pid)], stderr=log)
    wait_for(lambda: "attached" in said.read_text() or strace.poll() is not None, "strace to attach")
    handle.pwrite(bytes(4096), 0)
    handle.pwrite(bytes(4096), 4096, nbd.CMD_FLAG_FUA)
    offered = handle.can_flush()
    if offered:
        handle.flush()
    handle.shutdown()
    server.wait_for_log("closed")  # its thread has gone on, so all that it called before is written down
    server.process.kill()  # which ends strace, too
    server.process.wait()
    assert strace.wait(60) in (0, 1, 137, -9), said.read_text()
    # What follows the last reply belongs to the end of the connection.
    return calls_in_order("".join(file.read_text() for file in bench.folder.glob(f"{trace.name}.*")))[:6 if offered else 4]


def configured(bench: Bench, *lines: str) -> Server:
    path = bench.file("disk", MIB + 100)
    return bench.serve(config="\n".join(["[generic]", "listenaddr = 127.0.0.1", "port = @PORT@", "[disk]",
                                         f"exportname = {path}", *lines, ""]))


def open_flags(server: Server, path: str) -> list[int]:
    """Of the server's open files that are this one."""
    script = f"for fd in /proc/{server.process.pid}/fd/*; do [ \"$(readlink $fd)\" = {path} ] && grep flags /proc/{server.process.pid}/fdinfo/${{fd##*/}}; done; true"
    return [int(line.split()[1], 8) for line in output("sh", "-c", script).splitlines()]


WRITEBACK = ["pwritev2", "reply", "pwritev2 durable", "reply", "fdatasync", "reply"]
DURABLE = ["pwritev2 durable", "reply", "pwritev2 durable", "reply", "fdatasync", "reply"]


@test("a flush and a FUA write are on stable storage before they are answered, and in the durable cache modes, and without flush, every write is")
def stable_storage(bench: Bench) -> None:
    for line, wanted in (("cache = writeback", WRITEBACK), ("cache = none", WRITEBACK), ("cache = writethrough", DURABLE),
                         ("cache = directsync", DURABLE), ("sync = true", DURABLE), ("flush = false", DURABLE[:4])):
        server = configured(bench, line)
        handle = nbd.NBD()
        handle.connect_uri(server.uri("disk"))
        flags = open_flags(server, str(bench.folder / "disk"))
        direct = 0o40000 if "none" in line or "directsync" in line else 0
        assert any(one & 0o3 and one & 0o40000 == direct for one in flags), f"{line}: {flags}"
        calls = traced(bench, server, handle)
        assert calls == wanted, f"{line}: {calls}"


@test("by default a disk that is written to is served without the page cache where its blocks allow it, all else with it")
def default_mode(bench: Bench) -> None:
    files = {sector: bench.file(f"disk-{sector}", MIB) for sector in (512, 4096)}
    with loop_device(files[512], sector=512) as small, loop_device(files[4096], sector=4096) as large:
        text = "\n".join([
            "[generic]", "listenaddr = 127.0.0.1", "port = @PORT@", f"statussocket = {bench.folder / 'status'}", "[disk]", f"exportname = {small}", "[reader]",
            f"exportname = {small}", "readonly = true", "[synchronous]", f"exportname = {small}", "sync = true", "[large]", f"exportname = {large}",
            "[file]", f"exportname = {bench.file('file', MIB)}", ""])
        server = bench.serve(config=text)
        config = bench.folder / "modes.conf"
        config.write_text(text.replace("@PORT@", str(server.port)))
        wanted = {"disk": "none", "reader": "writeback", "synchronous": "directsync", "large": "writeback", "file": "writeback"}
        said = output(bench.server_program, "--check", "--config", config)
        for name, mode in wanted.items():
            assert f"[{name}]: cache = {mode} (default)" in said.splitlines(), f"{name}: {said}"
        for name, mode in wanted.items():
            handle = nbd.NBD()
            handle.connect_uri(server.uri(name))
            client, = json.loads(output(bench.server_program, "status", "--json", "--socket", bench.folder / "status"))["clients"]
            assert client["cache"] == mode, f"{name}: {client}"
            # Nobody who has attached it with blocks of 512 is told of larger ones now.
            assert handle.get_block_size(nbd.SIZE_MINIMUM) <= 512, name
            if name != "reader":
                handle.pwrite(b"x" * 512, 512)
            assert len(handle.pread(512, 512)) == 512
            handle.shutdown()
            wait_for(lambda: not json.loads(output(bench.server_program, "status", "--json", "--socket", bench.folder / "status"))["clients"],
                     "the connection to be gone")
        server.stop()


@test("without the page cache the smallest block is the disk's, and what is not aligned is refused without harm")
def unaligned(bench: Bench) -> None:
    server = configured(bench, "cache = none")
    handle = nbd.NBD()
    handle.connect_uri(server.uri("disk"))
    least = handle.get_block_size(nbd.SIZE_MINIMUM)
    assert least in (512, 1024, 2048, 4096), least
    assert handle.get_size() == MIB, handle.get_size()
    handle.set_strict_mode(0)
    handle.pwrite(b"\xa5" * 2 * least, 0)
    for offset, length in ((1, least), (0, least - 1), (least // 2, least)):
        for attempt in (lambda: handle.pwrite(bytes(length), offset), lambda: handle.pread(length, offset),
                        lambda: handle.zero(length, offset)):
            try:
                attempt()
            except nbd.Error as error:
                assert error.errnum == 22, error
            else:
                raise AssertionError(f"{length} bytes at {offset} were taken")
    assert handle.pread(2 * least, 0) == b"\xa5" * 2 * least
    handle.zero(least, 0)
    assert handle.pread(2 * least, 0) == bytes(least) + b"\xa5" * least
    handle.shutdown()


@test("a disk copies through every cache mode as it is, small blocks and large ones")
def copies(bench: Bench) -> None:
    source = bench.random_file("source", 3 * MIB)
    for mode in ("writeback", "none", "writethrough", "directsync"):
        server = bench.serve(config=f"[generic]\nlistenaddr = 127.0.0.1\nport = @PORT@\n[disk]\nexportname = "
                                    f"{bench.file(mode, 3 * MIB)}\ncache = {mode}\n")
        output("nbdcopy", source, server.uri("disk"))
        output("qemu-io", "-f", "raw", "-t", "none", "-c", "write -P 7 4k 12k", "-c", "read -P 7 4k 12k", "-c", "flush",
               server.uri("disk"))
        copy = bench.folder / f"{mode}.copy"
        output("nbdcopy", server.uri("disk"), copy)
        content = source.read_bytes()
        assert copy.read_bytes() == content[:4096] + b"\7" * 12288 + content[16384:], mode
        server.stop()
