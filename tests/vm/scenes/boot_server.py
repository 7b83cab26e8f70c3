"""A boot server in a machine: holdfast-server with the disk of a diskless host, the tree of holdfast-netboot, and dnsmasq, each as its
manual page says. The diskless host boots by pxelinux.

    server = boot_server.start(lab, network)
    host = server.host()                  # switched on
    host.login(timeout=300)
    server.wait_for_next("6.12")          # published: the kernel that the next boot of the host gets
"""

import dataclasses
import json

from lab import Lab
from lab.failure import Failure
from lab.layer import Image
from lab.machine import Machine
from lab.network import Card, Network

ADDRESS = "10.77.0.2"
NAME = "workstation0"
TREE = "/srv/tftp"
SPOOL = "/var/spool/holdfast-server"
DISK = "/dev/vdb"
# Guests are slow when another one runs beside them; a wait is only there so that a failure ends.
PATIENCE = 300

FILES = {
    "/etc/holdfast/server.conf": f"[{NAME}]\nexportname = {DISK}\nbootfiles = yes\n",
    "/etc/dnsmasq-lab.conf": "port=0\ninterface=eth0\nbind-interfaces\ndhcp-range=10.77.0.100,10.77.0.120,1h\n"
                             "dhcp-leasefile=/run/dnsmasq.leases\n",
}
COMMANDS = ["systemctl disable holdfast-server"]
# Files of the host. Its initramfs has few modules, so that an emulated processor makes one in a minute.
HOST_FILES = {
    "/etc/initramfs-tools/conf.d/lab": "MODULES=list\n",
    "/etc/initramfs-tools/modules": "virtio_pci\nvirtio_net\nvirtio_blk\next4\n",
    # /run/lab-marker tells which initramfs has booted.
    "/etc/initramfs-tools/scripts/init-bottom/marker": "#!/bin/sh\n[ \"$1\" != prereqs ] || exit 0\ncat /etc/lab-marker >/run/lab-marker 2>/dev/null || echo first >/run/lab-marker\n",
}


@dataclasses.dataclass
class BootServer:
    """`card`: of the diskless host."""

    lab: Lab
    machine: Machine
    card: Card

    def host(self, **options) -> Machine:
        """The diskless host, switched on; it can reboot."""
        return self.lab.machine("host", boot_from_network=True, cards=[self.card], exit_on_reboot=False, **options)

    def serve(self) -> None:
        """What the boot of a server in service does."""
        self.machine.run(f"ip address add {ADDRESS}/24 dev eth0 && ip link set eth0 up && systemctl start holdfast-server && "
                         "systemctl is-active holdfast-server && dnsmasq --conf-file=/etc/dnsmasq-lab.conf --conf-dir=/etc/dnsmasq.d", timeout=PATIENCE)

    def entry(self) -> dict:
        """The host in `holdfast-netboot list --json`."""
        (entry,) = json.loads(self.machine.run("holdfast-netboot list --json"))
        return entry

    def wait_for_answer(self, host: Machine, words: str) -> None:
        """Wait until `holdfast-client bootfiles` on the host prints this line."""
        self._wait(host, f"holdfast-client bootfiles --status >/run/said; grep -Ex '{words}' /run/said || {{ cat /run/said; exit 1; }}")

    def _wait(self, machine: Machine, command: str) -> None:
        try:
            machine.wait_until(command, timeout=PATIENCE)
        except Failure as failure:
            raise Failure(f"{failure}\n{self.machine.run('holdfast-netboot list; journalctl --no-pager -n 40 -u holdfast-netboot-take -u holdfast-server')}") from None

    def wait_for_next(self, words: str) -> dict:
        """Wait until the line of the host in the list says so, and check the tree."""
        self._wait(self.machine, f"holdfast-netboot list | grep -E '{words}'")
        self.machine.run(f"holdfast-netboot check {NAME}")
        return self.entry()

    def spool(self, command: str) -> str:
        """Run a command in the spool's folder of the host."""
        return self.machine.run(f"cd {SPOOL}/{NAME} && {command}")

    def freeze(self, moment: str, process: str) -> None:
        """Stop a process in the first moment in which a command succeeds; then /run/frozen exists. SPOOL: the folder of the host."""
        self.machine.run("rm -f /run/frozen")
        self.machine.start_command(f"SPOOL={SPOOL}/{NAME}; until {moment}; do :; done; kill -STOP {process} && touch /run/frozen")

    def thaw(self) -> None:
        self.machine.run("kill -CONT $(systemctl show -p MainPID --value holdfast-server)")


def start(lab: Lab, network: Network, server: Image, host: Image, loader: str = "ipxe") -> BootServer:
    """The server, whose tree has the kernel of the host's disk; nothing was handed in yet. loader: of a host with BIOS, whose card has
    iPXE, "pxelinux" or "ipxe"."""
    disks = [lab.copy(server, "server"), lab.copy(host, "host")]
    machine = lab.boot("boot-server", server, disks=disks, cards=[network.bridge_card()], exit_on_reboot=False).login()
    scene = BootServer(lab, machine, network.bridge_card())
    machine.run(f"holdfast-netboot init --loaders bios --server {ADDRESS} --dhcp dnsmasq --dhcp-file /etc/dnsmasq.d/netboot.conf")
    if loader == "pxelinux":
        machine.run("sed -i /set:ipxe/d /etc/dnsmasq.d/netboot.conf")
    machine.run(f"mount -o ro {DISK} /mnt && holdfast-netboot add {NAME} --export {NAME} --mac {scene.card.mac} --console ttyS0 "
                "--append 'net.ifnames=0 mitigations=off' --kernel /mnt/vmlinuz --initrd /mnt/initrd.img && umount /mnt", timeout=PATIENCE)
    machine.run("systemctl is-enabled holdfast-netboot-take.path && systemctl is-active holdfast-netboot-take.path && holdfast-server --check")
    scene.serve()
    return scene
