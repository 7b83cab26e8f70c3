"""The clients of others against holdfast-server: each must find what it expects, and the data must come back."""
import json
import os

from bench import MIB, Bench, nbdsh, output
from harness.registry import test


@test("nbdinfo sees the size, the flags and the block sizes of an export")
def nbdinfo(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', 8 * MIB)}")
    info = json.loads(output("nbdinfo", "--no-content", "--json", server.uri("disk")))
    assert info["protocol"] == "newstyle-fixed"
    export = info["exports"][0]
    assert export["export-size"] == 8 * MIB
    for ability in ("can_flush", "can_fua", "can_trim", "can_zero", "can_multi_conn"):
        assert export[ability], f"{ability} in {export}"
    assert not export["is_read_only"]
    assert export["block_size_maximum"] == 32 * MIB


@test("nbdinfo --list names every export")
def listing(bench: Bench) -> None:
    server = bench.serve(f"one={bench.file('one', MIB)}", f"two={bench.file('two', 2 * MIB)},readonly")
    exports = json.loads(output("nbdinfo", "--list", "--json", server.uri()))["exports"]
    assert {each["export-name"]: each["export-size"] for each in exports} == {"one": MIB, "two": 2 * MIB}
    assert {each["export-name"]: each["is_read_only"] for each in exports} == {"one": False, "two": True}


@test("an unknown export is refused by name")
def unknown_export(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    assert "nothere" in output("nbdinfo", server.uri("nothere"), status=1)


@test("nbdcopy brings data in and out unchanged, with several connections and requests")
def nbdcopy(bench: Bench) -> None:
    source = bench.random_file("source", 40 * MIB + 512)
    server = bench.serve(f"disk={bench.file('disk', 40 * MIB + 512)}")
    output("nbdcopy", "--flush", source, server.uri("disk"))
    assert (bench.folder / "disk").read_bytes() == source.read_bytes()
    back = bench.folder / "back"
    output("nbdcopy", "--connections=4", "--requests=32", server.uri("disk"), back)
    assert back.read_bytes() == source.read_bytes()


@test("fio writes, reads and verifies with 16 requests in flight")
def fio(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', 32 * MIB)}")
    output("fio", "--name=verify", "--ioengine=nbd", f"--uri={server.uri('disk')}", "--rw=randrw", "--bsrange=512-128k",
           "--bs_unaligned=0", "--size=32M", "--io_size=48M", "--iodepth=16", "--verify=crc32c", "--do_verify=1",
           "--fsync=32", "--verify_fatal=1", f"--aux-path={bench.folder}", timeout=300)


@test("qemu-img writes an image that compares equal")
def qemu_img(bench: Bench) -> None:
    source = bench.random_file("source", 16 * MIB)
    with source.open("r+b") as hole:  # a range of zeroes becomes WRITE_ZEROES
        hole.seek(4 * MIB)
        hole.write(bytes(6 * MIB))
    server = bench.serve(f"disk={bench.random_file('disk', 16 * MIB)}")
    output("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, server.uri("disk"))
    output("qemu-img", "compare", "-f", "raw", "-F", "raw", source, server.uri("disk"))
    assert (bench.folder / "disk").read_bytes() == source.read_bytes()


@test("qemu-io writes zeroes, discards and reads patterns back")
def qemu_io(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.random_file('disk', 4 * MIB)}")
    text = output("qemu-io", "-f", "raw", "-d", "unmap", server.uri("disk"), "-c", "write -P 0xa5 1M 64k",
                  "-c", "write -z 1088k 64k", "-c", "write -z -u 1M 4k", "-c", "write -f -P 0x11 2M 4k", "-c", "flush",
                  "-c", "read -P 0 1M 4k", "-c", "read -P 0xa5 1028k 60k", "-c", "read -P 0 1088k 64k",
                  "-c", "discard 3M 64k", "-c", "read -P 0x11 2M 4k")
    assert "Pattern verification failed" not in text, text


@test("a request of 32 MiB is served, one of more is refused, and the connection goes on")
def large_requests(bench: Bench) -> None:
    bench.random_file("disk", 40 * MIB)
    server = bench.serve(f"disk={bench.folder / 'disk'}")
    nbdsh(server.uri("disk"), """
import errno
whole = h.pread(32 << 20, 0)
assert whole == open(DISK, "rb").read(32 << 20)
h.pwrite(whole[::-1], 8 << 20)
assert open(DISK, "rb").read()[8 << 20:] == whole[::-1]
h.set_strict_mode(0)
for call in (lambda: h.pread((32 << 20) + 1, 0), lambda: h.pwrite(bytes((32 << 20) + 1), 0)):
    try:
        call()
        raise SystemExit("more than 32 MiB was served")
    except nbd.Error as error:
        assert error.errnum in (errno.EINVAL, errno.EOVERFLOW), error
assert h.pread(1, 0)
""", DISK=str(bench.folder / "disk"))


@test("every edge of an export answers with the specification's error")
def edges(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.random_file('disk', MIB)}")
    nbdsh(server.uri("disk"), """
import errno
h.set_strict_mode(0)
size = h.get_size()
def refused(number, call):
    try:
        call()
    except nbd.Error as error:
        assert error.errnum == number, f"{error} is not {errno.errorcode[number]}"
        return
    raise SystemExit("was not refused")
refused(errno.EINVAL, lambda: h.pread(2, size - 1))
refused(errno.EINVAL, lambda: h.pread(1, size))
refused(errno.EINVAL, lambda: h.pread(512, (1 << 63) - 256))
refused(errno.EINVAL, lambda: h.pread(512, (1 << 64) - 256))
refused(errno.ENOSPC, lambda: h.pwrite(b"xy", size - 1))
refused(errno.ENOSPC, lambda: h.pwrite(b"x", size))
refused(errno.ENOSPC, lambda: h.pwrite(b"x" * 512, (1 << 64) - 256))
refused(errno.ENOSPC, lambda: h.zero(2, size - 1))
refused(errno.EINVAL, lambda: h.pread(1, 0, 1 << 15))      # a flag that nobody knows
# odd offsets and lengths, up to the very last byte
h.pwrite(b"odd", 4093)
assert h.pread(3, 4093) == b"odd"
h.pwrite(b"end", size - 3, nbd.CMD_FLAG_FUA)
assert h.pread(3, size - 3) == b"end"
h.zero(5, size - 5)
assert h.pread(5, size - 5) == bytes(5)
h.zero(4097, 4095, nbd.CMD_FLAG_NO_HOLE)
assert h.pread(4097, 4095) == bytes(4097)
h.trim(512, 0)
h.trim(size, 0, nbd.CMD_FLAG_FUA)
h.flush()
""")


@test("requests of no length are answered as the specification has it and keep the sync")
def zero_length(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.random_file('disk', MIB)}")
    nbdsh(server.uri("disk"), """
h.set_strict_mode(0)
before = h.pread(512, 0)
for call in (lambda: h.pread(0, 0), lambda: h.pwrite(b"", 0), lambda: h.trim(0, 0), lambda: h.zero(0, 0)):
    try:
        call()
    except nbd.Error as error:
        import errno
        assert error.errnum == errno.EINVAL, error
assert h.pread(512, 0) == before
""")


@test("a read-only export takes no write, trim or zero, and its file is never touched")
def read_only(bench: Bench) -> None:
    disk = bench.random_file("disk", MIB)
    content = disk.read_bytes()
    os.chmod(disk, 0o444)
    server = bench.serve(f"disk={disk},readonly")
    nbdsh(server.uri("disk"), """
import errno
assert h.is_read_only()
h.set_strict_mode(0)
for call in (lambda: h.pwrite(b"x" * 4096, 0), lambda: h.zero(512, 0), lambda: h.trim(512, 0)):
    try:
        call()
    except nbd.Error as error:
        assert error.errnum == errno.EPERM, error
    else:
        raise SystemExit("a write to a read-only export was served")
assert h.pread(512, 0)
""")
    assert disk.read_bytes() == content


@test("many requests in flight on one connection each get their own answer")
def in_flight(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.random_file('disk', 8 * MIB)}")
    nbdsh(server.uri("disk"), """
content = open(DISK, "rb").read()
waiting = []
for i in range(512):
    buffer = nbd.Buffer(4096)
    waiting.append((h.aio_pread(buffer, i * 4096 * 4), buffer, i * 4096 * 4))
while h.aio_in_flight():
    h.poll(-1)
for cookie, buffer, offset in waiting:
    assert h.aio_command_completed(cookie)
    assert buffer.to_bytearray() == content[offset:offset + 4096]
""", DISK=str(bench.folder / "disk"))
