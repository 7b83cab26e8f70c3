"""Boot files that a host hands to its server (HF 2), byte by byte: what is stored, who may, and what a stalled, wrong or too large
upload leaves behind."""
import hashlib
import json
import os
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

from bench import MIB, Bench, Server, free_port, serves, wait_for
from harness.registry import test
from nbd_wire import ACK, CLIENT_FLAGS, INVALID, MINE, POLICY, SECOND, dial, ended, enter, option, reply

BOOT_FILES = 0x48460002
PLATFORM, TOO_BIG = 0x80000004, 0x80000009
NO_WRITER = 0xc8460002  # the session has no connection just now
KERNEL, INITRD = b"kernel" * 20_000, b"initrd" * 50_000
PIECE = 65536

CONFIG = """[generic]
listenaddr = 127.0.0.1
port = @PORT@
handshaketimeout = {timeout}
statussocket = none
bootfilesdir = {spool}
[disk]
exportname = {disk}
bootfiles = {allowed}
bootfilesquota = {quota}
[other]
exportname = {other}
bootfiles = yes
[reader]
exportname = {other}
readonly = yes
"""


def spool_of(bench: Bench) -> Path:
    return bench.folder / "spool"


def serve(bench: Bench, quota: int = 8 * MIB, allowed: str = "yes", timeout: int = 10) -> Server:
    return bench.serve(config=CONFIG.format(disk=bench.file("disk", MIB), other=bench.file("other", MIB), spool=spool_of(bench),
                                            quota=quota, allowed=allowed, timeout=timeout))


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def named(command: int, name: bytes, session: bytes) -> bytes:
    return bytes([command]) + session + struct.pack(">I", len(name)) + name


def ask(link: socket.socket, data: bytes) -> int:
    """Send a command; return the type of its answer."""
    link.sendall(option(BOOT_FILES, data))
    return reply(link)[0]


def begin(link: socket.socket, content: bytes, name: bytes = b"disk", session: bytes = MINE) -> tuple[int, int]:
    """Return the answer's state and offset, or its error and -1."""
    link.sendall(option(BOOT_FILES, named(1, name, session) + digest(content) + struct.pack(">Q", len(content))))
    kind, data = reply(link)
    if kind != BOOT_FILES:
        return kind, -1
    assert reply(link) == (ACK, b"")
    state, offset = struct.unpack(">BQ", data)
    return state, offset


def piece(offset: int, content: bytes) -> bytes:
    return b"\x02" + struct.pack(">Q", offset) + content


def send_from(link: socket.socket, content: bytes, offset: int = 0) -> int:
    """Send all pieces from an offset on, and the end; return the type of the last answer."""
    for at in range(offset, len(content), PIECE):
        kind = ask(link, piece(at, content[at:at + PIECE]))
        if kind != ACK:
            return kind
    return ask(link, b"\x03")


def manifest(kernel: bytes, initrd: bytes, version: str = "6.1.0-37-amd64") -> bytes:
    lines = [f"{role} {version} {digest(file).hex()} {len(file)}\n" for role, file in (("kernel", kernel), ("initrd", initrd))]
    return ("holdfast-boot-files 1\n" + "".join(lines)).encode()


def side(server: Server) -> socket.socket:
    link = dial(server)
    link.sendall(CLIENT_FLAGS)
    return link


def upload(link: socket.socket, *contents: bytes) -> None:
    for content in contents:
        assert begin(link, content) == (0, 0)
        assert send_from(link, content) == ACK


def names(bench: Bench, export: str = "disk") -> list[str]:
    folder = spool_of(bench) / export
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@test("boot files: what a host hands in lies in the spool, and only the committed files stay")
def committed(bench: Bench) -> None:
    server = serve(bench)
    with enter(server, 1), side(server) as link:
        upload(link, KERNEL, INITRD)
        text = manifest(KERNEL, INITRD)
        assert ask(link, named(4, b"disk", MINE) + text) == ACK
        folder = spool_of(bench) / "disk"
        assert (folder / "manifest").read_bytes() == text
        assert (folder / digest(KERNEL).hex()).read_bytes() == KERNEL
        assert (folder / digest(INITRD).hex()).read_bytes() == INITRD
        assert folder.stat().st_mode & 0o777 == 0o700 and spool_of(bench).stat().st_mode & 0o777 == 0o700
        assert (spool_of(bench) / ".committed").exists()
        # The next kernel: the initramfs is there already, and the old kernel goes with the new manifest.
        newer = b"newer" + KERNEL
        assert begin(link, INITRD) == (1, len(INITRD))
        upload(link, newer)
        assert digest(KERNEL).hex() in names(bench)
        assert ask(link, named(4, b"disk", MINE) + manifest(newer, INITRD, "6.2")) == ACK
        assert names(bench) == sorted([digest(newer).hex(), digest(INITRD).hex(), "manifest"])
        (folder / "published").write_text("as published\n")
        link.sendall(option(BOOT_FILES, named(5, b"disk", MINE)))
        assert reply(link) == (BOOT_FILES, b"as published\n") and reply(link) == (ACK, b"")
    server.wait_for_log("boot files committed, kernel 6.2")
    serves(server)


@test("boot files: an upload that was cut off goes on where it was, also after a restart of the server")
def resumed(bench: Bench) -> None:
    server = serve(bench)
    with enter(server, 1):
        with side(server) as link:
            assert begin(link, INITRD) == (0, 0)
            assert ask(link, piece(0, INITRD[:PIECE])) == ACK
        part = spool_of(bench) / "disk" / f"{digest(INITRD).hex()}.part"
        assert part.read_bytes() == INITRD[:PIECE]
    server.stop()
    server = serve(bench)
    with enter(server, 1), side(server) as link:
        assert begin(link, INITRD) == (0, PIECE)
        assert send_from(link, INITRD, PIECE) == ACK
    assert names(bench) == [digest(INITRD).hex()]


@test("boot files: a file of another content is refused, and nothing remains of it")
def wrong_content(bench: Bench) -> None:
    server = serve(bench)
    with enter(server, 1), side(server) as link:
        assert begin(link, KERNEL) == (0, 0)
        assert send_from(link, KERNEL[:-1] + b"x") == INVALID
        assert names(bench) == []
        assert begin(link, KERNEL) == (0, 0)
        assert ask(link, piece(0, KERNEL[:100])) == ACK
        assert ask(link, b"\x03") == INVALID, "half a file"
        assert names(bench) == []
        assert begin(link, KERNEL) == (0, 0)
        assert ask(link, piece(100, KERNEL[100:200])) == INVALID, "a gap"
        assert begin(link, KERNEL[:100]) == (0, 0)
        assert ask(link, piece(0, KERNEL[:101])) == INVALID, "more than was announced"
        upload(link, KERNEL)
        assert ask(link, named(4, b"disk", MINE) + manifest(KERNEL, INITRD)) == INVALID, "a file that was not sent"
        assert ask(link, named(4, b"disk", MINE) + b"anything\n") == INVALID
        assert "manifest" not in names(bench)


@test("boot files: only the session that writes to the export hands them in, and only where the configuration says so")
def policy(bench: Bench) -> None:
    server = serve(bench)
    with side(server) as link:
        assert begin(link, KERNEL) == (NO_WRITER, -1), "the session has no connection"
        with enter(server, 1), enter(server, 1, b"reader", session=SECOND):
            assert begin(link, KERNEL, session=SECOND) == (NO_WRITER, -1), "another session"
            assert begin(link, KERNEL, b"other") == (NO_WRITER, -1), "another export"
            assert begin(link, KERNEL, b"reader", SECOND) == (POLICY, -1), "a reader"
            assert begin(link, KERNEL, b"nowhere") == (POLICY, -1)
            for command in (named(4, b"disk", SECOND) + manifest(KERNEL, INITRD), named(5, b"disk", SECOND)):
                assert ask(link, command) == NO_WRITER
            assert begin(link, KERNEL) == (0, 0)
        # Its connection ends meanwhile.
        wait_for(lambda: has_no_writer(server), "the session to be over")
        assert ask(link, piece(0, KERNEL[:10])) == NO_WRITER
        assert begin(link, KERNEL) == (NO_WRITER, -1)
    server.stop()
    server = serve(bench, allowed="no")
    with enter(server, 1), side(server) as link:
        assert begin(link, KERNEL) == (POLICY, -1)
        assert ask(link, named(5, b"disk", MINE)) == POLICY


def has_no_writer(server: Server) -> bool:
    with side(server) as link:
        return ask(link, named(5, b"disk", MINE)) == NO_WRITER


@test("boot files: the quota holds, and files that nobody committed make room")
def quota(bench: Bench) -> None:
    server = serve(bench, quota=2 * MIB)
    small, large, next_one = os.urandom(700_000), os.urandom(1_000_000), os.urandom(900_000)
    with enter(server, 1), side(server) as link:
        assert begin(link, os.urandom(2 * MIB + 1)) == (TOO_BIG, -1)
        upload(link, small, large)
        assert ask(link, named(4, b"disk", MINE) + manifest(small, large)) == ACK
        assert begin(link, next_one) == (TOO_BIG, -1), "beside the committed files"
        assert names(bench) == sorted([digest(small).hex(), digest(large).hex(), "manifest"])
        tiny = [os.urandom(300_000) for _ in range(2)]
        upload(link, tiny[0])
    with enter(server, 2), side(server) as link:
        upload(link, tiny[1])
        assert digest(tiny[0]).hex() not in names(bench) and digest(tiny[1]).hex() in names(bench)
        assert digest(small).hex() in names(bench) and digest(large).hex() in names(bench)


@test("boot files: one upload of an export at a time; an upload that stalls ends, and one that goes on does not")
def stalled(bench: Bench) -> None:
    server = serve(bench, timeout=2)
    with enter(server, 1), side(server) as link, side(server) as second:
        assert begin(link, INITRD) == (0, 0)
        assert begin(second, KERNEL) == (PLATFORM, -1)
        began = time.monotonic()
        for at in range(0, 5 * 1000, 1000):
            assert ask(link, piece(at, INITRD[at:at + 1000])) == ACK
            time.sleep(0.8)  # the pause of a slow client, not a wait for an event
        assert time.monotonic() - began > 3
        assert ask(link, piece(5000, INITRD[5000:6000])) == ACK
        assert ended(link), "it stalls"
        server.wait_for_log("its boot files stopped for 2 s")
    with enter(server, 2), side(server) as link:
        # The export is free a moment after the line in the log.
        wait_for(lambda: begin(link, INITRD) != (PLATFORM, -1), "the end of the stalled upload")
        assert begin(link, INITRD) == (0, 6000)


def failing(bench: Bench, call: str, error: str) -> Server:
    """Our server, of which this system call always fails."""
    port = free_port()
    config = CONFIG.format(disk=bench.file("disk", MIB), other=bench.file("other", MIB), spool=spool_of(bench), quota=8 * MIB,
                           allowed="yes", timeout=10).replace("@PORT@", str(port))
    server = bench.start(port, "strace", "-D", "-f", "-q", "-o", bench.folder / "trace", "-E", "ASAN_OPTIONS=detect_leaks=0",
                         "-e", f"trace={call}", "-e", f"inject={call}:error={error}",
                         bench.server_program, "--foreground", "--config", bench.file("failing.conf", content=config.encode()))
    server.wait_for_log(" serves ")
    return server


@test("boot files: a full disk is reported, and the part is removed")
def full_disk(bench: Bench) -> None:
    for call in ("fallocate", "pwrite64"):
        server = failing(bench, call, "ENOSPC")
        with enter(server, 1), side(server) as link:
            began = begin(link, KERNEL)
            assert began == ((PLATFORM, -1) if call == "fallocate" else (0, 0)), began
            if call == "pwrite64":
                link.sendall(option(BOOT_FILES, piece(0, KERNEL[:PIECE])))
                kind, text = reply(link)
                assert kind == PLATFORM and b"No space left" in text, (kind, text)
            assert names(bench) == []
        server.stop()


@test("boot files: nothing is acknowledged that is not on stable storage, and the old manifest stays whole")
def stable_storage(bench: Bench) -> None:
    server = serve(bench)
    with enter(server, 1), side(server) as link:
        upload(link, KERNEL, INITRD)
        assert ask(link, named(4, b"disk", MINE) + manifest(KERNEL, INITRD)) == ACK
    server.stop()
    server = failing(bench, "fsync", "EIO")
    with enter(server, 1), side(server) as link:
        assert ask(link, named(4, b"disk", MINE) + manifest(KERNEL, INITRD, "6.2")) == PLATFORM
        assert (spool_of(bench) / "disk/manifest").read_bytes() == manifest(KERNEL, INITRD)
        assert begin(link, b"new") == (0, 0)
        assert send_from(link, b"new") == PLATFORM
        assert names(bench) == sorted([digest(KERNEL).hex(), digest(INITRD).hex(), "manifest"])


@test("boot files: pieces cost bounded memory, and none before a file has begun")
def bounded(bench: Bench) -> None:
    server = serve(bench)
    with enter(server, 1), side(server) as link:
        for data in (piece(0, b"x" * 10), piece(0, b"x" * PIECE), b"\x03", b"\x09", b""):
            assert ask(link, data) == INVALID
        assert begin(link, INITRD) == (0, 0)
        assert ask(link, piece(0, b"x" * (PIECE + 1))) == INVALID
    with side(server) as link:
        link.sendall(option(BOOT_FILES, length=(1 << 20) + 1))
        assert ended(link)
    serves(server)


# --- our client ---

def record(server: Server) -> str:
    """The record of an attached device nbd0 whose server this is; its identifier is that of an older version."""
    address = struct.pack("<H", socket.AF_INET) + struct.pack(">H", server.port) + socket.inet_aton("127.0.0.1") + b"\0" * 8
    text = f"127.0.0.1:{server.port}"
    return (f"holdfast-record 1\nindex 0\nidentifier holdfast:{MINE.hex()}\nsession {MINE.hex()}\nsize 1048576\ncarries_root 1\n"
            f"target {address.hex()} {b'disk'.hex()} {text.encode().hex()} nbd://{text}/disk\n")


def bootfiles(bench: Bench, server: Server, *words: str | Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command with a /run of its own, in which nbd0 is attached."""
    state = bench.file("nbd0.state", content=record(server).encode())
    script = f'mount -t tmpfs none /run && mkdir /run/holdfast && cp {state} /run/holdfast/nbd0.state && exec {before} "$@"'
    return subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", str(bench.client_program), "bootfiles", "nbd0", *map(str, words)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def files_of(bench: Bench, version: str = "6.1.0-37-amd64") -> tuple[Path, Path]:
    return (bench.file(f"vmlinuz-{version}", content=KERNEL + version.encode()),
            bench.file(f"initrd.img-{version}", content=INITRD + version.encode()))


def push(bench: Bench, server: Server, kernel: Path, initrd: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return bootfiles(bench, server, "--push", "--kernel", kernel, "--initrd", initrd, *more)


@test("boot files: our client hands in what the server lacks, and shows what the next boot gets")
def by_our_client(bench: Bench) -> None:
    server = serve(bench)
    kernel, initrd = files_of(bench)
    xen = bench.file("xen-4.17-amd64.gz", content=b"xen" * 1000)
    total = sum(len(path.read_bytes()) for path in (kernel, initrd, xen))
    with enter(server, 1):
        done = push(bench, server, kernel, initrd, "--xen", xen)
        assert done.returncode == 0 and done.stdout == f"kernel 6.1.0-37-amd64: handed to the server, {total} bytes sent\n", done
        folder = spool_of(bench) / "disk"
        text = (folder / "manifest").read_text()
        assert text.splitlines()[3] == f"xen 4.17-amd64 {digest(xen.read_bytes()).hex()} 3000", text
        assert (folder / digest(kernel.read_bytes()).hex()).read_bytes() == kernel.read_bytes()
        done = push(bench, server, kernel, initrd, "--xen", xen, "--json")
        assert done.stdout == '{"kernel":"6.1.0-37-amd64","sent":0,"new":true}\n', done
        assert "nothing was published" in bootfiles(bench, server).stdout
        sums = [digest(path.read_bytes()).hex() for path in (kernel, initrd)]
        (folder / "published").write_text(f"holdfast-boot-published 1\nmanifest {digest(text.encode()).hex()}\n"
                                          f"next 6.1.0-37-amd64 {sums[0]} {sums[1]}\nprevious 6.1.0-35-amd64\n")
        assert bootfiles(bench, server).stdout == "next boot: kernel 6.1.0-37-amd64, fallback 6.1.0-35-amd64\n"
        assert json.loads(bootfiles(bench, server, "--json").stdout) == {
            "published": True, "next": "6.1.0-37-amd64", "kernel_sha256": sums[0], "initrd_sha256": sums[1],
            "previous": "6.1.0-35-amd64"}
        done = push(bench, server, kernel, initrd, "--xen", xen)
        assert done.stdout == "kernel 6.1.0-37-amd64: the server has it already\n", done


@test("boot files: our client hands in refused files again, and the server receives those that were damaged there")
def refused_files(bench: Bench) -> None:
    server = serve(bench)
    kernel, initrd = files_of(bench)
    with enter(server, 1):
        assert push(bench, server, kernel, initrd).returncode == 0
        folder = spool_of(bench) / "disk"
        text = (folder / "manifest").read_bytes()
        damaged = folder / digest(kernel.read_bytes()).hex()
        damaged.write_bytes(b"x" * kernel.stat().st_size)
        (folder / "published").write_text(f"holdfast-boot-published 1\nmanifest {digest(text).hex()}\nrefused vmlinuz: it changed\n")
        (spool_of(bench) / ".committed").unlink()
        done = push(bench, server, kernel, initrd)
        assert done.stdout == f"kernel 6.1.0-37-amd64: handed to the server, {kernel.stat().st_size} bytes sent\n", done
        assert damaged.read_bytes() == kernel.read_bytes() and (spool_of(bench) / ".committed").exists()


@test("boot files: our client begins a file again whose part at the server is damaged")
def damaged_part(bench: Bench) -> None:
    server = serve(bench)
    kernel, initrd = files_of(bench)
    with enter(server, 1):
        folder = spool_of(bench) / "disk"
        folder.mkdir(parents=True)
        part = folder / f"{digest(kernel.read_bytes()).hex()}.part"
        part.write_bytes(b"\0" * 70_000)  # as after a power cut
        assert push(bench, server, kernel, initrd).returncode == 0
        assert (folder / digest(kernel.read_bytes()).hex()).read_bytes() == kernel.read_bytes() and not part.exists()


@test("boot files: our client says what is wrong, with a status for each kind")
def client_failures(bench: Bench) -> None:
    server = serve(bench, quota=MIB)
    kernel, initrd = files_of(bench)
    with enter(server, 1):
        done = push(bench, server, kernel, bench.file("initrd.img-large", size=2 * MIB))
        assert done.returncode == 1 and "raise bootfilesquota" in done.stderr, done
        assert push(bench, server, bench.folder / "nothere-1", initrd).returncode == 1
        assert push(bench, server, bench.file("vmlinuz-empty"), initrd).returncode == 1
        # A disk that fails after the sum over the file.
        done = bootfiles(bench, server, "--push", "--kernel", kernel, "--initrd", initrd,
                         before=f"strace -qq -e inject=pread64:error=EIO:when=10+ -o {bench.folder / 'calls'} -P {initrd} -P {kernel}")
        assert done.returncode == 1 and "Input/output error" in done.stderr, done
    server.stop()
    done = push(bench, server, kernel, initrd)
    assert done.returncode == 5, done
    with socket.create_server(("127.0.0.1", server.port)) as listening:
        thread = threading.Thread(target=lambda: listening.accept()[0].sendall(b"no server of NBD" * 4), daemon=True)
        thread.start()
        done = push(bench, server, kernel, initrd)
        assert done.returncode == 1 and "not a fixed newstyle greeting" in done.stderr, done


@test("boot files: a server that takes none is not confused with a device that reconnects, whose client tries again")
def while_reconnecting(bench: Bench) -> None:
    server = serve(bench)
    kernel, initrd = files_of(bench)
    done = bootfiles(bench, server)
    assert done.returncode == 7 and "a connection of their session" in done.stderr, done
    pushing = threading.Thread(target=lambda: results.append(push(bench, server, kernel, initrd)))
    results: list[subprocess.CompletedProcess[str]] = []
    pushing.start()
    wait_for(lambda: server.log().count("boot files need a connection of their session") > 1, "the second refusal")
    with enter(server, 1):
        pushing.join()
    assert results[0].returncode == 0 and "handed to the server" in results[0].stdout, results
    server.stop()
    server = serve(bench, allowed="no")
    done = push(bench, server, kernel, initrd)
    assert done.returncode == 4 and "bootfiles = yes" in done.stderr, done


@test("boot files: our client asks the server of the root disk, and not that of a further disk with a lower number")
def root_disk_is_asked(bench: Bench) -> None:
    server, other = serve(bench), serve(bench)
    first = record(server).replace("index 0", "index 1") + "attached_at 5000000000\n"
    further = record(other) + "attached_at 7000000000\n"
    states = [bench.file(f"nbd{index}.state", content=text.encode()) for index, text in enumerate((further, first))]
    script = ('mount -t tmpfs none /run && mkdir -p /run/holdfast /run/block/nbd0 /run/block/nbd1 && mount --bind /run/block /sys/block && '
              f'cp {states[0]} {states[1]} /run/holdfast && "$@" && ls /run/holdfast')
    with enter(server, 1):
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", str(bench.client_program), "bootfiles"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "nothing was published" in done.stdout, done
    # `status` asks the server of this disk from now on, and of no other disk.
    assert "nbd1.bootfiles-accepted" in done.stdout and "nbd0.bootfiles-accepted" not in done.stdout, done


@test("boot files: a command waits for another one, with a message")
def turns(bench: Bench) -> None:
    server = serve(bench)
    kernel, initrd = files_of(bench)
    held = "flock /run/holdfast/bootfiles.lock sh -c 'read line </run/held' & wait_for_lock() { while flock -n /run/holdfast/bootfiles.lock true; do :; done; }"
    state = bench.file("nbd0.state", content=record(server).encode())
    script = (f'mount -t tmpfs none /run && mkdir /run/holdfast && cp {state} /run/holdfast/nbd0.state && mkfifo /run/held || exit 9; {held}; '
              'wait_for_lock; exec 3<>/run/held; { "$@"; echo "status $?"; } 2>&1 | while read -r line; do echo "$line"; '
              'case $line in *waiting*) echo over >&3 ;; esac; done')
    with enter(server, 1):
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", str(bench.client_program), "bootfiles", "nbd0", "--push",
                               "--kernel", kernel, "--initrd", initrd], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    said = done.stdout.splitlines()
    assert said[0].startswith("holdfast-client: waiting until another") and "handed to the server" in said[1] and said[2] == "status 0", done


@test("boot files: the hook of the kernel packages never fails, and does nothing on a machine without our root disk")
def hook(bench: Bench) -> None:
    programs = bench.folder / "programs"
    programs.mkdir()
    run = bench.folder / "run"
    run.mkdir()
    client = programs / "holdfast-client"

    def run_hook(status: int) -> tuple[str, str]:
        calls = bench.folder / "calls"
        calls.unlink(missing_ok=True)
        client.write_text(f"#!/bin/sh\necho \"$*\" >>{calls}\necho the reason >&2\nexit {status}\n")
        client.chmod(0o755)
        script = Path(__file__).resolve().parents[2] / "kernel-hooks/boot-files"
        done = subprocess.run([script, "6.1.0-37-amd64"], capture_output=True, text=True, timeout=60,
                              env={"PATH": f"{programs}:/usr/bin:/bin", "HOLDFAST_RUN": str(run)})
        assert done.returncode == 0 and done.stdout == "", done
        return (calls.read_text() if calls.exists() else ""), done.stderr

    assert run_hook(0) == ("", "")
    (run / "nbd1.state").write_text("index 1\ncarries_root 0\n")
    assert run_hook(0) == ("", "")
    (run / "nbd0.state").write_text("index 0\ncarries_root 1\n")
    assert run_hook(0) == ("bootfiles --push\n", "")
    assert run_hook(4) == ("bootfiles --push\n", "")
    for status in (1, 5, 6, 7):
        assert "the reason; run" in run_hook(status)[1]
