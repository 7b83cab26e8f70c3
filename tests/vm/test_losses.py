"""Acknowledged writes that must not be lost without a word: on a logical volume of a thin pool, whose device discards and cannot write zeroes by
itself."""

from pathlib import Path

from lab import Lab, test
from lab.machine import Machine
from lab.network import Network

SERVER = "10.77.0.2"
PROGRAM = str(Path(__file__).with_name("nbd_client.py"))
CONFIGURATION = f"[generic]\nlistenaddr = {SERVER}\n[thin]\nexportname = /dev/vg0/thin\ncache = writeback\n"


def _server(lab: Lab, network: Network) -> Machine:
    image = lab.image("server", 12, files={"/etc/holdfast/server.conf": CONFIGURATION},
                      commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(512)], cards=[network.bridge_card()]).login()
    machine.run(f"ip link set lo up && ip link set eth0 up && ip address add {SERVER}/24 dev eth0 && "
                "modprobe dm-thin-pool && vgcreate -q vg0 /dev/vdb && lvcreate -q -y --type thin-pool -L 64M -n pool vg0 && "
                "lvcreate -q -y -V 64M --thinpool pool -n thin vg0 && systemctl start holdfast-server")
    return machine


def _asked(network: Network, export: str, *words: str) -> list[str]:
    """How each request of one connection went."""
    lines = network.run(["/usr/bin/python3", PROGRAM, f"nbd://{SERVER}/{export}", *words]).splitlines()
    return [line.rpartition(" ")[2] for line in lines]


@test("what was written since the last flush is still there after fast zeroes were refused")
def fast_zeroes(lab: Lab) -> None:
    network = lab.network()
    machine = _server(lab, network)
    limits = machine.run("cd /sys/dev/block/$(dmsetup info -c --noheadings -o major,minor vg0-thin)/queue && "
                         "cat write_zeroes_max_bytes discard_max_bytes").split()
    lab.require(limits[0] == "0" and int(limits[1]) > 0, f"this device can do more or less than the test needs: {limits}")
    words = ("write:0:65536:0a", "flush", "write:0:65536:0b", "fast:0:65536", "read:0:65536:0b", "flush", "read:0:65536:0b",
             "zero:512:64512", "read:0:512:0b", "read:512:64512:00", "read:65024:512:0b")
    told = _asked(network, "thin", *words)
    lab.require(told == ["ok", "ok", "ok", "ENOTSUP", *["ok"] * 7], f"{dict(zip(words, told))}")
    machine.poweroff()
