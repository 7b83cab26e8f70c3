"""Xen on a diskless host: the first domain on its network root disk, from a tree of holdfast-netboot."""

import pathlib
import shutil
import sys
import time

from lab import Lab, process, test
from lab.failure import Failure
from lab.layer import Image
from lab.machine import Machine
from lab.network import BRIDGE_HOST, Network
from scenes import boot_tree, outages, serving
from scenes.outages import PATIENCE, Scene

LOADERS = ("pxelinux", "syslinux-common", "shim-signed", "grub-efi-amd64-signed", "grub-efi-amd64-bin")
# Under this emulation, the first domain dies with SMAP. With XSAVE and a guest, its ld.so once failed an assertion, and then it did not
# answer; the cause is not known. Without XSAVE, and with eager-fpu, this was not seen.
CPU = "max,cx16=off,smap=off,xsave=off"
XEN_WORDS = "dom0_mem=512M,max:512M spec-ctrl=eager-fpu"
FILES = {
    "/etc/initramfs-tools/conf.d/lab": "MODULES=list\n",
    "/etc/initramfs-tools/modules": "virtio_pci\nvirtio_net\next4\nxen_blkfront\nxen_netfront\n",
    # As in holdfast-client(8).
    "/etc/network/interfaces.d/xenbr0": "auto xenbr0\niface xenbr0 inet manual\n    bridge_ports eth0\n    up ip address flush dev eth0\n",
}
# Brings the bridge up when the test says so.
COMMANDS = ["systemctl disable networking"]


def _image(lab: Lab) -> Image:
    return lab.image("xen", 12, files={**outages.FILES, **FILES}, commands=COMMANDS, size="2G")


def _network(lab: Lab, image: Image) -> tuple[Network, pathlib.Path]:
    """The network, with DHCP and TFTP for its first card, and the tree with hypervisor, kernel and initramfs of the image."""
    network = lab.network()
    lines, tree = lab.scratch / "netboot.conf", lab.scratch / "tftp"
    debian = boot_tree.unpacked(lab, *LOADERS)
    netboot = lab.build / "holdfast-netboot"
    process.output_of([netboot, "init", tree, "--from", debian, "--loaders", "bios,uefi,xen", "--server", BRIDGE_HOST, "--dhcp", "dnsmasq",
                       "--dhcp-file", lines])
    boot_tree.add(lab, tree, image, "diskless", "root", "--mac", "52:54:00:77:00:01", "--xen", image.tree / "boot/xen-4.17-amd64.gz",
                  "--xen-append", XEN_WORDS)
    process.output_of([netboot, "check", "--tree", tree, "--from", debian])
    return network, lines


def _boot(lab: Lab, image: Image, network: Network, lines: pathlib.Path, *exports: str, extra: list[str] | None = None) -> Scene:
    """The first domain, booted from the network."""
    disk, card = lab.copy(image), network.bridge_card("52:54:00:77:00:01")
    server = serving.serve(lab, network, f"root={disk}", *exports, address=BRIDGE_HOST, name="dom0-server-1")
    boot_tree.serve(network, lines)
    machine = lab.machine("dom0", cards=[card], boot_from_network=not extra, memory=1024, cpu=CPU, extra=extra or [])
    machine.login(timeout=3 * PATIENCE)
    machine.run("findmnt -n -o SOURCE / | grep -x /dev/nbd0")
    machine.run("grep -w console=hvc0 /proc/cmdline && grep -w BOOTIF=01-52.54.00.77.00.01 /proc/cmdline")
    # Its daemons start by a script of System V, which takes a minute here.
    machine.wait_until("xl info | grep -F 'xen_version' && xl list | grep '^Domain-0  *0 '", timeout=PATIENCE)
    lab.require("dom0_mem=512M,max:512M" in machine.run("xl info | grep ^xen_commandline", timeout=PATIENCE), machine.run("xl info"))
    print(machine.run("xl list", timeout=PATIENCE))
    return Scene(lab, image, network, network, BRIDGE_HOST, serving.PORT, disk, machine, card, server)


def _make_bridge(scene: Scene) -> None:
    """ifupdown puts the bridge above the card of the root disk, and the address gets there by itself."""
    scene.machine.run("cat $(command -v ip brctl sed sleep run-parts ifup) $(ldd $(command -v ip brctl) | grep -o '/[^ ]*') >/dev/null")
    scene.machine.start_command("systemctl start networking")
    scene.machine.wait_until("holdfast-client status nbd0 --json | grep -F '\"interface\":\"xenbr0\"'", timeout=PATIENCE)
    scene.machine.wait_until("systemctl is-active networking && ip route | grep -E '^default .* xenbr0'", timeout=PATIENCE)
    scene.machine.run("ip link show eth0 | grep 'master xenbr0'")
    scene.progress()


@test("a diskless machine with BIOS boots Xen by pxelinux and mboot.c32, makes a bridge of the root disk's card under load, outlives an "
      "outage of the server, and powers off", timeout=2400, long=True)
def first_domain(lab: Lab) -> None:
    image = _image(lab)
    network, lines = _network(lab, image)
    # Without the script for iPXE, which QEMU's card has: it loads pxelinux as other cards do.
    lines.write_text("\n".join(line for line in lines.read_text().splitlines() if "set:ipxe" not in line) + "\n")
    scene = _boot(lab, image, network, lines)
    lab.require(scene.machine.said(r"\(XEN\) Bootloader: PXELINUX") and not scene.machine.said("boot.ipxe"), "pxelinux has not booted it alone")
    scene.load(pause=0.2)
    outages.keep_in_memory(scene.machine)
    _make_bridge(scene)
    outages.live_through(scene, scene.stop_server, lambda: scene.machine.run("ip neigh flush dev xenbr0"))
    scene.finish()


@test("a diskless machine with UEFI boots Xen by GRUB and multiboot2, and powers off", timeout=2400, long=True)
def by_grub(lab: Lab) -> None:
    image = _image(lab)
    network, lines = _network(lab, image)
    # Without shim: under Secure Boot, GRUB refuses the modules for Xen.
    lines.write_text(lines.read_text().replace("shimx64.efi", "grubx64.efi"))
    scene = _boot(lab, image, network, lines, extra=boot_tree.firmware(lab))
    lab.require(scene.machine.said(r"\(XEN\) Bootloader: GRUB") and scene.machine.said(r"\(XEN\) EFI RAM map"), "GRUB has not booted it with UEFI")
    scene.load(pause=0.2)
    scene.finish()


GUEST_ADDRESS = "10.77.0.50"
INIT = f"""#!/bin/busybox sh
# Counts on the guest's disk, each number on stable storage before the next, and shows them by HTTP.
export PATH=/bin
mount -t proc none /proc
ip address add {GUEST_ADDRESS}/24 dev eth0
ip link set eth0 up
httpd -h /count
n=0
while n=$((n + 1)); do echo $n >>/count/log; sync; sleep 0.2; done
"""
# The kernel calls it when the first domain asks the guest to power off.
POWEROFF = "#!/bin/busybox sh\nexport PATH=/bin\nsync\nmount -o remount,ro /\npoweroff -f\n"
CONFIGURATION = """name = "guest"
kernel = "/vmlinuz"
ramdisk = "/initrd.img"
memory = 256
disk = ["phy:/dev/nbd1,xvda,w"]
vif = ["bridge=xenbr0"]
extra = "root=/dev/xvda rw console=hvc0 net.ifnames=0 mitigations=off"
on_reboot = "destroy"
"""


def _guest_disk(lab: Lab) -> pathlib.Path:
    root = lab.scratch / "guest"
    for folder in ("bin", "sbin", "proc", "sys", "dev", "run", "count"):
        (root / folder).mkdir(parents=True)
    shutil.copy(boot_tree.unpacked(lab, "busybox-static") / "bin/busybox", root / "bin")
    for command in ("sh", "mount", "ip", "sync", "sleep", "poweroff", "httpd"):
        (root / "bin" / command).symlink_to("busybox")
    for name, text in (("init", INIT), ("poweroff", POWEROFF)):
        (root / "sbin" / name).write_text(text)
        (root / "sbin" / name).chmod(0o755)
    disk = lab.blank_disk(64, "guest")
    process.output_of(["mke2fs", "-q", "-t", "ext4", "-F", "-d", root, disk])
    return disk


def _start_guest(scene: Scene) -> None:
    machine: Machine = scene.machine
    machine.run(f"holdfast-client attach nbd://{BRIDGE_HOST}/guest --device nbd1", timeout=PATIENCE)
    machine.write("/etc/xen/guest.cfg", CONFIGURATION)
    machine.run("mkdir -p /var/log/xen/console && kill $(cat /run/xenconsoled.pid) && sleep 1 && "
                "/usr/lib/xen-4.17/bin/xenconsoled --pid-file /run/xenconsoled.pid --log=guest --log-dir=/var/log/xen/console", timeout=PATIENCE)
    machine.run("xl create /etc/xen/guest.cfg", timeout=2 * PATIENCE)
    machine.run("ip link show master xenbr0 | grep -F vif", timeout=PATIENCE)


def _counted(network: Network) -> int:
    """How far the guest has counted, as the host sees by the bridge; 0 without an answer."""
    program = ("from urllib.request import ProxyHandler, build_opener; "
               f"print(build_opener(ProxyHandler({{}})).open('http://{GUEST_ADDRESS}/log', timeout=10).read().decode().split()[-1])")
    try:
        return int(network.run([sys.executable, "-c", program]))
    except Failure:
        return 0


def _wait_for_count(lab: Lab, network: Network, least: int) -> int:
    deadline = time.monotonic() + 2 * PATIENCE
    while (count := _counted(network)) < least:
        lab.require(time.monotonic() < deadline, f"the guest has counted to {count}, not to {least}")
        time.sleep(1)
    return count


@test("a paravirtualized guest runs on a further export and on the bridge of a diskless first domain, and outlives an outage of the server",
      timeout=3000, long=True)
def guest(lab: Lab) -> None:
    image, disk = _image(lab), _guest_disk(lab)
    network, lines = _network(lab, image)
    scene = _boot(lab, image, network, lines, f"guest={disk}")
    lab.require(scene.machine.said("Xen boots by pxelinux or GRUB"), "iPXE has not run the script")
    scene.load(pause=1)
    _make_bridge(scene)
    _start_guest(scene)
    count = _wait_for_count(lab, network, 3)
    scene.stop_server()
    outages.wait_for_state(scene.machine, "reconnecting")
    scene.serve(f"root={scene.disk}", f"guest={disk}")
    scene.progress()
    outages.wait_for_state(scene.machine, "attached", device="nbd1")
    scene.machine.run("xl list | grep -w guest", timeout=PATIENCE)
    _wait_for_count(lab, network, count + 10)
    scene.machine.run("xl shutdown guest", timeout=PATIENCE)
    scene.machine.wait_until("! xl list | grep -w guest", timeout=PATIENCE)
    print(scene.machine.run("tail -n 5 /var/log/xen/console/*", timeout=PATIENCE))
    scene.machine.run("holdfast-client detach nbd1", timeout=PATIENCE)
    lab.check_file_system(disk)
    numbers = process.output_of(["debugfs", "-R", "cat /count/log", disk]).split("\n")[1:]
    counted = [int(number) for number in numbers if number.isdigit()]
    lab.require(counted and counted == list(range(1, len(counted) + 1)), f"the guest's log: {counted[:20]}... {counted[-20:]}")
    scene.finish()
