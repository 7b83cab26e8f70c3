"""No memory left and no disk to write it to: the server is away while the machine's memory is full of what waits for it."""

import time

from lab import Lab, test
from scenes import outages
from scenes.outages import LOAD, NOTES, PATIENCE

LEFT = 24  # MiB that the hog leaves


@test("a machine whose memory is full of dirty pages and of a hog survives 30 s without its server", timeout=900)
def memory_full(lab: Lab) -> None:
    scene = outages.start(lab, 12, memory=512)
    machine = scene.machine
    # The initramfs's daemon is in memory anyway, with its file. This one's file is on the disk that goes away.
    machine.run("holdfast-client takeover nbd0", timeout=PATIENCE)
    daemon = scene.status()["daemon_pid"]
    # Far more than the kernel would let become dirty by itself; and the runner's own shell is not to be the victim.
    machine.run("echo 70 >/proc/sys/vm/dirty_ratio; echo 60 >/proc/sys/vm/dirty_background_ratio; "
                "echo -900 >/proc/$PPID/oom_score_adj")
    machine.run("for i in 1 2 3; do dd if=/dev/zero of=/root/dirty.$i bs=1M count=64 status=none; done; sync", timeout=PATIENCE)
    # All at once, and at once after the server has gone: what this needs is still in the page cache, and soon is not.
    scene.stop_server()
    began = time.monotonic()
    machine.start_command("for i in 1 2 3; do dd if=/dev/zero of=/root/dirty.$i bs=1M count=64 conv=notrunc status=none & done; "
                          f"{LOAD} hog {NOTES} {LEFT} & while :; do while read -r line; do case $line in Dirty:*) echo $line;; esac; "
                          f"done </proc/meminfo >>{NOTES}/dirty; sleep 1; done")
    time.sleep(max(0, 30 - (time.monotonic() - began)))
    away = time.monotonic() - began
    scene.serve()
    # With so little memory a shell comes back from the disk page by page: this line already needs the disk.
    machine.run(f": >{NOTES}/enough", timeout=PATIENCE)
    scene.progress()
    print(f"the load went on {time.monotonic() - began - away:.1f} s after the server was back")
    held, left = (int(word) for word in machine.run(f"cat {NOTES}/hog").split())
    dirty = max(int(line.split()[1]) >> 10 for line in machine.run(f"cat {NOTES}/dirty").splitlines())
    print(f"the hog held {held} MiB and left {left} MiB; {dirty} MiB were dirty")
    print(machine.run("dmesg | grep -iE 'out of memory|oom-kill' || :"))
    machine.run("sync", timeout=PATIENCE)
    scene.progress()
    status = scene.status()
    lab.require(status["state"] == "attached" and status["daemon_pid"] == daemon, f"afterwards: {status}")
    lab.require(held >= 80 and dirty >= 40, f"no pressure: the hog held {held} MiB, and {dirty} MiB were dirty")
    scene.finish()
