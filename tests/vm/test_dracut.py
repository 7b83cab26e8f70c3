"""Root disks attached by an initramfs of dracut: dracut's grammar and ours, the switch to the system, and both ways to shut down."""

from lab import Lab, test
from lab.layer import Image
from lab.machine import Machine
from lab.network import BRIDGE_HOST, HOST, HOST6, USER_IP
from scenes import diskless, managed_network, outages, serving
from scenes.short_leases import DhcpServer

# systemd-networkd of the system would flush the address of the root disk (scenes/managed_network.py).
NETWORKD = "/etc/systemd/network/50-dhcp.network"
FILES = {path: managed_network.FILES[path] for path in (NETWORKD, "/usr/lib/systemd/system-shutdown/lab-survivor")}

# A dracut module that reports the daemon at the end of dracut's shutdown, when the root file system is no longer mounted.
REPORT = {
    "/usr/lib/dracut/modules.d/99lab/module-setup.sh": "#!/bin/bash\ninstall() {\n    inst_hook shutdown 50 \"$moddir/report.sh\"\n}\n",
    "/usr/lib/dracut/modules.d/99lab/report.sh":
        "#!/bin/sh\n. /lib/holdfast-lib.sh\nfor _daemon in $(holdfast_daemons); do\n"
        "    echo \"at the end: $(cat /proc/$_daemon/comm) from $(readlink /proc/$_daemon/exe), $(grep -c ' /oldroot ' /proc/mounts) mounted\"\n"
        "done\n",
}


def image(lab: Lab) -> Image:
    return lab.image("dracut", 13, files={**FILES, **REPORT}, commands=["systemctl enable --quiet systemd-networkd"])


def is_handed_over(lab: Lab, machine: Machine) -> None:
    """The daemon of the initramfs is the only one, is outside every unit, and has its mark, as have its processes; networkd leaves the
    interface alone."""
    machine.run("test $(pgrep -c '^holdfast-nbd0') = 1 && pgrep '^holdfast-nbd0' | grep -qx \"$(cat /sys/block/nbd0/pid)\"")
    machine.run("grep -q '^@holdfast-client: nbd0' /proc/$(cat /sys/block/nbd0/pid)/cmdline")
    machine.run("test $(pgrep -cx holdfast-timer) = 1 && grep -q '^@holdfast-timer: nbd0' /proc/$(pgrep -x holdfast-timer)/cmdline")
    machine.run("grep -qx '0::/init.scope' /proc/$(cat /sys/block/nbd0/pid)/cgroup")
    machine.run("grep -q '^eth0 (.*systemd-networkd' /run/holdfast/nbd0.network")
    machine.wait_until("systemctl is-active systemd-networkd && networkctl --no-pager list eth0 | grep -qw unmanaged")
    addresses = machine.run("ip -4 -o address show dev eth0")
    lab.require("valid_lft forever" in addresses and "dynamic" not in addresses, f"the address expires: {addresses}")


@test("Debian 13 with dracut boots with root=nbd:..., survives an outage, and powers off", timeout=900, long=True)
def dracuts_words(lab: Lab) -> None:
    made = image(lab)
    disk = lab.copy(made)
    network = lab.network()
    server = serving.serve(lab, network, f"root={disk}")
    machine = lab.boot("diskless", made, disks=[], cards=[network.user_card()],
                       append=f"root=nbd:{HOST}:10809/root:ext4:noatime:dead-after=7 {USER_IP}").login(timeout=600)
    diskless.look_around(machine, HOST)
    machine.run("findmnt -n -o OPTIONS / | grep -qw noatime && grep -qx 'dead_after 7' /run/holdfast/nbd0.state")
    is_handed_over(lab, machine)
    diskless.write_and_flush(machine)

    def restart() -> None:
        server.stop()
        outages.wait_for_state(machine, "reconnecting")
        serving.serve(lab, network, f"root={disk}", name="holdfast-server-again")

    outages.keep_in_memory(machine)
    diskless.restart_underneath(machine, restart)
    machine.poweroff()
    lab.require(machine.said('survivor: .*"state":"attached"'), "the daemon was not there at the end of the shutdown")
    lab.check_file_system(disk)


@test("a wrong word is named on the console by dracut's initramfs", long=True)
def wrong_word(lab: Lab) -> None:
    machine = lab.boot("diskless", image(lab), disks=[], cards=[lab.network().user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},root,sda {USER_IP}")
    machine.expect(f"nbdroot={HOST},root,sda: 'sda' is neither a device")
    machine.expect("Entering emergency mode")


@test("Debian 13 with dracut boots with nbdroot= and DHCP, its daemon renews the lease as networkd's successor, and a daemon of an upgrade "
      "outlives dracut's own shutdown", timeout=1200, long=True)
def our_words(lab: Lab) -> None:
    made = image(lab)
    disk = lab.copy(made)
    network = lab.network()
    card = network.bridge_card()
    leases = DhcpServer(lab, network, seconds=120)
    serving.serve(lab, network, f"root={disk}", address=BRIDGE_HOST)
    # The shutdown unpacks the initramfs in /run, which may take a fifth of the memory.
    machine = lab.boot("diskless", made, disks=[], cards=[card], memory=1024,
                       append=f"root=/dev/nbd0 nbdroot={BRIDGE_HOST},root ip=dhcp").login(timeout=600)
    diskless.look_around(machine, BRIDGE_HOST)
    is_handed_over(lab, machine)
    leases.wait_for(1, "rebinding")
    leases.wait_for(1, "renewing")
    identities = {line[line.index("hardware"):line.rindex(":")] for line in leases.lines("selecting", "rebinding", "renewing")}
    lab.require(len(identities) == 1, f"the DHCP server knows the machine by different marks: {identities}")
    lab.require(outages.status(machine)["lease_problem"] == "", "the lease has a problem")

    machine.run("holdfast-client takeover", timeout=outages.PATIENCE)
    machine.run("readlink /proc/$(cat /run/sendsigs.omit.d/holdfast-nbd0)/exe | grep -qx /usr/sbin/holdfast-client")
    diskless.write_and_flush(machine)
    machine.run("touch /run/initramfs/.need_shutdown")  # as dracut's modules for LVM and RAID do
    machine.poweroff(timeout=outages.PATIENCE)
    lab.require(machine.said('survivor: .*"state":"attached"'), "the daemon was not there at the end of systemd's shutdown")
    lab.require(machine.said("at the end: holdfast-nbd0 from /usr/sbin/holdfast-client, 0 mounted"),
                "the daemon was not there at the end of dracut's shutdown")
    lab.check_file_system(disk)


@test("an IPv6 address that dracut's initramfs got from a router outlives the initramfs", timeout=1200, long=True)
def ipv6(lab: Lab) -> None:
    made = image(lab)
    disk = lab.copy(made)
    network = lab.network(ipv6=True)
    serving.serve(lab, network, f"root={disk}", address="[::1]")
    machine = lab.boot("diskless", made, disks=[], cards=[network.user_card()],
                       append=f"nbdroot=[{HOST6}]/root ip=auto6").login(timeout=600)
    diskless.look_around(machine, HOST6)
    machine.run("grep -qx 1 /proc/sys/net/ipv6/conf/eth0/accept_ra || { cat /proc/sys/net/ipv6/conf/eth0/accept_ra; ip -6 address show dev eth0; "
                "networkctl status eth0; exit 1; }")
    # Router advertisements extend the address; QEMU's router sends one in answer to a solicitation.
    machine.run("ip -6 -o address show dev eth0 scope site dynamic || ip -6 -o address show dev eth0")
    machine.poweroff()
    lab.check_file_system(disk)
