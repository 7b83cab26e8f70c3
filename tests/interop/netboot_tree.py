"""A tree of holdfast-netboot in a temporary folder, with stand-ins for the loaders of Debian's packages."""
import gzip
import lzma
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench import Bench

LOADERS = {
    "usr/lib/PXELINUX/pxelinux.0": "pxelinux.0",
    "usr/lib/syslinux/modules/bios/ldlinux.c32": "ldlinux.c32",
    "usr/lib/shim/shimx64.efi.signed": "shimx64.efi",
    "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed": "grubx64.efi",
}
MAC = "52:54:00:12:34:56"
KEYED = ("pxelinux.cfg/01-52-54-00-12-34-56", "grub/grub.cfg-01-52-54-00-12-34-56", "ipxe/01-52-54-00-12-34-56.ipxe")
OK, FAILURE, USAGE, EDITED, FAULTS = range(5)
DOM0 = b"\0xen_cpu\0"
# ELF notes of a kernel that can be the first domain: its entry, and its features.
NOTES = ((1, b"\0" * 8), (17, (0x8801).to_bytes(4, "little")))


def program(name: str, *words: str) -> Callable[[bytes], bytes]:
    return lambda data: subprocess.run([name, *words], input=data, stdout=subprocess.PIPE, check=True).stdout


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "zstd": program("zstd", "-qc"),
    "lz4": program("lz4", "-lqc"),
}


def elf(*notes: tuple[int, bytes], rest: bytes = b"") -> bytes:
    """An unpacked kernel with the notes of Xen."""
    body = b""
    for kind, content in notes:
        body += struct.pack("<III", 4, len(content), kind) + b"Xen\0" + content + b"\0" * (-len(content) % 4)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 4, 4, 100_000, 0, 0, len(body), len(body), 4)
    return (header + segment).ljust(100_000, b"\0") + body + rest.rjust(200_000, b"\1")


def kernel(release: str, unpacked: bytes = b"", packed: str = "xz") -> bytes:
    """A bzImage for x86-64 of one sector of setup code and a payload."""
    payload = COMPRESSORS[packed](unpacked) + len(unpacked).to_bytes(4, "little")
    image = bytearray(1024)
    image[0x1F1] = 1
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<HxxxxxxH", image, 0x206, 0x20F, 0x100)
    struct.pack_into("<H", image, 0x236, 0x7F)
    struct.pack_into("<II", image, 0x248, 0, len(payload))
    image[0x300:0x300 + len(release)] = release.encode()
    return bytes(image) + payload


class Netboot:
    """The program, a tree, and a folder with loaders."""

    def __init__(self, bench: Bench) -> None:
        self.program = bench.netboot_program
        self.tree = bench.folder / "tftp"
        self.debian = bench.folder / "debian"
        for source, name in LOADERS.items():
            (self.debian / source).parent.mkdir(parents=True, exist_ok=True)
            (self.debian / source).write_bytes(b"\0loader " + name.encode())
        self.initrd = bench.file("initrd.img", content=b"070701 initramfs")
        self.kernels = [self.kernel(bench, release) for release in ("6.1.0-36-amd64", "6.1.0-37-amd64", "6.1.0-38-amd64")]

    def kernel(self, bench: Bench, release: str, xen: bool = True) -> Path:
        return bench.file(f"vmlinuz-{release}", content=kernel(release, elf(*NOTES, rest=DOM0) if xen else elf()))

    def run(self, *words: str | Path, status: int = OK) -> str:
        """Output of a command on the tree; fails if the status is another."""
        tree = [self.tree] if words[0] == "init" else ["--tree", self.tree]
        done = subprocess.run([self.program, words[0], *tree, *words[1:]], capture_output=True, text=True)
        assert done.returncode == status, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def init(self, *words: str, status: int = OK) -> str:
        return self.run("init", "--from", self.debian, "--server", "192.0.2.1", *words, status=status)

    def check(self, *words: str, status: int = OK) -> str:
        return self.run("check", "--from", self.debian, *words, status=status)

    def with_kernel(self, number: int) -> tuple[str | Path, ...]:
        return "--kernel", self.kernels[number], "--initrd", self.initrd

    def text(self, name: str) -> str:
        return (self.tree / name).read_text()

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.tree)): path.read_bytes() for path in self.tree.rglob("*")
                if path.is_file() and ".holdfast" not in path.parts}
