"""No memory left and no disk to write it to: the server is away while the machine's memory is full of what waits for it."""

import time

import outages
from lab import Lab, test
from outages import LOAD, NOTES, PATIENCE

LEFT = 24  # MiB that the hog leaves


@test("a machine whose memory is full of dirty pages and of a hog survives 30 s without its server", timeout=900)
def memory_full(lab: Lab) -> None:
    scene = outages.start(lab, 12, memory=512)
    machine = scene.machine
    daemon = scene.status()["daemon_pid"]
    # Far more than the kernel would let become dirty by itself; and the runner's own shell is not to be the victim.
    machine.run("echo 70 >/proc/sys/vm/dirty_ratio; echo 60 >/proc/sys/vm/dirty_background_ratio; "
                "echo -900 >/proc/$PPID/oom_score_adj")
    # Begun before the outage, so that it is at its height when the server goes: from then on not even a shell may start.
    machine.start_command(f"for i in 1 2 3; do dd if=/dev/zero of=/root/dirty.$i bs=1M count=64 conv=notrunc status=none & done; "
                          f"{LOAD} hog {NOTES} {LEFT}")
    machine.wait_until(f"test -s {NOTES}/hog", timeout=PATIENCE)
    scene.stop_server()
    began = time.monotonic()
    time.sleep(30)
    scene.serve()
    # With so little memory a shell comes back from the disk page by page: this line already needs the disk.
    machine.run(f": >{NOTES}/enough", timeout=PATIENCE)
    scene.progress()
    print(f"the load went on {time.monotonic() - began - 30:.1f} s after the server was back")
    held, left = (int(word) for word in machine.run(f"cat {NOTES}/hog").split())
    print(f"the hog held {held} MiB and left {left} MiB")
    print(machine.run("dmesg | grep -iE 'out of memory|oom-kill' || :"))
    machine.run("sync", timeout=PATIENCE)
    scene.progress()
    status = scene.status()
    lab.require(status["state"] == "attached" and status["daemon_pid"] == daemon, f"afterwards: {status}")
    lab.require(held >= 100, f"the hog held only {held} MiB, so there was no pressure")
    scene.finish()
