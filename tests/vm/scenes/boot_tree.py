"""A tree of holdfast-netboot on the host, with loaders and firmware from Debian's packages, unpacked and not installed."""

import pathlib
import subprocess

from lab import Lab, layer, process, progress

LOADERS = ("pxelinux", "syslinux-common", "shim-signed", "grub-efi-amd64-signed")
FIRMWARE = ("ovmf",)


def unpacked(lab: Lab, *packages: str) -> pathlib.Path:
    """Folder with the content of packages of the host's release."""
    folder = lab.scratch / "-".join(packages)
    folder.mkdir()
    with progress.off_the_clock():
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages], cwd=folder, check=True, stdout=process.DEVNULL)
        for package in folder.glob("*.deb"):
            process.output_of(["dpkg-deb", "-x", package, folder / "content"])
    return folder / "content"


def make(lab: Lab, image: layer.Image, server: str, *words: str) -> pathlib.Path:
    """Tree with the host "diskless", whose disk is the export "root" of the server; `words`: its keys and further options."""
    tree = lab.scratch / "tftp"
    netboot = lab.build / "holdfast-netboot"
    process.output_of([netboot, "init", tree, "--from", unpacked(lab, *LOADERS), "--server", server])
    process.output_of([netboot, "add", "diskless", "--tree", tree, "--export", "root", "--console", "ttyS0", "--append",
                       "net.ifnames=0 mitigations=off", "--kernel", image.kernel, "--initrd", image.initrd, *words])
    return tree


def secure_firmware(lab: Lab) -> list[str]:
    """QEMU's options for UEFI with Secure Boot on and Microsoft's keys; the chipset must have SMM."""
    ovmf = unpacked(lab, *FIRMWARE) / "usr/share/OVMF"
    return ["-machine", "q35,smm=on,graphics=off", "-global", "driver=cfi.pflash01,property=secure,value=on",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={ovmf}/OVMF_CODE_4M.ms.fd",
            "-drive", f"if=pflash,format=raw,unit=1,file={ovmf}/OVMF_VARS_4M.ms.fd"]
