"""A tree of holdfast-netboot in a temporary folder, with stand-ins for the loaders of Debian's packages."""
import subprocess
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

    def kernel(self, bench: Bench, release: str) -> Path:
        image = bytearray(2048)
        image[0x202:0x206] = b"HdrS"
        image[0x20E:0x210] = (0x100).to_bytes(2, "little")
        image[0x300:0x300 + len(release)] = release.encode()
        return bench.file(f"vmlinuz-{release}", content=bytes(image))

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
