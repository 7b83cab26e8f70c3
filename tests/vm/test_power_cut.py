"""The power of the server's machine is cut at every moment that its disk knows of: what was promised is there."""

import os
import random

from lab import Lab, test
from scenes import power_cut

SERVER = "10.77.0.2"
DISK_MIB = 4
MODES = {"writeback": False, "none": False, "writethrough": True, "directsync": True}  # whether every write is durable
CONFIGURATION = f"[generic]\nlistenaddr = {SERVER}\n[disk]\nexportname = /dev/mapper/cut\ncache = "


@test("at hundreds of moments when the power may be cut, what was flushed or written with FUA is on the disk, in every cache mode",
      timeout=900, long=True)
def power_cut_at_every_moment(lab: Lab) -> None:
    network = lab.network()
    image = lab.image("server", 12, commands=["systemctl disable holdfast-server"])
    log = lab.blank_disk(512)
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(DISK_MIB), log], cards=[network.bridge_card()]).login()
    machine.run(f"ip link set eth0 up && ip address add {SERVER}/24 dev eth0 && modprobe dm-log-writes")
    seed = int(os.environ.get("HOLDFAST_SEED", random.randrange(1 << 30)))
    for mode, every_write in MODES.items():
        print(f"cache = {mode}: HOLDFAST_SEED={seed}")
        machine.run("dd if=/dev/zero of=/dev/vdb bs=1M count=4 oflag=direct status=none && "
                    f"dmsetup create cut --table '0 {DISK_MIB << 11} log-writes /dev/vdb /dev/vdc'")
        machine.write("/etc/holdfast/server.conf", CONFIGURATION + mode + "\n")
        machine.run("systemctl start holdfast-server")
        events = network.run(["/usr/bin/python3", power_cut.__file__, f"nbd://{SERVER}/disk", str(seed)]).splitlines()
        machine.run("systemctl stop holdfast-server && dmsetup remove cut")
        verdict = power_cut.verify(log, events, every_write)
        print(f"  {verdict}")
        lab.require(not verdict.missing, f"cache = {mode}, HOLDFAST_SEED={seed}: {verdict.missing}")
        lab.require(verdict.cuts >= 300 and verdict.flushes >= 50 and verdict.promises >= 300, f"too little was tried: {verdict}")
    machine.poweroff()
