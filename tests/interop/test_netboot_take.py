"""holdfast-netboot take: boot files from a spool as holdfast-server fills it, into a tree in a temporary folder."""
import gzip
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

from bench import Bench
from harness.registry import test
from netboot_tree import COMPRESSORS, DOM0, FAILURE, FAULTS, KEYED, MAC, OK, USAGE, Netboot, elf, kernel

RELEASES = ("6.1.0-36-amd64", "6.1.0-37-amd64", "6.1.0-38-amd64")


def cpio(*entries: tuple[str, int, bytes]) -> bytes:
    """An archive as Linux reads it."""
    archive = b""
    for number, (name, mode, content) in enumerate((*entries, ("TRAILER!!!", 0, b""))):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        archive += b"\0" * (-len(archive) % 4) + content
        archive += b"\0" * (-len(archive) % 4)
    return archive


def entries_of(release: str, extra: bytes = b"") -> list[tuple[str, int, bytes]]:
    return [(".", 0o40755, b""), ("usr/sbin/holdfast-client", 0o100755, b"\x7fELF program"), ("scripts/local-top/holdfast", 0o100755, b"#!/bin/sh\n"),
            (f"usr/lib/modules/{release}/modules.dep", 0o100644, b"x" + extra)]


class Spool:
    """The spool of a server, with the folder of an export."""

    def __init__(self, bench: Bench, export: str = "ws0") -> None:
        self.folder = bench.folder / "spool"
        self.export = self.folder / export
        self.export.mkdir(parents=True)

    def put(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        (self.export / name).write_bytes(content)
        return name

    def commit(self, release: str, image: bytes, initramfs: bytes, xen: bytes | None = None, initrd_version: str | None = None) -> str:
        """Writes a set as the server does; returns the sum of the manifest."""
        files = [("kernel", release, image), ("initrd", initrd_version or release, initramfs)] + ([("xen", "4.17", xen)] if xen else [])
        return self.manifest("holdfast-boot-files 1\n" + "".join(f"{role} {version} {self.put(content)} {len(content)}\n" for role, version, content in files))

    def manifest(self, text: str) -> str:
        (self.export / "new").write_text(text)
        (self.export / "new").rename(self.export / "manifest")
        (self.folder / ".committed").touch()
        return hashlib.sha256(text.encode()).hexdigest()

    def good(self, number: int, extra: bytes = b"") -> str:
        return self.commit(RELEASES[number], kernel(RELEASES[number]), gzip.compress(cpio(*entries_of(RELEASES[number], extra)), mtime=0))

    def published(self) -> dict[str, str]:
        lines = (self.export / "published").read_text().splitlines()
        assert lines[0] == "holdfast-boot-published 1", lines
        return {key: value for key, _, value in (line.partition(" ") for line in lines[1:])}


def made(bench: Bench) -> tuple[Netboot, Spool]:
    """A tree with a host that has no kernel yet, and an empty spool."""
    netboot = Netboot(bench)
    netboot.init()
    netboot.run("add", "ws0", "--export", "ws0", "--mac", MAC)
    return netboot, Spool(bench)


def take(netboot: Netboot, spool: Spool, *words: str, status: int = OK) -> str:
    return netboot.run("take", *(words or ("--all",)), "--spool", spool.folder, status=status)


def versions(netboot: Netboot) -> list[str]:
    folder = netboot.tree / "hosts/ws0"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@test("take publishes what a host has sent, keeps the set before as the fallback, and does nothing for a manifest that it has taken")
def sets_are_published(bench: Bench) -> None:
    netboot, spool = made(bench)
    assert "no kernel" in take(netboot, spool, "ws0") and take(netboot, spool) == ""
    assert not (spool.export / "published").exists()
    first = spool.good(0)
    said = take(netboot, spool)
    assert "ws0: boot files: published; the next boot gets Linux 6.1.0-36-amd64\n" in said and not (spool.folder / ".committed").exists(), said
    sums = [hashlib.sha256((netboot.tree / "hosts/ws0/1" / name).read_bytes()).hexdigest() for name in ("vmlinuz", "initrd.img")]
    assert spool.published() == {"manifest": first, "next": f"6.1.0-36-amd64 {sums[0]} {sums[1]}"}
    assert (spool.export / "published").stat().st_mode & 0o777 == 0o644
    assert (netboot.tree / "hosts/ws0/1").stat().st_mode & 0o777 == 0o755
    netboot.check()

    before = netboot.files()
    os.utime(spool.export / "manifest", (0, 0))  # a wrong clock
    assert take(netboot, spool) == "" and "unchanged" in take(netboot, spool, "ws0") and netboot.files() == before
    second = spool.good(0, b"another initramfs, same version")
    take(netboot, spool)
    assert versions(netboot) == ["1", "2"] and spool.published()["manifest"] == second and spool.published()["previous"] == "6.1.0-36-amd64"
    for name in KEYED:
        text = netboot.text(name)
        assert text.index("hosts/ws0/2/vmlinuz") < text.index("hosts/ws0/1/vmlinuz"), text
    spool.good(1)
    os.utime(spool.export / "manifest", (2**33, 2**33))
    listed = json.loads(take(netboot, spool, "ws0", "--json"))
    assert listed == [{"tree": str(netboot.tree), "host": "ws0", "result": "published", "next": "Linux 6.1.0-37-amd64", "previous": "Linux 6.1.0-36-amd64", "reason": None}], listed
    assert versions(netboot) == ["2", "3"]
    assert "Linux 6.1.0-37-amd64, fallback Linux 6.1.0-36-amd64" in netboot.run("list")

    # The same files by another manifest are no new set, and no news; an older set is a new one.
    text = (spool.export / "manifest").read_text().splitlines()
    for order, words in (((2, 1), ("--all",)), ((1, 2), ("ws0",)), ((2, 1), ("ws0", "--json"))):
        manifest = spool.manifest("".join(text[line] + "\n" for line in (0, *order)))
        said = take(netboot, spool, *words)
        expected = "" if words == ("--all",) else "unchanged"
        assert "published" not in said and expected in said and (said == "") == (expected == ""), said
        assert versions(netboot) == ["2", "3"] and spool.published()["manifest"] == manifest
    # A file that is gone is made again, and this is said.
    (netboot.tree / KEYED[1]).unlink()
    said = take(netboot, spool)
    assert f"created {KEYED[1]}\n" in said and "ws0: boot files: published" in said, said
    spool.good(0)
    take(netboot, spool)
    assert versions(netboot) == ["3", "4"] and spool.published()["next"].startswith("6.1.0-36-amd64 ")

    # An answer that is lost is written again, also about a kernel from a command.
    (spool.export / "published").unlink()
    take(netboot, spool)
    assert spool.published()["next"].startswith("6.1.0-36-amd64 ")
    netboot.run("add", "ws0", *netboot.with_kernel(2))
    assert "unchanged" in take(netboot, spool, "ws0")
    assert spool.published()["next"] == f"6.1.0-38-amd64 {hashlib.sha256(netboot.kernels[2].read_bytes()).hexdigest()} {hashlib.sha256(netboot.initrd.read_bytes()).hexdigest()}"

    # The host hands in the files that the command has copied: no new version, which would push out the one before.
    before = versions(netboot)
    spool.commit(RELEASES[2], netboot.kernels[2].read_bytes(), netboot.initrd.read_bytes())
    assert "ws0: boot files: unchanged; the next boot gets Linux 6.1.0-38-amd64" in take(netboot, spool, "ws0")
    assert versions(netboot) == before and spool.published()["next"].startswith("6.1.0-38-amd64 "), versions(netboot)

    netboot.run("add", "ws1", "--export", "b", "--shared")
    assert "shared by several machines" in take(netboot, spool, "ws1", status=USAGE)
    assert "no such host" in take(netboot, spool, "ws9", status=USAGE)
    assert "or use --all" in netboot.run("take", status=USAGE) and "or use --all" in take(netboot, spool, "ws0", "--all", status=USAGE)


@test("take reads an initramfs of every compression, after microcode and other archives, and that of dracut")
def initramfs_forms_are_read(bench: Bench) -> None:
    netboot, spool = made(bench)
    early = cpio(("kernel/x86/microcode/GenuineIntel.bin", 0o100644, os.urandom(5000))) + b"\0" * 512
    for number, (name, compress) in enumerate(COMPRESSORS.items()):
        for prefix in (b"", early, early + early):
            archive = cpio(*entries_of(RELEASES[0], name.encode() + str(len(prefix)).encode()))
            spool.commit(RELEASES[0], kernel(RELEASES[0]), prefix + compress(archive + b"\0" * 512 + cpio()))
            assert "published" in take(netboot, spool), name
    dracut = [("sbin/holdfastroot", 0o100755, b"#!/bin/sh"), ("usr/sbin/holdfast-client", 0o100755, b"x"), ("lib/modules/" + RELEASES[0], 0o40755, b"")]
    spool.commit(RELEASES[0], kernel(RELEASES[0]), COMPRESSORS["zstd"](cpio(*dracut)))
    assert "published" in take(netboot, spool)
    # Other files of the archive, as a host with LVM has them, change nothing.


@test("take refuses files that would not boot, and says why to host and administrator; the old kernel stays")
def bad_sets_are_refused(bench: Bench) -> None:
    netboot, spool = made(bench)
    release = RELEASES[1]
    spool.good(0)
    take(netboot, spool)
    before = netboot.files()
    next_line = spool.published()["next"]
    image, archive = kernel(release), cpio(*entries_of(release))
    good = gzip.compress(archive)
    entries = entries_of(release)

    def packed(*wanted: tuple[str, int, bytes]) -> bytes:
        return gzip.compress(cpio(*wanted))

    old_protocol, elf32 = bytearray(image), bytearray(image)
    elf32[0x236] = 0
    old_protocol[0x206] = 0x05
    wrong: tuple[tuple[str, bytes, bytes, str], ...] = (
        ("no kernel", b"MZ" + b"x" * 4000, good, "vmlinuz: this is no Linux kernel for x86"),
        ("an initramfs", good, good, "vmlinuz: this is an initramfs"),
        ("32 bit", bytes(elf32), good, "vmlinuz: this is no kernel for x86-64"),
        ("old protocol", bytes(old_protocol), good, "vmlinuz: this is no kernel for x86-64"),
        ("another version", kernel(RELEASES[2]), good, "vmlinuz: the kernel says that its version is 6.1.0-38-amd64, and the host 6.1.0-37-amd64"),
        ("no program", image, packed(entries[0], *entries[2:]), "initrd.img: the initramfs has no holdfast-client of Holdfast"),
        ("no script", image, packed(*entries[:2], entries[3]), "initrd.img: the initramfs has no boot script of Holdfast"),
        ("program without content", image, packed(("usr/sbin/holdfast-client", 0o100755, b""), *entries[2:]), "has no holdfast-client"),
        ("program that cannot run", image, packed(("usr/sbin/holdfast-client", 0o100644, b"x"), *entries[2:]), "has no holdfast-client"),
        ("link for a program", image, packed(("usr/sbin/holdfast-client", 0o120777, b"x"), *entries[2:]), "has no holdfast-client"),
        ("program elsewhere", image, packed(("tmp/sbin/holdfast-client", 0o100755, b"x"), *entries[2:]), "has no holdfast-client"),
        ("modules of another kernel", image, gzip.compress(cpio(*entries_of(RELEASES[0]))), "initrd.img: the initramfs has modules of another kernel than 6.1.0-37-amd64"),
        ("half an archive", image, gzip.compress(archive[:-200]), "initrd.img: the initramfs ends early"),
        ("half a compressed archive", image, good[:-20], "initrd.img: damaged, or too large to unpack, says /usr/bin/gzip"),
        ("microcode alone", image, cpio(("kernel/x86/microcode/GenuineIntel.bin", 0o100644, b"x")), "has no holdfast-client"),
        ("noise", image, gzip.compress(os.urandom(3000)), "initrd.img: "),
        ("a name without an end", image, archive.replace(b"holdfast-client\0", b"holdfast-clientX"), "initrd.img: the initramfs is damaged"),
        ("an endless name", image, b"070701" + b"0" * 88 + b"FFFFFFFF" + b"0" * 8 + b"x" * 4096, "initrd.img: the initramfs is damaged"),
        ("bzip2", image, b"BZh91AY&SY" + b"x" * 500, "initrd.img: compressed in an unknown way; use gzip, xz, lz4 or zstd"),
        ("no initramfs", image, b"hello" * 500, "initrd.img: compressed in an unknown way"),
        ("compressed twice", image, gzip.compress(good), "initrd.img: the initramfs is compressed twice"),
    )
    for name, wrong_image, wrong_archive, expected in wrong:
        manifest = spool.commit(release, wrong_image, wrong_archive)
        said = take(netboot, spool, status=FAULTS)
        assert "holdfast-netboot: ws0: boot files refused: " in said and expected in said, f"{name}: {said}"
        published = spool.published()
        assert published["manifest"] == manifest and expected in published["refused"] and published["next"] == next_line, f"{name}: {published}"
        assert len(published["refused"]) <= 400 and published["refused"].isprintable()
        assert netboot.files() == before, f"{name}: the tree has changed"
    said = netboot.check(status=FAULTS)
    assert "fault: boot files of the host refused: initrd.img: the initramfs is compressed twice" in said, said
    assert ", refused: initrd.img: " in netboot.run("list") and "compressed twice" in json.loads(netboot.run("list", "--json"))[0]["refused"]

    # A refused set is examined again, since the cause may be gone; a taken one ends the refusal.
    spool.commit(release, image, good, initrd_version=RELEASES[0])
    assert "the initramfs is of version 6.1.0-36-amd64, and the kernel of 6.1.0-37-amd64" in take(netboot, spool, status=FAULTS)
    assert "the initramfs is of version" in take(netboot, spool, status=FAULTS)
    spool.good(0)
    assert "unchanged" in take(netboot, spool, "ws0") and "refused" not in spool.published()
    netboot.check()
    spool.commit(release, image, good)
    take(netboot, spool)
    netboot.check()


@test("take stops at one gigabyte of unpacked data, however small the file is")
def bombs_are_refused(bench: Bench) -> None:
    netboot, spool = made(bench)
    header = b"070701" + b"".join(b"%08X" % field for field in (1, 0o100644, 0, 0, 1, 0, 0xFFFFFFF0, 0, 0, 0, 0, 4, 0)) + b"big\0\0\0"
    packer = subprocess.Popen(["zstd", "-qc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert packer.stdin and packer.stdout
    packer.stdin.write(header)
    for _ in range(1030):
        packer.stdin.write(bytes(1 << 20))
    packer.stdin.close()
    bomb = packer.stdout.read()
    assert packer.wait() == 0 and len(bomb) < 1 << 20
    spool.commit(RELEASES[0], kernel(RELEASES[0]), bomb)
    said = take(netboot, spool, status=FAULTS)
    assert "initrd.img: unpacks to more than 1 GiB" in said and versions(netboot) == [], said


@test("take trusts no name, size, sum, link or device of the spool, and publishes nothing of them")
def spool_is_not_trusted(bench: Bench) -> None:
    netboot, spool = made(bench)
    spool.good(0)
    take(netboot, spool)
    before, next_line = netboot.files(), spool.published()["next"]
    spool.good(1)
    text = (spool.export / "manifest").read_text()
    names = re.findall(r"[0-9a-f]{64}", text)
    initrd = spool.export / names[1]
    content = initrd.read_bytes()

    def restore() -> None:
        initrd.unlink(missing_ok=True)
        initrd.write_bytes(content)

    def link() -> None:
        (bench.folder / "elsewhere").write_bytes(content)
        initrd.unlink()
        initrd.symlink_to(bench.folder / "elsewhere")

    def fifo() -> None:
        initrd.unlink()
        os.mkfifo(initrd)

    def folder() -> None:
        initrd.unlink()
        initrd.mkdir()

    for change in (initrd.unlink, link, fifo, folder, lambda: initrd.write_bytes(content + b"x"), lambda: initrd.write_bytes(content[:-1]),
                   lambda: initrd.write_bytes(content[:-1] + b"x")):
        change()
        said = take(netboot, spool, status=FAULTS)
        assert "initrd.img: it changed while it was copied, or is damaged" in said and netboot.files() == before, said
        assert spool.published()["next"] == next_line and "it changed while it was copied" in spool.published()["refused"]
        if initrd.is_dir() and not initrd.is_symlink():
            initrd.rmdir()
        restore()

    # No more than the size of the manifest is copied, however large the file has become.
    initrd.write_bytes(content)
    os.truncate(initrd, 64 << 20)
    done = subprocess.run([netboot.program, "take", "--all", "--spool", spool.folder, "--tree", netboot.tree], capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    assert done.returncode == FAULTS and "it changed while it was copied" in done.stderr, done
    restore()

    for wrong in ("", "holdfast-boot-files 2\n" + text.split("\n", 1)[1], text + "more 1\n", text.replace("kernel ", "kernel ../"),
                  text.replace(names[0], "../" + names[0][3:]), text.replace(names[0], names[0].upper()), text + text.splitlines()[1] + "\n",
                  re.sub(r" (\d+)\n", " 536870913\n", text), re.sub(r" (\d+)\n", " 0\n", text), re.sub(r" (\d+)\n", " 1\n", text), text.replace("\n", "\r\n"),
                  text[:-1], text + "xen \x1b[31m\n"):
        spool.manifest(wrong)
        said = take(netboot, spool, status=FAULTS)
        assert ("the manifest is invalid: " in said or "it changed while" in said) and "\x1b" not in said and netboot.files() == before, said
        assert spool.published()["next"] == next_line
    spool.manifest("x" * 5000)
    assert "the manifest cannot be read" in take(netboot, spool, status=FAILURE)
    manifest = spool.export / "manifest"
    for change in (lambda: manifest.symlink_to(bench.folder / "elsewhere"), lambda: os.mkfifo(manifest)):
        manifest.unlink()
        change()
        assert "the manifest cannot be read" in take(netboot, spool, status=FAILURE) and netboot.files() == before
    # The folder of the export, and its answer, as links.
    manifest.unlink()
    spool.manifest(text)
    spool.export.rename(bench.folder / "theirs")
    spool.export.symlink_to(bench.folder / "theirs")
    assert "the manifest cannot be read" in take(netboot, spool, status=FAILURE) and netboot.files() == before
    spool.export.unlink()
    (bench.folder / "theirs").rename(spool.export)
    victim = bench.file("victim", content=b"precious")
    for name in ("published", ".published.draft"):
        (spool.export / name).unlink(missing_ok=True)
        (spool.export / name).symlink_to(victim)
    assert "published" in take(netboot, spool)
    assert victim.read_bytes() == b"precious" and not (spool.export / "published").is_symlink() and versions(netboot) == ["1", "2"]


@test("the unit of take has the capabilities that it needs, and no more than these")
def unit_is_enough(bench: Bench) -> None:
    netboot, spool = made(bench)
    if os.geteuid() != 0:
        return
    unit = (Path(__file__).resolve().parents[2] / "systemd/holdfast-netboot-take.service.in").read_text()
    found = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.M)
    assert found
    names = [name.removeprefix("CAP_").lower() for name in found[1].split()]
    spool.folder.chmod(0o700)
    spool.export.chmod(0o700)

    def run(capabilities: list[str]) -> subprocess.CompletedProcess[str]:
        for path in (spool.folder, *spool.folder.rglob("*")):
            os.chown(path, 1234, 1234)
        words = ",".join(["-all", *("+" + name for name in capabilities)])
        return subprocess.run(["setpriv", "--bounding-set", words, "--no-new-privs", netboot.program, "take", "--all", "--spool", spool.folder,
                               "--tree", netboot.tree], capture_output=True, text=True)

    for number in range(3):
        spool.good(number)
        done = run(names)
        assert done.returncode == OK and "published" in done.stdout, done.stdout + done.stderr
    spool.good(0)
    for name in ("dac_override", "setuid", "setgid"):
        # Status 1, which is tried again: the files may be good.
        assert run([each for each in names if each != name]).returncode == FAILURE, f"{name} is not needed"


@test("the files of a host are read by processes without privileges, network and environment")
def files_are_read_in_a_sandbox(bench: Bench) -> None:
    netboot, spool = made(bench)
    spool.good(0)
    log = bench.folder / "calls"
    subprocess.run(["strace", "-f", "-o", log, "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", "trace=execve,setresuid,setresgid,setgroups,prctl,seccomp,close_range", netboot.program,
                    "take", "--all", "--spool", spool.folder, "--tree", netboot.tree], check=True, capture_output=True)
    calls: dict[str, list[str]] = {}
    for line in log.read_text().splitlines():
        pid, call = line.split(maxsplit=1)
        calls.setdefault(pid, []).append(call)
    readers = [each for each in calls.values() if any("SECCOMP" in call for call in each)]
    assert len(readers) == 2, calls  # of the kernel, and of the initramfs
    for each in readers:
        text = "\n".join(each)
        assert "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) = 0" in text and "close_range(5, 4294967295, 0) " in text, text
        assert re.search(r"prctl\(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, .*\) = 0", text), text
        if os.geteuid() == 0:
            assert re.search(r"setgroups\(0, NULL\) += 0\nsetresgid\(65534, 65534, 65534\) += 0\nsetresuid\(65534, 65534, 65534\) += 0\n", text), text
    unpackers = [call for each in calls.values() for call in each if "/usr/bin/gzip" in call]
    assert len(unpackers) == 1 and "/* 0 vars */" in unpackers[0], unpackers


@test("a host of Xen gets no kernel that hangs as the first domain, and none without a hypervisor")
def xen_is_checked(bench: Bench) -> None:
    netboot, spool = made(bench)
    for name in ("syslinux/modules/bios/mboot.c32", "syslinux/modules/bios/libcom32.c32",
                 *(f"grub/x86_64-efi/{module}.mod" for module in ("multiboot2", "acpi", "mmap", "relocator"))):
        path = netboot.debian / "usr/lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0module")
    netboot.init("--loaders", "bios,uefi,xen")
    xen = b"\x1f\x8b hypervisor"
    netboot.run("add", "ws0", *netboot.with_kernel(0), "--xen", bench.file("xen.gz", content=xen))
    before = netboot.files()
    entry, features = (1, b"\0" * 8), (17, (0x8801).to_bytes(4, "little"))
    release = RELEASES[1]
    good = elf(entry, (6, b"linux\0"), features, rest=DOM0)

    def commit(unpacked: bytes, hypervisor: bytes | None = xen, release: str = release, packed: str = "xz") -> None:
        spool.commit(release, kernel(release, unpacked, packed), gzip.compress(cpio(*entries_of(release))), hypervisor)

    for unpacked, hypervisor, name, expected in (
        (good, None, release, "the host boots Xen, and has sent no hypervisor"),
        (good, b"no hypervisor", release, "xen.gz: this is no hypervisor"),
        (elf(entry, features), xen, release, "not known to run as the first domain"),  # Linux 6.1 without CONFIG_XEN_DOM0
        (elf(entry, (17, b"\1\x80\0\0"), rest=DOM0), xen, release, "not known to run"),
        (elf(features, rest=DOM0), xen, release, "not known to run"),
        (elf(entry, rest=DOM0), xen, release, "not known to run"),
        (elf(rest=DOM0), xen, release, "not known to run"),
        (b"\0" * 4096 + DOM0, xen, release, "not known to run"),
        (b"", xen, release, "not known to run"),
        (good, xen, "6.1.0-37-cloud-amd64", "cloud kernel hangs"),
    ):
        commit(unpacked, hypervisor, name)
        said = take(netboot, spool, status=FAULTS)
        assert expected in said and netboot.files() == before and expected in spool.published()["refused"], said
    for number, packed in enumerate(("xz", "gzip", "zstd", "lz4")):
        commit(good + packed.encode(), packed=packed)
        take(netboot, spool)
        assert (netboot.tree / f"hosts/ws0/{number + 2}/xen.gz").read_bytes() == xen
    assert "hosts/ws0/5/xen.gz" in netboot.text(KEYED[0])
    netboot.check()
    image = kernel(release, good)
    spool.commit(release, image[:-300], gzip.compress(cpio(*entries_of(release))), xen)
    assert "the kernel is damaged" in take(netboot, spool, status=FAULTS)
    # A host that boots without Xen keeps doing so, whatever it sends.
    netboot.run("add", "ws0", *netboot.with_kernel(0), "--xen", "")
    commit(elf())
    take(netboot, spool)
    assert not list((netboot.tree / "hosts/ws0/7").glob("xen.gz")) and "Xen, " not in netboot.check().split("fallback")[0]


@test("take that is killed at any step leaves a menu whose kernels are whole, and the next take completes it")
def killed_at_every_step(bench: Bench) -> None:
    netboot, spool = made(bench)
    spool.good(0)
    take(netboot, spool)
    turns = [(call, when) for call in ("mkdir", "fsync", "chmod", "fchmod", "rename", "renameat", "unlink", "unlinkat", "rmdir", "write") for when in range(1, 60)]
    ended: set[str] = set()
    killed_by: list[str] = []
    for step, (call, when) in enumerate(turns):
        if call in ended:
            continue
        # Each turn begins with a set that is whole, and brings one that the tree has not.
        manifest = spool.good(1 + step % 2, str(step).encode())
        sets = {path: path.read_bytes() for path in (netboot.tree / "hosts").rglob("*") if path.is_file()}
        done = subprocess.run(["strace", "-E", "ASAN_OPTIONS=detect_leaks=0", "-o", bench.folder / "calls", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={when}",
                               netboot.program, "take", "--all", "--spool", spool.folder, "--tree", netboot.tree], capture_output=True, text=True)
        killed = done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        assert killed or done.returncode == OK, done.stderr
        if killed:
            killed_by.append(call)
            marked = any((spool.folder / name).exists() for name in (".committed", ".taking"))
            assert marked or spool.published()["manifest"] == manifest, f"{call} {when}: the commit is lost"
        else:
            ended.add(call)
        for name in KEYED:
            text = netboot.text(name)
            assert text.endswith("\n") and "hosts/ws0/" in text, text
            for folder in set(re.findall(r"hosts/ws0/\d+", text)):
                for file in ("vmlinuz", "initrd.img"):
                    path = netboot.tree / folder / file
                    content = path.read_bytes()
                    assert sets.get(path, content) == content and (path in sets or (spool.export / hashlib.sha256(content).hexdigest()).exists()), path
        take(netboot, spool)
        assert spool.published()["manifest"] == manifest and "refused" not in spool.published()
        netboot.check()
        assert len([name for name in versions(netboot) if name.isdigit()]) >= 2
    assert not [name for name in versions(netboot) if not name.isdigit()] and len(versions(netboot)) == 2, versions(netboot)
    assert len(killed_by) > 40 and {"rename", "fsync", "mkdir", "renameat", "unlink", "rmdir", "write"} <= set(killed_by), killed_by


@test("a full disk, an edited file and an unknown twin of the export leave the tree as it is, and say what to do")
def obstacles_are_reported(bench: Bench) -> None:
    netboot, spool = made(bench)
    spool.good(0)
    take(netboot, spool)
    edited = netboot.text(KEYED[0]) + "# mine\n"
    (netboot.tree / KEYED[0]).write_text(edited)
    spool.good(1)
    before = netboot.files()
    said = take(netboot, spool, status=FAULTS)
    assert f"{KEYED[0]}: edited by hand, and its entry has changed; run `holdfast-netboot take ws0 --keep --tree {netboot.tree}`" in said, said
    assert netboot.files() == before
    take(netboot, spool, "ws0", "--keep")
    assert netboot.text(KEYED[0]) == edited and "hosts/ws0/2" in netboot.text(KEYED[1])
    spool.good(2)
    said = take(netboot, spool, "ws0", "--keep")
    assert f"note: hosts/ws0/1: kept, because {KEYED[0]}" in said and versions(netboot) == ["1", "2", "3"], said
    take(netboot, spool, "ws0", "--force")
    netboot.run("add", "ws0", "--force")

    # No room for the copy: a file system of its own, as large as the tree and a bit.
    if os.geteuid() == 0:
        small = bench.folder / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", small], check=True)
        try:
            shutil.copytree(netboot.tree, small / "tree")
            full = Netboot(bench)
            full.tree = small / "tree"
            content = os.urandom(2 << 20)
            spool.commit(RELEASES[0], kernel(RELEASES[0]), gzip.compress(cpio(*entries_of(RELEASES[0], content))))
            take(full, spool, status=FAILURE)  # removes what nothing needs any more
            before = full.files()
            said = take(full, spool, status=FAILURE)
            assert "initrd.img: write: No space left on device; make room" in said and "No space left" in spool.published()["refused"], said
            assert full.files() == before
            spool.good(1)
            take(full, spool)
        finally:
            subprocess.run(["umount", small], check=True)

    netboot.run("add", "ws1", "--export", "ws0", "--server", "192.0.2.9", "--mac", "52:54:00:12:34:57")
    said = take(netboot, spool, "--all", "--server", "192.0.2.1:10809", "--server", "192.0.2.9", status=FAILURE)
    assert "the host ws1 has an export of the same name" in said and "the host ws0 has an export of the same name" in said, said


@test("take concerns the files of its host alone, and no edit that nothing requires to change, not even with --force")
def edits_are_not_in_the_way(bench: Bench) -> None:
    netboot, spool = made(bench)
    netboot.run("add", "ws1", "--export", "b", "--mac", "52:54:00:12:34:57", *netboot.with_kernel(0))
    other = tuple(name.replace("-56", "-57") for name in KEYED)
    spool.good(0)
    take(netboot, spool)

    # The plan of the other host has changed, as after an upgrade of this program or an interrupted command, and one of its files was edited by hand.
    state = netboot.tree / ".holdfast/hosts/ws1"
    state.write_text(state.read_text() + "append = quiet\n")
    (netboot.tree / other[0]).write_text(netboot.text(other[0]) + "# theirs\n")
    before = {name: netboot.text(name) for name in other} | {"state": state.read_text()}
    for number, words in ((1, ("--all",)), (2, ("--all", "--force")), (0, ("ws0",))):
        manifest = spool.good(number)
        assert "ws0: boot files: published" in take(netboot, spool, *words)
        assert spool.published()["manifest"] == manifest
        assert {name: netboot.text(name) for name in other} | {"state": state.read_text()} == before, "take has changed the files of another host"

    # An edit of the host's own, and a manifest that changes nothing.
    edited = netboot.text(KEYED[0]) + "# mine\n"
    (netboot.tree / KEYED[0]).write_text(edited)
    text = (spool.export / "manifest").read_text().splitlines()
    spool.manifest("\n".join([text[0], text[2], text[1]]) + "\n")
    assert "unchanged" in take(netboot, spool, "ws0", "--force") and netboot.text(KEYED[0]) == edited
    assert "unchanged" in take(netboot, spool, "ws0", "--force") and netboot.text(KEYED[0]) == edited
    spool.good(1)
    take(netboot, spool, "ws0", "--force")
    assert "# mine" not in netboot.text(KEYED[0]) and "# theirs" in netboot.text(other[0])


@test("take reads a host without work once, no state of other hosts for it, and no kernel whose sums it has computed before")
def hosts_without_work_cost_little(bench: Bench) -> None:
    netboot, spool = made(bench)
    names = [f"ws{number}" for number in range(12)]
    for number, name in enumerate(names):
        netboot.run("add", name, "--export", name, "--mac", f"52:54:00:12:35:{number:02}", *netboot.with_kernel(0))
        each = Spool.__new__(Spool)
        each.folder, each.export = spool.folder, spool.folder / name
        each.export.mkdir(exist_ok=True)
        each.commit(RELEASES[0], netboot.kernels[0].read_bytes(), netboot.initrd.read_bytes())

    def opened() -> list[str]:
        log = bench.folder / "calls"
        subprocess.run(["strace", "-f", "-o", log, "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", "trace=openat,open", netboot.program, "take", "--all", "--spool", spool.folder,
                        "--tree", netboot.tree], check=True, capture_output=True)
        return [line for line in log.read_text().splitlines() if " = -1 " not in line]

    take(netboot, spool)
    calls = opened()
    assert not [line for line in calls if "/vmlinuz" in line or "/initrd.img" in line], calls
    states = [line for line in calls if "/.holdfast/hosts/ws" in line]
    assert len(states) == 2 * len(names), states
    # A kernel of an earlier version's state, or of a later command: its sums are computed once.
    netboot.run("add", "ws3", *netboot.with_kernel(1))
    for expected in (2, 0):
        kernels = [line for line in opened() if "/vmlinuz" in line or "/initrd.img" in line]
        assert len(kernels) == expected and all("/hosts/ws3/" in line for line in kernels), kernels


@test("take gives a host no boot files of another server, which may have an export of that name, too")
def files_are_of_this_server(bench: Bench) -> None:
    netboot, spool = made(bench)
    netboot.run("add", "ws0", "--server", "192.0.2.9")
    spool.good(0)
    before = netboot.files()
    said = take(netboot, spool)
    assert "ws0: boot files ignored: the host boots from 192.0.2.9, and these are of the server here" in said, said
    assert f"; run `holdfast-netboot take ws0 --server 192.0.2.9 --tree {netboot.tree}` if both" in said, said
    assert netboot.files() == before and not (spool.export / "published").exists() and not (spool.folder / ".taking").exists()
    assert "the host boots from 192.0.2.9" in take(netboot, spool, "ws0", status=FAILURE)
    # The export of this name is that of a host of this server.
    netboot.run("add", "ws1", "--export", "ws0", "--mac", "52:54:00:12:34:57")
    said = take(netboot, spool)
    assert "ws1: boot files: published" in said and "ws0: boot files ignored" in said and not versions(netboot), said
    netboot.run("remove", "ws1")
    assert "ws0: boot files: published" in take(netboot, spool, "--all", "--server", "192.0.2.9:10809")
    # Without a server of the tree: that of the hosts, if they have one.
    netboot.run("init", "--from", netboot.debian, "--server", "", "--loaders", "bios,uefi")
    spool.good(1)
    assert "ws0: boot files: published" in take(netboot, spool)
    netboot.run("add", "ws2", "--export", "b", "--server", "192.0.2.1", "--mac", "52:54:00:12:34:57")
    spool.good(2)
    assert "ws0: boot files ignored" in take(netboot, spool)
    assert "ws0: boot files: published" in take(netboot, spool, "--all", "--server", "192.0.2.9")


@test("a failure of take leaves a mark for the next boot, and a refusal does not; no mark starts the unit over and over")
def failures_leave_a_mark(bench: Bench) -> None:
    netboot, spool = made(bench)

    def marks() -> list[str]:
        return [name for name in (".committed", ".taking") if (spool.folder / name).exists()]

    spool.manifest("x" * 5000)
    take(netboot, spool, status=FAILURE)
    assert marks() == [".taking"]
    take(netboot, spool, status=FAILURE)
    assert marks() == [".taking"]
    spool.good(0)
    assert marks() == [".committed", ".taking"]
    take(netboot, spool, "ws0")
    assert marks() == [".committed", ".taking"], "other hosts may have committed, too"
    take(netboot, spool)
    assert marks() == []
    spool.manifest("nonsense\n")
    take(netboot, spool, status=FAULTS)
    assert marks() == []
    spool.good(1)
    netboot.tree.rename(bench.folder / "away")
    assert "no tree of holdfast-netboot" in take(netboot, spool, status=FAILURE) and marks() == [".taking"]
    (bench.folder / "away").rename(netboot.tree)
    # As after a power cut: no mark but this one.
    assert "published" in take(netboot, spool) and marks() == []


@test("one take serves several trees: neither a refusal in one nor a missing one keeps the others from their hosts")
def several_trees_are_served(bench: Bench) -> None:
    netboot, spool = made(bench)
    other = Netboot(bench)
    other.tree = bench.folder / "boot"
    other.init()
    other.run("add", "ws1", "--export", "ws1", "--mac", MAC)
    second = Spool.__new__(Spool)
    second.folder, second.export = spool.folder, spool.folder / "ws1"
    second.export.mkdir()

    def both(*words: str | Path, status: int = OK) -> str:
        return netboot.run("take", "--all", "--spool", spool.folder, "--tree", other.tree, *words, status=status)

    spool.commit(RELEASES[0], b"nonsense", b"nonsense")
    second.good(0)
    said = both(status=FAULTS)
    assert f"{netboot.tree}: ws0: boot files refused: " in said and f"{other.tree}: ws1: boot files: published" in said, said
    assert not (spool.folder / ".committed").exists() and not (spool.folder / ".taking").exists()
    spool.good(0)
    second.good(1)
    listed = json.loads(both("--json"))
    assert [(each["tree"], each["host"], each["result"]) for each in listed] == [
        (str(netboot.tree), "ws0", "published"), (str(other.tree), "ws1", "published")], listed
    second.good(2)
    said = both("--tree", bench.folder / "none", status=FAILURE)
    assert "no tree of holdfast-netboot" in said and "ws1: boot files: published" in said and (spool.folder / ".taking").exists(), said
    assert "several trees need --all" in netboot.run("take", "ws0", "--tree", other.tree, status=USAGE)
    assert "used more than once" in netboot.run("list", "--tree", other.tree, status=USAGE)
    other.run("add", "ws9", "--export", "ws0", "--mac", "52:54:00:12:34:57")
    spool.good(1)
    before = netboot.files()
    said = both(status=FAILURE)
    assert f"ws0: boot files failed: the host ws9 of {other.tree} has an export of the same name" in said and netboot.files() == before, said


@test("what keeps the boot server from looking into files is its failure, and no refusal of the files")
def local_obstacles_are_failures(bench: Bench) -> None:
    netboot, spool = made(bench)
    release = RELEASES[0]
    command = [netboot.program, "take", "--all", "--spool", spool.folder, "--tree", netboot.tree]
    spool.commit(release, kernel(release), COMPRESSORS["zstd"](cpio(*entries_of(release))))

    def failure(*before: str | Path) -> str:
        done = subprocess.run([*before, *command], capture_output=True, text=True)
        assert done.returncode == FAILURE and "boot files failed: " in done.stderr and (spool.folder / ".taking").exists(), done
        return done.stderr

    # No process, no sandbox, no answer. The sanitizer for undefined behaviour itself looks at memory through a pipe.
    obstacles = [("-q", "fork,vfork,clone,clone3"), ("-f", "prctl")]
    if bench.build.name == "build":
        obstacles.append(("-q", "pipe2"))
    for words, calls in obstacles:
        failure("strace", words, "-o", bench.folder / "calls", "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", f"inject={calls}:error=EAGAIN")
    # A process of the sandbox that is killed.
    said = failure("strace", "-f", "-o", bench.folder / "calls", "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", "inject=prctl:signal=SIGKILL")
    assert "vmlinuz: the process that reads the file was ended" in said, said
    if os.geteuid() == 0:
        hide = 'mount --bind /dev/null /usr/bin/zstd && exec "$@"'
        said = failure("unshare", "-m", "sh", "-c", hide, "sh")
        assert "initrd.img: /usr/bin/zstd: cannot be started on the boot server; run `apt install zstd` there" in said, said
        assert "cannot be started" in spool.published()["refused"]
        # An unpacker that is killed, as for want of memory: by the hard limit of processor time. The soft one is due to the file.
        busy = bench.file("busy", content=b'#!/bin/sh\nulimit -t 1\nwhile :; do :; done\n')
        busy.chmod(0o755)
        bench.folder.chmod(0o755)
        replace = ("unshare", "-m", "sh", "-c", f'mount --bind {busy} /usr/bin/zstd && exec "$@"', "sh")
        said = failure(*replace)
        assert "initrd.img: /usr/bin/zstd was ended by signal 9" in said and "was ended by signal 9" in spool.published()["refused"], said
        busy.write_bytes(b'#!/bin/sh\nulimit -S -t 1\nwhile :; do :; done\n')
        done = subprocess.run([*replace, *command], capture_output=True, text=True)
        assert done.returncode == FAULTS and "initrd.img: /usr/bin/zstd needs more than 100 s of processor time" in done.stderr, done
    take(netboot, spool)


@test("the folder of an export is found whatever its name is, and a new export of the host forgets the boot files of the old one")
def exports_have_folders(bench: Bench) -> None:
    netboot, _ = made(bench)
    netboot.run("add", "ws0", "--export", ".disk 0/ä")
    spool = Spool(bench, "%2Edisk%200%2F%C3%A4")
    spool.commit(RELEASES[0], kernel(RELEASES[0]), b"nothing" * 100)
    take(netboot, spool, status=FAULTS)
    assert "refused" in netboot.run("list")
    netboot.run("add", "ws0", "--export", "other")
    assert "refused" not in netboot.run("list")
    netboot.run("add", "ws0", "--export", ".disk 0/ä")
    spool.good(0)
    assert "published" in take(netboot, spool)
