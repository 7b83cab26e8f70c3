"""Each family of the boot grammar, as far as the mounted root: the initramfs stops there (break=bottom) and is looked at.

Word by word the grammar is held by the unit tests; here is what needs a kernel, a network and a name server.
"""

import pathlib

from lab import Lab, test
from lab.layer import Image
from lab.machine import Machine
from lab.network import BRIDGE_HOST, HOST, HOST6, USER_IP, Network
from scenes import serving

NOBODY = "10.0.2.2,1"  # a port where nothing listens


def reaches_root(lab: Lab, image: Image, network: Network, words: str, device: str = "/dev/nbd0",
                 bridge: bool = False) -> None:
    """Boots until the root file system is mounted, and sees what it is on."""
    name = f"boot-{len(lab.machines)}"
    card = network.bridge_card() if bridge else network.user_card()
    machine: Machine = lab.boot(name, image, disks=[], cards=[card], append=f"{words} break=bottom")
    machine.expect(r"^\(initramfs\)", timeout=180)
    mounts = machine.run("cat /proc/mounts")
    lab.require(f"{device} /root ext4" in mounts, f"`{words}`: {device} is not on /root:\n{mounts}")
    machine.run(f"test -b {device} && test -e /root/etc/debian_version")
    machine.kill()


def served(lab: Lab, release: int = 12, ipv6: bool = False) -> tuple[Image, Network, pathlib.Path]:
    image = lab.image("client", release)
    return image, lab.network(ipv6=ipv6), lab.copy(image)


@test("nbdroot=SERVER,PORT and SERVER,PORT,NAME reach the root", timeout=400, long=True)
def ports(lab: Lab) -> None:
    image, network, disk = served(lab)
    serving.serve_configured(lab, network, f"[root]\nexportname = {disk}\nport = 12345\nlistenaddr = 127.0.0.1\n", 12345)
    reaches_root(lab, image, network, f"root=/dev/nbd0 nbdroot={HOST},12345 {USER_IP}")
    reaches_root(lab, image, network, f"root=/dev/nbd0 nbdroot={HOST},12345,root {USER_IP}")


@test("nbdroot=SERVER,NAME and SERVER,NAME,DEVICE reach the root on the device that is named", timeout=400, long=True)
def names(lab: Lab) -> None:
    image, network, disk = served(lab)
    serving.serve(lab, network, f"vg0/root={disk}")
    reaches_root(lab, image, network, f"root=/dev/nbd0 nbdroot={HOST},vg0/root {USER_IP}")
    reaches_root(lab, image, network, f"nbdroot={HOST},vg0/root,nbd2 {USER_IP}", device="/dev/nbd2")


@test("nbdroot=SERVER:PORT/NAME, SERVER/NAME and a URI reach the root", timeout=400, long=True)
def slashes(lab: Lab) -> None:
    image, network, disk = served(lab)
    serving.serve(lab, network, f"root={disk}")
    for word in (f"{HOST}:10809/root", f"{HOST}/root", f"nbd://{HOST}:10809/root"):
        reaches_root(lab, image, network, f"root=/dev/nbd0 nbdroot={word} {USER_IP}")


@test("nbdroot=SERVER:/NAME reaches the root, as for NFS", long=True)
def nfs_style(lab: Lab) -> None:
    image, network, disk = served(lab)
    serving.serve(lab, network, f"/srv/root={disk}")
    reaches_root(lab, image, network, f"root=/dev/nbd0 nbdroot={HOST}:/srv/root {USER_IP}")


@test("IPv6 servers are reached, in brackets and in a URI", timeout=400, long=True)
def ipv6(lab: Lab) -> None:
    image, network, disk = served(lab, ipv6=True)
    serving.serve(lab, network, f"root={disk}", address="[::1]")
    for word in (f"[{HOST6}]/root", f"nbd://[{HOST6}]:10809/root"):
        reaches_root(lab, image, network, f"root=/dev/nbd0 nbdroot={word} {USER_IP}")


@test("the root is found as a partition, by UUID and by LABEL, and on the device that nbddev= names", timeout=400, long=True)
def root_words(lab: Lab) -> None:
    image, network, disk = served(lab)
    serving.serve(lab, network, f"root={disk}", f"disk={lab.copy_partitioned(image)}")
    reaches_root(lab, image, network, f"root=/dev/nbd0p1 nbdroot={HOST},disk {USER_IP}", device="/dev/nbd0p1")
    reaches_root(lab, image, network, f"root=UUID={image.uuid} nbdroot={HOST},root {USER_IP}")
    reaches_root(lab, image, network, f"root=LABEL={image.label} nbddev=nbd3 nbdroot={HOST},disk {USER_IP}",
                 device="/dev/nbd3p1")


@test("a repeated nbdroot= is a list: the second server is used when the first is not there", long=True)
def second_server(lab: Lab) -> None:
    image, network, disk = served(lab)
    serving.serve(lab, network, f"root={disk}")
    reaches_root(lab, image, network, f"root=/dev/nbd0 nbdroot={NOBODY} nbdroot={HOST},root {USER_IP}")


def with_root_path(lab: Lab, network: Network, disk: pathlib.Path, root_path: str) -> None:
    """The disk on the bridge, and a DHCP server with this root-path."""
    card = network.bridge_card()  # makes the bridge, so that the servers below can listen on it
    del card
    serving.serve(lab, network, f"root={disk}", address=BRIDGE_HOST)
    network.spawn(["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
                   "--interface=br0", "--bind-interfaces", f"--dhcp-leasefile={lab.scratch}/leases", "--pid-file=",
                   "--dhcp-range=10.77.0.100,10.77.0.120,255.255.255.0,1h",
                   f"--dhcp-option=option:root-path,{root_path}", "--domain=example.test",
                   f"--host-record=files.example.test,{BRIDGE_HOST}"], ready="DHCP")


@test("root=dhcp takes the disk from netroot=nbd:... or DHCP's root-path, and root=live: and a partition without max_part are refused by name",
      timeout=600, long=True)
def dhcp_root(lab: Lab) -> None:
    image, network, disk = served(lab)
    with_root_path(lab, network, disk, f"nbd:{BRIDGE_HOST}:root")
    reaches_root(lab, image, network, "root=dhcp ip=dhcp", bridge=True)
    reaches_root(lab, image, network, f"root=dhcp netroot=nbd:{BRIDGE_HOST}:10809/root ip=dhcp", bridge=True)
    for number, (words, said) in enumerate((("root=live:/dev/nbd0", "root=live:/dev/nbd0: live images are not supported"),
                                            ("root=/dev/nbd0p1 nbd.max_part=0", "nbd.max_part=0: the kernel makes no partitions"))):
        machine = lab.boot(f"refused-{number}", image, disks=[], cards=[network.bridge_card()], append=f"{words} nbdroot={BRIDGE_HOST},root ip=dhcp")
        machine.expect(said, timeout=180)
        machine.expect(r"^\(initramfs\)", timeout=60)
        machine.kill()


@test("DHCP's root-path is read for nbdroot=dhcp and an empty nbdroot=, and a host name is looked up", timeout=500)
def dhcp_and_names(lab: Lab) -> None:
    image, network, disk = served(lab)
    with_root_path(lab, network, disk, f"{BRIDGE_HOST},root")
    for word in ("dhcp", "", "files.example.test,root"):
        reaches_root(lab, image, network, f"root=/dev/nbd0 nbdroot={word} ip=dhcp", bridge=True)


@test("Debian 13's initramfs reads the grammar too: a name with a port, and a partition", timeout=400, long=True)
def debian_13(lab: Lab) -> None:
    image, network, disk = served(lab, release=13)
    serving.serve(lab, network, f"root={disk}", f"disk={lab.copy_partitioned(image)}")
    reaches_root(lab, image, network, f"root=/dev/nbd0 nbdroot={HOST},10809,root {USER_IP}")
    reaches_root(lab, image, network, f"root=/dev/nbd0p1 nbdroot=nbd://{HOST}/disk {USER_IP}", device="/dev/nbd0p1")
