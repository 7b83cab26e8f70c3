"""The network under the root disk is lost, by whatever program, and comes back without anybody: client/network/."""

import time

from lab import Lab, test
from lab.machine import Machine
from lab.network import HOST
from scenes import outages, serving
from scenes.managed_network import FILES
from scenes.outages import PATIENCE, Scene
from scenes.short_leases import ADDRESS, DhcpServer

RESTORED = "the disk's network on {} was lost; restored"


def _prepare(machine: Machine, *programs: str) -> None:
    """Programs that run while the root disk is away, and the modules that they need."""
    machine.run(f"for p in sh {' '.join(programs)}; do p=$(command -v $p); cat \"$p\" $(ldd \"$p\" | grep -o '/[^ ]*') >/dev/null; done",
                timeout=PATIENCE)
    machine.run("ip address show dev eth0; ip route; ip -6 route; mkdir -p /run/lab", timeout=PATIENCE)


def _restored(scene: Scene, count: int, name: str = "eth0") -> None:
    """Until the log has said it so many times, and the disk works again."""
    said = RESTORED.format(name)
    scene.machine.wait_until(f"test $(dmesg | grep -cF \"{said}\") = {count}", timeout=PATIENCE)
    outages.wait_for_state(scene.machine, "attached")
    scene.progress()


def _network(machine: Machine) -> list[str]:
    """Addresses and routes, without what differs after a restoration: index, lifetimes and counters."""
    text = machine.run("ip -o -4 address show scope global; ip -4 route", timeout=PATIENCE)
    return [line.split(": ", 1)[-1].split("\\")[0].strip() for line in text.splitlines()]


@test("the root disk's card is flushed, set down, renamed, and created anew by its driver under load: each time, link, addresses and "
      "routes come back, and the I/O goes on", timeout=1800, long=True)
def lost_and_restored(lab: Lab) -> None:
    scene = outages.start(lab, 12, load=False)
    machine = scene.machine
    _prepare(machine, "ip")
    before = _network(machine)
    guard = machine.run("cd /proc; for p in [0-9]*; do read -r name <$p/comm && [ \"$name\" = holdfast-net ] && "
                        "grep -E '^(VmLck|CapPrm|CapEff|CapInh)' $p/status; done 2>/dev/null; :").split()
    print("holdfast-net:", guard)
    lab.require(guard[3:] == ["CapInh:", "0" * 16, "CapPrm:", "0000000000001000", "CapEff:", "0000000000001000"], f"the one holdfast-net has CAP_NET_ADMIN only: {guard}")
    scene.load(pause=0.2)
    machine.run("ip address flush dev eth0")
    _restored(scene, 1)
    lab.require(_network(machine) == before, f"after the flush: {_network(machine)}, not {before}")
    machine.run("ip link set eth0 down")
    _restored(scene, 2)
    lab.require(_network(machine) == before, f"after the link was set down: {_network(machine)}, not {before}")
    driver = machine.run("cd -P /sys/class/net/eth0/device && echo ${PWD##*/}")
    machine.run(f"cd /sys/bus/virtio/drivers/virtio_net && echo {driver} >unbind && test ! -e /sys/class/net/eth0 && echo {driver} >bind")
    _restored(scene, 3)
    lab.require(_network(machine) == before, f"on the new interface: {_network(machine)}, not {before}")
    # By a single shell: the disk is away between the commands.
    machine.run("ip link set eth0 down && ip link set eth0 name lan0")
    _restored(scene, 1, "lan0")
    machine.run("holdfast-client takeover nbd0", timeout=PATIENCE)
    outages.one_daemon_soon(scene)
    machine.run("ip address flush dev lan0")
    _restored(scene, 2, "lan0")
    # Another address, on purpose, is left alone.
    machine.run("ip address add 10.0.2.77/25 dev lan0; ip address del 10.0.2.15/24 dev lan0; ip route replace default via 10.0.2.2 dev lan0")
    time.sleep(30)
    lab.require("10.0.2.15" not in machine.run("ip -4 address show dev lan0", timeout=PATIENCE), "the address was restored beside a new one")
    outages.wait_for_state(machine, "attached")
    scene.progress()
    scene.finish()


@test("the leased address moves to a bridge on top of the root disk's card, and back: the lease is renewed where the address is, and "
      "status names that interface", timeout=1200, long=True)
def moved_to_a_bridge(lab: Lab) -> None:
    network = lab.network()
    network.bridge_card()
    server = DhcpServer(lab, network, 60)
    scene = outages.start(lab, 12, network=network, bridge=True, load=False, ip="ip=dhcp")
    machine = scene.machine
    _prepare(machine, "ip")
    machine.run("modprobe bridge", timeout=PATIENCE)
    machine.run("ip link add br0 address $(cat /sys/class/net/eth0/address) type bridge forward_delay 0 && ip link set eth0 master br0 && "
                f"ip address flush dev eth0 && ip address add {ADDRESS}/24 dev br0 && ip link set br0 up", timeout=PATIENCE)
    machine.wait_until("holdfast-client status nbd0 --json | grep -F '\"interface\":\"br0\"'", timeout=PATIENCE)
    asked = len(server.lines("renewing", "rebinding"))
    renewals = scene.status()["lease_renewals"]
    machine.wait_until(f"test $(holdfast-client status nbd0 --json | sed 's/.*lease_renewals\":\\([0-9]*\\).*/\\1/') -ge {renewals + 2}",
                       timeout=PATIENCE)
    lab.require(len(server.lines("renewing", "rebinding")) > asked, "the server was not asked through the bridge")
    lab.require(scene.status()["lease_problem"] == "", f"renewed on the bridge: {scene.status()}")
    # The bridge loses its address: it comes back on the bridge.
    machine.run("ip address flush dev br0")
    scene.log_says(RESTORED.format("br0"))
    outages.wait_for_state(machine, "attached")
    machine.run("ip link set eth0 nomaster; ip link delete br0")
    scene.log_says(RESTORED.format("eth0"))
    machine.wait_until("holdfast-client status nbd0 --json | grep -F '\"interface\":\"eth0\"'", timeout=PATIENCE)
    scene.finish()


@test("ifupdown makes a bridge of the root disk's card at boot and leaves the address on the card: in an outage it moves to the bridge, the I/O "
      "goes on, and the machine powers off", timeout=1200, long=True)
def bridge_of_ifupdown(lab: Lab) -> None:
    files = {"/etc/network/interfaces.d/br0": "auto br0\niface br0 inet static\n    address 10.77.0.60/24\n    bridge_ports eth0\n"}
    made = outages.image(lab, 12, files=files, packages=("ifupdown", "bridge-utils"))
    scene = outages.start(lab, 12, made=made, bridge=True)
    machine = scene.machine
    _prepare(machine, "ip")
    machine.wait_until("systemctl is-active networking", timeout=PATIENCE)
    machine.run("ip -4 address show dev eth0 | grep -F 10.77.0.10/24 && ip link show dev eth0 | grep 'master br0'")
    scene.stop_server()
    outages.wait_for_state(machine, "reconnecting")
    machine.run("ip neigh flush dev eth0")  # as after a longer outage
    scene.log_says(RESTORED.format("br0"))
    scene.serve()
    scene.progress()
    machine.run("ip -4 address show dev br0 | grep -F 10.77.0.10/24 && ! ip -4 address show dev eth0 | grep inet")
    scene.finish()


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFn0f5Wc1Jx5r7Jq9y1k3m2o4p6q8s0u2w4y6A8C0E2G lab\n"
# The script of clevis, as far as the network goes: it sorts before ours in local-bottom.
FLUSH = """#!/bin/sh
[ "$1" != prereqs ] || exit 0
for card in /sys/class/net/*; do
	card=${card##*/}
	ip link set "$card" down
	ip address flush dev "$card"
	ip route flush dev "$card"
done
echo "flushed every card"
"""
HOOK = "#!/bin/sh\n[ \"$1\" != prereqs ] || exit 0\n. /usr/share/initramfs-tools/hook-functions\ncopy_exec /usr/bin/ip /usr/bin\n"


@test("dropbear-initramfs, whose last script takes every card down, and a script like clevis's, which does so before ours: the machine "
      "boots, and its network is kept from the managers", timeout=1200, long=True)
def hostile_scripts(lab: Lab) -> None:
    files = {"/etc/initramfs-tools/scripts/local-bottom/clevis": FLUSH, "/etc/initramfs-tools/hooks/lab-ip": HOOK,
             "/etc/dropbear/initramfs/authorized_keys": KEY, **FILES}
    image = lab.image("client", 12, packages=("dropbear-initramfs", "ifupdown", "isc-dhcp-client"), files=files)
    disk = lab.copy(image)
    network = lab.network()
    server = serving.serve(lab, network, f"root={disk}")
    machine = lab.boot("hostile", image, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},root ip=dhcp")
    machine.expect("flushed every card", timeout=PATIENCE)
    machine.login()
    machine.run("findmnt -n -o SOURCE / | grep -x /dev/nbd0")
    print(machine.run("dmesg | grep -F holdfast"))
    machine.run(f"test $(dmesg | grep -cF \"{RESTORED.format('eth0')}\") = 2")
    lab.require(outages.status(machine)["network"].startswith("eth0 (10.0.2.15), kept from ifupdown"), f"status: {outages.status(machine)}")
    machine.run("ip -4 address show dev eth0 | grep -F 10.0.2.15/24 && ip route | grep ^default")
    outages.kernel_errors(machine)
    machine.poweroff(timeout=PATIENCE)
    server.stop()
    lab.check_file_system(disk)
