"""VLANs, bonds and several cards below the root disk, as initramfs-tools and our script configure them from the kernel command line."""

import pathlib
import sys

from lab import Lab, test
from lab.machine import Machine
from lab.network import BRIDGE_HOST, BRIDGE_HOST6, Card, Network
from scenes import serving, short_leases

# A card on a network of its own, whose DHCP server answers at once and from which nothing else is reached.
LONELY = "user,ipv6=off,restrict=on"
LONELY_MAC = "52:54:00:77:01:01"


def _boot(lab: Lab, release: int, network: Network, cards: list[Card], words: str) -> tuple[Machine, pathlib.Path]:
    image = lab.image("client", release)
    disk = lab.copy(image)
    serving.serve(lab, network, f"root={disk}", address=BRIDGE_HOST)
    short_leases.DhcpServer(lab, network, 3600)
    return lab.boot("diskless", image, disks=[], cards=cards, append=f"root=/dev/nbd0 nbdroot={BRIDGE_HOST},root {words}"), disk


def _finish(lab: Lab, machine: Machine, disk: pathlib.Path, interface: str) -> None:
    machine.run("findmnt -no SOURCE / | grep -x /dev/nbd0")
    machine.run(f"ip -4 -o address show | grep -v ' lo ' | grep -w {short_leases.ADDRESS} | grep -w {interface}")
    machine.run("test $(ip -4 -o address show | grep -vc ' lo ') = 1")
    machine.run("echo written >/root/file && sync")
    machine.poweroff(timeout=300)
    lab.check_file_system(disk)


@test("a machine boots from a disk behind a VLAN of the kernel command line (vlan=)", long=True, timeout=1200)
def vlan(lab: Lab) -> None:
    network = lab.network()
    network.bridge_card()  # makes the bridge
    network.spawn([sys.executable, pathlib.Path(__file__).parent / "scenes/vlan_switch.py", "br0", "5", "7001", "7002"],
                  name="vlan-switch", ready="ready")
    card = Card(network, "socket,udp=127.0.0.1:7001,localaddr=127.0.0.1:7002", "52:54:00:77:01:05")
    machine, disk = _boot(lab, 12, network, [card], "vlan=eth0.5:eth0 ip=dhcp")
    machine.login(timeout=900)
    machine.run("grep -w 'VID: 5' /proc/net/vlan/eth0.5")
    _finish(lab, machine, disk, "eth0.5")


@test("a machine boots from a disk behind a bond of the kernel command line (bond=), and survives the loss of a port", long=True,
      timeout=1200)
def bond(lab: Lab) -> None:
    network = lab.network()
    cards = [network.bridge_card(), network.bridge_card()]
    machine, disk = _boot(lab, 13, network, cards, "bond=bond0:eth0,eth1:mode=active-backup,miimon=100 ip=dhcp")
    machine.login(timeout=900)
    machine.run("grep -x 'Bonding Mode: fault-tolerance (active-backup)' /proc/net/bonding/bond0")
    machine.run("grep -c '^Slave Interface' /proc/net/bonding/bond0 | grep -x 2")
    machine.link(up=False)
    machine.wait_until("grep -x 'Currently Active Slave: eth1' /proc/net/bonding/bond0")
    _finish(lab, machine, disk, "bond0")


@test("BOOTIF= chooses the card of the root disk, although another one would have an answer first", long=True, timeout=1200)
def boot_interface(lab: Lab) -> None:
    network = lab.network()
    cards = [Card(network, LONELY, LONELY_MAC), network.bridge_card()]
    machine, disk = _boot(lab, 12, network, cards, f"BOOTIF=01-{cards[1].mac.replace(':', '-').upper()} ip=dhcp")
    machine.login(timeout=900)
    lab.require(not machine.said("eth0 complete"), "the other card was configured")
    _finish(lab, machine, disk, "eth1")


@test("of two cards the one with an answer from DHCP leads nowhere, and the machine boots through the other, which comes later",
      long=True, timeout=1200)
def right_card_late(lab: Lab) -> None:
    network = lab.network()
    cards = [Card(network, LONELY, LONELY_MAC), network.bridge_card()]
    network.pull(cards[1])
    machine, disk = _boot(lab, 13, network, cards, "ip=dhcp")
    machine.expect("the server is not reached through eth0; trying the other network cards", timeout=400)
    network.plug(cards[1])
    machine.login(timeout=900)
    _finish(lab, machine, disk, "eth1")


@test("on a network of IPv6 only, the server's name is found through a router's advertisement, in the initramfs and in the system", long=True,
      timeout=1200)
def ipv6_names(lab: Lab) -> None:
    network = lab.network(ipv6=True)
    card = network.bridge_card()
    image = lab.image("client", 12)
    disk = lab.copy(image)
    serving.serve(lab, network, f"root={disk}", address=f"[{BRIDGE_HOST6}]")
    network.spawn(["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
                   "--interface=br0", "--bind-interfaces", f"--dhcp-leasefile={lab.scratch}/leases", "--pid-file=", "--enable-ra",
                   "--dhcp-range=::,constructor:br0,ra-only", f"--dhcp-option=option6:dns-server,[{BRIDGE_HOST6}]",
                   "--dhcp-option=option6:domain-search,example.test", f"--host-record=files.example.test,{BRIDGE_HOST6}"], ready="started")
    machine = lab.boot("diskless", image, disks=[], cards=[card], append="root=/dev/nbd0 nbdroot=files.example.test,root ip=off").login(timeout=900)
    machine.run("findmnt -no SOURCE / | grep -x /dev/nbd0 && ip -4 address show scope global | grep -c inet | grep -x 0")
    machine.wait_until(f"getent ahosts files | grep {BRIDGE_HOST6}")
    machine.poweroff(timeout=300)
    lab.check_file_system(disk)
