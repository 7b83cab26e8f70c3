"""A server in a machine of its own, with a thin volume and with a disk that fails when it is told to."""

import pathlib

from lab import Lab
from lab.machine import Machine
from lab.network import Network

SERVER = "10.77.0.2"
CONFIGURATION = f"""[generic]
listenaddr = {SERVER}
[thin]
exportname = /dev/vg0/thin
cache = writeback
[flaky]
exportname = /dev/mapper/flaky
cache = writeback
"""
SOUND, FAILING = "0 32768 linear /dev/vg0/flaky 0", "0 32768 flakey /dev/vg0/flaky 0 0 3600 1 error_writes"


def start(lab: Lab, network: Network, *further: pathlib.Path) -> Machine:
    """The machine, its server running. further: disks, /dev/vdc first."""
    image = lab.image("server", 12, files={"/etc/holdfast/server.conf": CONFIGURATION},
                      commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(512), *further], cards=[network.bridge_card()]).login()
    machine.run(f"ip link set lo up && ip link set eth0 up && ip address add {SERVER}/24 dev eth0 && "
                "modprobe -a nbd dm-flakey dm-thin-pool && vgcreate -q vg0 /dev/vdb && lvcreate -q -y --type thin-pool -L 64M -n pool vg0 && "
                "lvcreate -q -y -V 64M --thinpool pool -n thin vg0 && lvcreate -q -y -L 16M -n flaky vg0 && "
                f"dmsetup create flaky --table '{SOUND}' && systemctl start holdfast-server")
    return machine


def switch(machine: Machine, table: str) -> None:
    """Make the disk SOUND or FAILING."""
    machine.run(f"dmsetup suspend --nolockfs --noflush flaky && dmsetup load flaky --table '{table}' && dmsetup resume flaky")
