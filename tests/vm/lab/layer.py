"""Bootable disk images: a tree from images.py, our Debian packages, and the files of a test.

The initramfs is made by the image's own update-initramfs, so that our hook runs for real. The result is cached by its
contents: no change costs nothing, a change in our code some seconds.
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence

from lab import cachedir, images, packaging, process, progress

KEEP = 24  # images, of some 350 MB each
LABEL = "holdfast-root"
SIZE = "1G"
_SECTOR = 512
_FIRST = 2048  # the first sector of the partition


@dataclasses.dataclass(frozen=True)
class Image:
    """Disk with one ext4 file system, and the kernel and initramfs to boot from it. Shared: copy before use."""

    folder: pathlib.Path
    tree: pathlib.Path
    label: str = LABEL

    @property
    def disk(self) -> pathlib.Path:
        return self.folder / "disk.raw"

    @property
    def kernel(self) -> pathlib.Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> pathlib.Path:
        return self.folder / "initrd.img"

    @property
    def uuid(self) -> str:
        """UUID of the file system, for root=UUID=."""
        return json.loads((self.folder / "image.json").read_text())["uuid"]

    def copy(self, target: pathlib.Path) -> pathlib.Path:
        """Private copy of the disk."""
        cachedir.copy_sparse(self.disk, target)
        return target

    def copy_partitioned(self, target: pathlib.Path) -> pathlib.Path:
        """Private disk with a GPT and the file system in its first partition."""
        sectors = self.disk.stat().st_size // _SECTOR
        with target.open("wb") as file:
            file.truncate((sectors + 2 * _FIRST) * _SECTOR)
        table = f"label: gpt\nstart={_FIRST}, size={sectors}, type=linux\n"
        subprocess.run(["sfdisk", "--quiet", str(target)], input=table, text=True, check=True)
        process.output_of(["dd", f"if={self.disk}", f"of={target}", "bs=1M", f"seek={_FIRST * _SECTOR >> 20}",
                           "conv=sparse,notrunc", "status=none"])
        return target


def image(base: images.Base, *, programs: bool = True, files: Mapping[str, str] | None = None,
          commands: Sequence[str] = (), size: str = SIZE, modules: Sequence[pathlib.Path] = ()) -> Image:
    """The image of a base with our packages (unless programs=False), files (path to text; a text that begins with
    "#!" becomes executable) and shell commands, each run inside it. Built when it is not in the cache.

    modules: of SELinux, which is to enforce then; they are put into the policy, and every file gets its label."""
    tree = base.tree()
    ours = packaging.packages() if programs else None
    contents = [_named_hash(path) for path in sorted(ours.glob("*.deb"))] if ours else []
    contents += [_named_hash(path) for path in modules]
    filesystem = str(uuid.UUID(cachedir.digest(base.key, contents, dict(files or {}), list(commands), size) * 2))

    def build(folder: pathlib.Path) -> None:
        with progress.step(f"Debian {base.release} {base.kind}: image with {'our packages' if ours else 'Debian alone'}"):
            root = folder / "root"
            process.output_of(["cp", "-a", "--reflink=auto", tree, root])
            if ours:
                _install(ours, root, folder / "build.log")
            _add(root, files or {})
            _make_boot_files(root, commands, folder / "build.log")
            if modules:
                _label(root, modules, folder / "build.log")
            _make_disk(root, folder, size, filesystem)
            cachedir.remove(root)
            (folder / "image.json").write_text(json.dumps({"uuid": filesystem, "label": LABEL}))

    key = cachedir.digest(filesystem, _own_version())
    return Image(cachedir.entry("images", base.name, key, build, KEEP), tree)


def _own_version() -> str:
    """Hash of this file, which is an input of each image."""
    return hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()


def _named_hash(path: pathlib.Path) -> list[str]:
    return [path.name, hashlib.sha256(path.read_bytes()).hexdigest()]


def _install(ours: pathlib.Path, root: pathlib.Path, log: pathlib.Path) -> None:
    """Install the packages with dpkg, which names a missing dependency (OUR_LIBRARIES in images.py). Starts no service, and makes
    no initramfs."""
    inside = root / "our-packages"
    inside.mkdir()
    for path in ours.glob("*.deb"):
        shutil.copy(path, inside)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    _run_inside(root, ["INITRD=No dpkg --install /our-packages/*.deb"], log)
    policy.unlink()
    shutil.rmtree(inside)


def _add(root: pathlib.Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)


def _make_boot_files(root: pathlib.Path, commands: Sequence[str], log: pathlib.Path) -> None:
    """Run the commands and update-initramfs (or dracut) inside the tree."""
    version = next((root / "lib/modules").iterdir()).name
    make = f"if command -v update-initramfs; then update-initramfs -c -k {version}; else /etc/kernel/postinst.d/dracut {version}; fi"
    _run_inside(root, [*commands, make, f"ln -sf boot/initrd.img-{version} /initrd.img"], log)
    shutil.copy(root / f"boot/vmlinuz-{version}", log.parent / "vmlinuz")
    shutil.copy(root / f"boot/initrd.img-{version}", log.parent / "initrd.img")


def _run_inside(root: pathlib.Path, commands: Sequence[str], log: pathlib.Path) -> None:
    """Run commands inside the tree, with /proc, in a separate mount namespace."""
    script = "\n".join(["set -eu", "mount -t proc proc \"$0/proc\"", "exec chroot \"$0\" sh -eu <<'LAB_COMMANDS'", *commands,
                        "LAB_COMMANDS"])
    process.output_of(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, root], log=log)


def _label(root: pathlib.Path, modules: Sequence[pathlib.Path], log: pathlib.Path) -> None:
    """Runs last, because files created later have no label. Needs no SELinux kernel on the host."""
    (root / "etc/selinux/config").write_text("SELINUX=enforcing\nSELINUXTYPE=default\n")
    inside = root / "root/modules"
    inside.mkdir()
    for path in modules:
        shutil.copy(path, inside)
    process.output_of(["chroot", root, "sh", "-c", "semodule -n -i /root/modules/*"], log=log)
    shutil.rmtree(inside)
    process.output_of(["setfiles", "-F", "-r", root, root / "etc/selinux/default/contexts/files/file_contexts", root], log=log)


def _make_disk(root: pathlib.Path, folder: pathlib.Path, size: str, filesystem: str) -> None:
    """Let mke2fs fill the file system, without loop devices and mounts."""
    process.output_of(["mke2fs", "-q", "-t", "ext4", "-L", LABEL, "-U", filesystem, "-d", root,
                       "-E", "assume_storage_prezeroed=1", folder / "disk.raw", size])
