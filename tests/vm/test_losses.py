"""Acknowledged writes that must not be lost without a word: on a thin volume, which discards and cannot write zeroes by itself, and on a disk that
fails when the server stops."""

from pathlib import Path

from lab import Lab, test
from lab.machine import Machine
from lab.network import Network

SERVER = "10.77.0.2"
PROGRAM = str(Path(__file__).parent / "scenes" / "nbd_client.py")
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


def _server(lab: Lab, network: Network) -> Machine:
    image = lab.image("server", 12, files={"/etc/holdfast/server.conf": CONFIGURATION},
                      commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(512)], cards=[network.bridge_card()]).login()
    machine.run(f"ip link set lo up && ip link set eth0 up && ip address add {SERVER}/24 dev eth0 && "
                "modprobe -a nbd dm-flakey dm-thin-pool && vgcreate -q vg0 /dev/vdb && lvcreate -q -y --type thin-pool -L 64M -n pool vg0 && "
                "lvcreate -q -y -V 64M --thinpool pool -n thin vg0 && lvcreate -q -y -L 16M -n flaky vg0 && "
                f"dmsetup create flaky --table '{SOUND}' && systemctl start holdfast-server")
    return machine


def _asked(network: Network, export: str, *words: str) -> list[str]:
    """How each request of one connection went."""
    lines = network.run(["/usr/bin/python3", PROGRAM, f"nbd://{SERVER}/{export}", *words]).splitlines()
    return [line.rpartition(" ")[2] for line in lines]


def _switch(machine: Machine, table: str) -> None:
    machine.run(f"dmsetup suspend --nolockfs --noflush flaky && dmsetup load flaky --table '{table}' && dmsetup resume flaky")


@test("what was written since the last flush outlives refused fast zeroes, and what a stopping server lost is told by the next, once")
def losses(lab: Lab) -> None:
    network = lab.network()
    machine = _server(lab, network)
    limits = machine.run("cd /sys/dev/block/$(dmsetup info -c --noheadings -o major,minor vg0-thin)/queue && "
                         "cat write_zeroes_max_bytes discard_max_bytes").split()
    lab.require(limits[0] == "0" and int(limits[1]) > 0, f"this device can do more or less than the test needs: {limits}")
    words = ("write:0:65536:0a", "flush", "write:0:65536:0b", "fast:0:65536", "read:0:65536:0b", "flush", "read:0:65536:0b",
             "zero:512:64512", "read:0:512:0b", "read:512:64512:00", "read:65024:512:0b")
    told = _asked(network, "thin", *words)
    lab.require(told == ["ok", "ok", "ok", "ENOTSUP", *["ok"] * 7], f"{dict(zip(words, told))}")

    written = "dd if=/dev/urandom of=/dev/nbd0 bs=64k count=4 oflag=direct status=none"
    flushed = "dd if=/dev/zero of=/dev/nbd0 bs=4k count=1 oflag=direct status=none && sync /dev/nbd0"
    machine.run(f"holdfast-client attach {SERVER},flaky --device nbd0 && {written} && sync /dev/nbd0 && {written}")
    _switch(machine, FAILING)
    machine.run("systemctl restart holdfast-server")
    _switch(machine, SOUND)
    status, text = machine.run_status(flushed)
    lab.require(status != 0 and "rror" in text, f"a flush succeeded although the server had lost writes when it stopped: {status}: {text}")
    machine.run(f"{flushed} && systemctl restart holdfast-server && {flushed}")
    machine.run("holdfast-client detach nbd0")
    machine.poweroff()
