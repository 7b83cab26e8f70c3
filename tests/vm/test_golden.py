"""Volumes that are made for hosts: holdfast-provision with a real thin pool, by its socket and its confined unit."""

import json
from pathlib import Path

from lab import Lab, test
from lab.machine import Machine
from lab.network import Network

PROGRAM = str(Path(__file__).parent / "scenes" / "many_hosts.py")
SERVER = "10.77.0.2"
HOSTS = [f"10.77.0.{number}" for number in range(101, 201)]
GOLDEN = "golden.........."
CONFIGURATION = f"""[generic]
listenaddr = {SERVER}
handshaketimeout = 3600
[root]
exportname = /dev/vg0/root-%s
create = snapshot of vg0/golden
createlimit = 100
createclients = 10.77.0.0/24
[copy]
exportname = /dev/vg0/copy-%s
create = copy of vg0/golden
createlimit = 2
createclients = 10.77.0.0/24
[fresh]
exportname = /dev/vg0/fresh-%s
create = empty 8M in vg0/pool
createlimit = 2
createclients = 10.77.0.0/24
"""


def _file_server(lab: Lab, network: Network) -> Machine:
    image = lab.image("server", 12, files={"/etc/holdfast/server.conf": CONFIGURATION},
                      commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(512)], cards=[network.bridge_card()]).login()
    machine.run(f"ip link set lo up && ip link set eth0 up && ip address add {SERVER}/24 dev eth0 && "
                "modprobe dm-thin-pool && vgcreate -q vg0 /dev/vdb && lvcreate -q -y --type thin-pool -L 256M -n pool vg0 && "
                "lvcreate -q -y -V 16M --thinpool pool -n golden vg0 && "
                f"printf {GOLDEN} | dd of=/dev/vg0/golden conv=sync,fsync bs=4096 status=none && "
                "systemctl start holdfast-provision.socket holdfast-server")
    return machine


def _use(network: Network, export: str, hosts: list[str]) -> dict[str, str]:
    return json.loads(network.run(["/usr/bin/python3", PROGRAM, SERVER, export, *hosts]))


@test("golden volumes: a hundred first connections at the same time make a hundred thin volumes, none twice, each its host's own; more are refused",
      long=True)
def golden(lab: Lab) -> None:
    network = lab.network()
    machine = _file_server(lab, network)
    for host in HOSTS:
        network.run(["ip", "address", "add", f"{host}/24", "dev", "br0"])
    for export, first in (("root", GOLDEN), ("copy", GOLDEN), ("fresh", "\0" * 16)):
        found = _use(network, export, HOSTS[:1])
        lab.require(found == {HOSTS[0]: first}, f"{export}: {found}")
    found = _use(network, "root", HOSTS)
    wrong = {host: text for host, text in found.items() if text != (HOSTS[0].ljust(16, ".") if host == HOSTS[0] else GOLDEN)}
    lab.require(len(found) == len(HOSTS) and not wrong, f"{wrong}")
    volumes = machine.run("lvs --noheadings -o lv_name @holdfast.export=root").split()
    lab.require(sorted(volumes) == sorted(f"root-{host}" for host in HOSTS), f"{volumes}")
    found = _use(network, "root", HOSTS)
    wrong = {host: text for host, text in found.items() if text != host.ljust(16, ".")}
    lab.require(not wrong, f"the second connection found another volume: {wrong}")

    network.run(["ip", "address", "add", "10.77.0.201/24", "dev", "br0"])
    found = _use(network, "root", ["10.77.0.201"])
    lab.require("createlimit = 100" in found["10.77.0.201"], f"{found}")
    machine.run(f"holdfast-server volumes reset {HOSTS[7]} --export root | grep 'would be removed' && "
                f"holdfast-server volumes reset {HOSTS[7]} --export root --yes && holdfast-server volumes remove {HOSTS[8]} --export root --yes")
    found = _use(network, "root", [HOSTS[7], "10.77.0.201"])
    lab.require(found == {HOSTS[7]: GOLDEN, "10.77.0.201": GOLDEN}, f"after the reset and the removal: {found}")
    machine.run("systemd-analyze security --threshold=50 --no-pager holdfast-provision.service >/dev/null")
    machine.poweroff()


@test("snapshots: a host's volume gets the state of a snapshot again, also of an automatic one, of which the newest stay; its state becomes golden",
      long=True)
def snapshots(lab: Lab) -> None:
    network = lab.network()
    machine = _file_server(lab, network)
    for host in HOSTS[:3]:
        network.run(["ip", "address", "add", f"{host}/24", "dev", "br0"])
    one, two, three = HOSTS[:3]
    _use(network, "root", [one, two])
    ours = f"--host {one}"
    machine.run(f"holdfast-server snapshot root monday --no-freeze {ours}")
    # An automatic snapshot is named by the second.
    for text in ("first", "second", "third"):
        machine.run(f"printf {text} | dd of=/dev/vg0/root-{one} conv=sync,fsync,notrunc bs=4096 status=none && sleep 1.1 && "
                    f"holdfast-server snapshot root --automatic --no-freeze --keep 2 {ours}")
    names = [each["name"] for each in json.loads(machine.run("holdfast-server snapshots --json"))["snapshots"]]
    lab.require(len(names) == 3 and "monday" in names, f"{names}")
    automatic = sorted(name for name in names if name != "monday")
    machine.run(f"holdfast-server restore root monday {ours} | grep 'Nothing was changed'")
    machine.run(f"test \"$(head -c 5 /dev/vg0/root-{one})\" = third")
    machine.run(f"holdfast-server restore root {automatic[0]} {ours} --yes && test \"$(head -c 6 /dev/vg0/root-{one})\" = second")
    machine.run(f"holdfast-server restore root monday {ours} --yes")
    found = _use(network, "root", [one])
    lab.require(found == {one: one.ljust(16, ".")}, f"after the restoration: {found}")
    machine.run(f"lvs -a -o lv_name,lv_attr,lv_tags,origin vg0; holdfast-server snapshot root monday --remove --yes {ours}")
    lab.require("monday" not in machine.run("holdfast-server snapshots"), "the removed snapshot is listed")
    machine.run(f"holdfast-server volumes promote {two} --export root --yes")
    found = _use(network, "root", [three])
    lab.require(found == {three: two.ljust(16, ".")}, f"a new host after the promotion: {found}")
    machine.poweroff()
