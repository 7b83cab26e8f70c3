"""What the name leads to after an outage: another disk, a smaller one, a grown one, and the right one again."""

import os
import pathlib
import time

from lab import Lab, process, test
from lab.network import HOST, Network
from lab.process import Service
from scenes import outages
from scenes.outages import PATIENCE, Scene

MIB = 1 << 20
SPARE = 64  # MiB of the disk beyond its file system, so that it can shrink without harm


def _resize(disk: pathlib.Path, by: int) -> int:
    """Changes the size of the file by so many MiB; the new size."""
    size = disk.stat().st_size + by * MIB
    os.truncate(disk, size)
    return size


def _refused(scene: Scene, words: str) -> None:
    """The client says so, goes on trying, and the machine waits."""
    scene.log_says(words)
    status = outages.wait_for_state(scene.machine, "reconnecting")
    scene.lab.require(words in status["last_error"], f"status does not say {words!r}: {status}")
    before = outages.acknowledged(scene.machine)
    time.sleep(5)  # of tries
    after = outages.acknowledged(scene.machine)
    moved = [b["rounds"] - a["rounds"] for a, b in zip(before, after)]
    scene.lab.require(max(moved) == 0, f"the load went on with a disk that was to be refused: {moved}")


@test("another disk under the same name, and a smaller one, are refused loudly, and the right one is taken when it is back")
def refused(lab: Lab) -> None:
    scene = outages.start(lab, 12, grow=SPARE)
    size = scene.disk.stat().st_size
    # Smaller first, which needs no identity to be seen.
    scene.stop_server()
    less = _resize(scene.disk, -SPARE // 2)
    scene.serve()
    _refused(scene, f"now has {less} bytes")
    scene.stop_server()
    os.truncate(scene.disk, size)
    scene.serve()
    scene.progress()
    status = scene.status()
    lab.require(status["state"] == "attached" and status["size"] == size, f"the disk has its size back: {status}")
    # The same size, and a file system as good as the right one: only the identity tells them apart.
    lab.require(status["export_identity"], f"the export's identity is not known: {status}")
    other = lab.copy(scene.image, "other")
    os.truncate(other, size)
    untouched = lab.copy(scene.image, "untouched")
    os.truncate(untouched, size)
    scene.stop_server()
    scene.serve(f"root={other}")
    _refused(scene, "another disk")
    scene.stop_server()
    process.output_of(["cmp", other, untouched])  # nothing was written to it
    scene.serve()
    scene.progress()
    lab.require(scene.status()["state"] == "attached", f"the right disk is back: {scene.status()}")
    scene.finish()


@test("a disk that has grown makes the device grow under its file system: at a reconnect, by the probe, and when told", long=True)
def grown(lab: Lab) -> None:
    scene = outages.start(lab, 12, options="probe=5")
    machine = scene.machine
    daemon = scene.status()["daemon_pid"]

    def has(size: int) -> None:
        machine.wait_until(f"test $(blockdev --getsize64 /dev/nbd0) -eq {size}", timeout=PATIENCE)
        scene.log_says(f"to {size} bytes")
        lab.require(scene.status()["size"] == size, f"the device has {size} bytes: {scene.status()}")
        machine.run("resize2fs /dev/nbd0 2>&1", timeout=PATIENCE)
        blocks = int(machine.run("stat -f -c %b /"))
        lab.require(blocks * 4096 > size * 9 // 10, f"the file system has {blocks} blocks of a disk of {size} bytes")
        scene.progress()

    scene.stop_server()
    size = _resize(scene.disk, 256)
    scene.serve()
    has(size)
    reconnects = scene.status()["reconnects"]
    has(_resize(scene.disk, 256))
    # Told before the next probe is due, or after it: either way the command is done when the device has the size.
    size = _resize(scene.disk, 256)
    machine.run("holdfast-client resize nbd0", timeout=PATIENCE)
    lab.require(machine.run("blockdev --getsize64 /dev/nbd0") == f"{size}", "`resize` has returned before the device has grown")
    has(size)
    status = scene.status()
    # A connection keeps the size that it began with, so each growth that a look has seen has made one new link.
    lab.require(status["reconnects"] == reconnects + 2 and status["daemon_pid"] == daemon, f"after two looks that saw growth: {status}")
    scene.finish()


def _serve_slowly(network: Network, disk: pathlib.Path, delay: int) -> Service:
    """nbdkit, of which each read takes so many seconds; the handshake does not."""
    server = network.spawn(["nbdkit", "-f", "-i", "127.0.0.1", "-p", "10840", "--filter=delay", "file", str(disk), f"delay-read={delay}"],
                           name=f"nbdkit-{delay}")
    network.wait_for_port(10840)
    return server


@test("an idle device that has a new link to a larger disk grows when a read on this link was answered, and not before", long=True)
def grown_when_proved(lab: Lab) -> None:
    network = lab.network()
    disk = lab.blank_disk(16, "growing")
    server = _serve_slowly(network, disk, 0)
    machine = lab.boot("client", outages.image(lab, 12), cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    machine.run(f"holdfast-client attach {HOST},10840 --device nbd0", timeout=PATIENCE)
    before = machine.run("cat /sys/block/nbd0/size").strip()
    server.kill()
    outages.wait_for_state(machine, "reconnecting")
    size = _resize(disk, 16)
    _serve_slowly(network, disk, 20)
    outages.wait_for_state(machine, "attached")
    end = time.monotonic() + 10  # half the time that the read takes
    while time.monotonic() < end:
        now = machine.run("cat /sys/block/nbd0/size").strip()
        lab.require(now == before, f"the device has grown from {before} to {now} sectors before a read was answered")
        time.sleep(1)
    machine.wait_until(f"grep -x {size // 512} /sys/block/nbd0/size", timeout=120)
    outages.kernel_errors(machine)
