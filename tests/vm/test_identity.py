"""What the name leads to after an outage: another disk, a smaller one, a grown one, and the right one again."""

import os
import pathlib
import time

import outages
from lab import Lab, process, test
from outages import PATIENCE, Scene

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
    _refused(scene, f"has {less} bytes now")
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
