"""The quick start of holdfast(7), tried as a new user would: its commands on a fresh file server, and a machine that boots from it.

The commands are those of the page, with other addresses. The repositories are the site's own (packaging.site()): that of our packages,
and one for Debian's archive, in which the kernel is that of virtual machines and its initramfs has few modules.
"""

import time

from lab import Lab, images, packaging, progress, test
from lab.machine import Machine
from lab.network import BRIDGE_HOST, Network
from scenes import quick_start
from scenes.outages import PATIENCE

ADDRESSES = {
    quick_start.SERVER: "10.77.0.2",
    quick_start.RANGE: "10.77.0.100,10.77.0.199",
    quick_start.PACKAGES: f"http://{BRIDGE_HOST}/holdfast",
    quick_start.DEBIAN: f"http://{BRIDGE_HOST}/debian",
    quick_start.SECURITY: f"http://{BRIDGE_HOST}/debian-security",
}
# Everything that the commands install, on the file server and on the volume: those of mmdebstrap's standard variant, and those that the page names.
NEEDED = ("~prequired", "~pimportant", "lvm2", "mmdebstrap", "dnsmasq", "grub-common", "grub-pc-bin", "grub-efi-amd64-bin")


@test("the commands of the quick start, as the manual has them, make a file server of a fresh Debian, and a machine boots from it to its login",
      timeout=3000, long=True)
def as_a_new_user(lab: Lab) -> None:
    network = lab.network()
    server = _fresh_server(lab, network)
    for command in quick_start.commands():
        started = time.monotonic()
        server.run(f"export DEBIAN_FRONTEND= LC_ALL=C.UTF-8; {quick_start.with_addresses(command, ADDRESSES)}", timeout=2000)
        print(f"{time.monotonic() - started:4.0f} s  {command.splitlines()[0]}")
    machine = _boots(lab, network)
    # As the page proposes: the server restarts while the machine works.
    machine.start_command("i=0; while echo $i >/root/log && sync /root/log; do i=$((i + 1)); echo $i >/run/flushed; sleep 0.2; done; touch /run/failed")
    machine.wait_until("test -s /run/flushed", timeout=PATIENCE)
    server.run("systemctl restart holdfast-server", timeout=PATIENCE)
    machine.wait_until("holdfast-client status nbd0 --json | grep '\"state\":\"attached\"' | grep -v '\"reconnects\":0'", timeout=PATIENCE)
    before = int(machine.run("cat /run/flushed", timeout=PATIENCE))
    machine.wait_until(f"test $(cat /run/flushed) -gt {before + 2} && test ! -e /run/failed", timeout=PATIENCE)
    machine.poweroff(timeout=PATIENCE)
    server.run("systemctl stop holdfast-server && e2fsck -f -n /dev/vg0/workstation0", timeout=PATIENCE)
    server.poweroff(timeout=PATIENCE)


def _fresh_server(lab: Lab, network: Network) -> Machine:
    """Debian without our packages, with what the page wants of a file server: an address, the archive, and an empty volume group."""
    with progress.off_the_clock():
        site = packaging.site(images.base("client", 12, NEEDED))
    made = lab.image("client", 12, packages=("lvm2",), programs=False, size="2G")
    disks = [lab.copy(made), lab.blank_disk(9 << 10)]
    server = lab.boot("server", made, disks=disks, cards=[network.bridge_card()], memory=1024).login()
    network.spawn(["python3", "-m", "http.server", "80", "--bind", BRIDGE_HOST, "--directory", site], name="web")
    network.wait_for_port(80)
    server.run(f"ip link set eth0 up && ip address add {ADDRESSES[quick_start.SERVER]}/24 dev eth0")
    server.write("/etc/apt/trusted.gpg.d/lab.asc", (site / packaging.SITE_KEY).read_text())
    server.run(f"echo 'deb {ADDRESSES[quick_start.DEBIAN]} bookworm main' >/etc/apt/sources.list && vgcreate vg0 /dev/vdb")
    return server


def _boots(lab: Lab, network: Network) -> Machine:
    """A machine with nothing but a card that can boot from the network: GRUB, the kernel, and a login on the serial port."""
    machine = lab.machine("workstation", cards=[network.bridge_card()], boot_from_network=True, memory=1024)
    machine.expect("workstation0 login:", timeout=900)
    machine.type("root")
    machine.expect("Password:", timeout=PATIENCE)
    machine.type(quick_start.PASSWORD)
    machine.expect(r"root@workstation0:.*# ?", timeout=PATIENCE)
    machine.run("findmnt -n -o SOURCE / | grep -x /dev/nbd0 && holdfast-client status && systemctl is-system-running --wait", timeout=PATIENCE)
    return machine
