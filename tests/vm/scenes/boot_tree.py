"""A tree of holdfast-netboot on the host, with loaders and firmware from Debian's packages, unpacked and not installed."""

import os
import pathlib
import subprocess
from collections.abc import Sequence

from lab import Lab, layer, process, progress
from lab.network import Network

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


def make(lab: Lab, image: layer.Image, server: str, *words: str, init: Sequence[str | pathlib.Path] = (), loaders: Sequence[str] = LOADERS) -> pathlib.Path:
    """Tree with the host "diskless", whose disk is the export "root" of the server; `words`: its keys and further options; `init`: options of
    init; `loaders`: packages."""
    tree = lab.scratch / "tftp"
    process.output_of([lab.build / "holdfast-netboot", "init", tree, "--from", unpacked(lab, *loaders), "--server", server, *init])
    add(lab, tree, image, "diskless", "root", *words)
    return tree


def add(lab: Lab, tree: pathlib.Path, image: layer.Image, host: str, export: str, *words: str) -> None:
    process.output_of([lab.build / "holdfast-netboot", "add", host, "--tree", tree, "--export", export, "--console", "ttyS0", "--append",
                       "net.ifnames=0 mitigations=off", "--kernel", image.kernel, "--initrd", image.initrd, *words])


def serve(network: Network, lines: pathlib.Path, *options: str) -> None:
    """dnsmasq with the lines that init has written, for addresses and files of the machines on the bridge."""
    network.spawn(["dnsmasq", "--keep-in-foreground", "--log-facility=-", f"--conf-file={lines}", "--port=0", "--user=root", "--interface=br0",
                   "--bind-interfaces", "--dhcp-range=10.77.0.100,10.77.0.120,1h", f"--dhcp-leasefile={lines}.leases", "--log-dhcp", *options],
                  name="dnsmasq", ready="DHCP, IP range")


def add_grub_for_bios(lab: Lab, tree: pathlib.Path) -> str:
    """GRUB for BIOS as grub-mknetdir(1) makes it, which reads the files that holdfast-netboot writes for GRUB; returns the file to boot."""
    packages = unpacked(lab, "grub-common", "grub-pc-bin", "libefivar1", "libefiboot1")
    process.output_of([packages / "usr/bin/grub-mknetdir", f"--net-directory={tree}", "--subdir=/grub", "-d", packages / "usr/lib/grub/i386-pc"],
                      env={**os.environ, "LD_LIBRARY_PATH": f"{packages}/usr/lib/x86_64-linux-gnu"})
    return "grub/i386-pc/core.0"


def http_firmware(lab: Lab) -> list[str]:
    """QEMU's options for UEFI that boots over HTTP alone."""
    return [*firmware(lab), "-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n", "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"]


def firmware(lab: Lab) -> list[str]:
    """QEMU's options for UEFI without Secure Boot, by the firmware's own drivers."""
    ovmf = unpacked(lab, *FIRMWARE) / "usr/share/OVMF"
    return ["-machine", "q35,graphics=off", "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={ovmf}/OVMF_CODE_4M.fd",
            "-drive", f"if=pflash,format=raw,unit=1,file={ovmf}/OVMF_VARS_4M.fd"]


def secure_firmware(lab: Lab) -> list[str]:
    """QEMU's options for UEFI with Secure Boot on and Microsoft's keys; the chipset must have SMM."""
    ovmf = unpacked(lab, *FIRMWARE) / "usr/share/OVMF"
    return ["-machine", "q35,smm=on,graphics=off", "-global", "driver=cfi.pflash01,property=secure,value=on",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={ovmf}/OVMF_CODE_4M.ms.fd",
            "-drive", f"if=pflash,format=raw,unit=1,file={ovmf}/OVMF_VARS_4M.ms.fd"]
