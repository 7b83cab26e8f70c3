"""A disk that nobody uses: its daemon costs nothing, and notices all the same that the server has vanished."""

import time

import outages
from lab import Lab, test

# The client takes a silent peer for dead after 15 s, and looks every few seconds.
NOTICED = 20


@test("on an idle disk a pulled cable is noticed within 20 s, the link comes back by itself, and waiting costs nothing",
      timeout=700)
def idle(lab: Lab) -> None:
    scene = outages.start(lab, 12, bridge=True, load=False)
    machine = scene.machine
    daemon = scene.status()["daemon_pid"]
    # A root disk that nothing reads or writes: what still would is stopped, and what is dirty written.
    machine.run("systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald systemd-timesyncd cron "
                "2>/dev/null; sync; echo 360000 >/proc/sys/vm/dirty_writeback_centisecs; "
                "echo 360000 >/proc/sys/vm/dirty_expire_centisecs; mount -o remount,noatime /; sync")
    ticks = f"read -r line </proc/{daemon}/stat; set -- ${{line##*) }}; shift 11; echo $(($1 + $2))"
    before = int(machine.run(ticks))
    time.sleep(60)
    used = int(machine.run(ticks)) - before
    print(f"idle for 60 s: {used * 10} ms of processor time in an emulated machine")
    scene.network.pull(scene.card)
    pulled = time.monotonic()
    down = outages.wait_for_state(machine, "reconnecting", timeout=120)
    took = time.monotonic() - pulled - down["link_seconds"]
    print(f"noticed {took:.1f} s after the pull: {down['last_error']}")
    # The last look itself took time; what the daemon says of the link's end is from its own clock.
    lab.require(took <= NOTICED + 1, f"the pull was noticed after {took:.1f} s: {down}")
    scene.network.plug(scene.card)
    up = outages.wait_for_state(machine, "attached", timeout=120)
    lab.require(up["daemon_pid"] == daemon and up["reconnects"] >= 1, f"afterwards: {up}")
    # The server is killed and comes back, and still nobody has asked the disk for anything.
    scene.kill_server()
    outages.wait_for_state(machine, "reconnecting", timeout=120)
    scene.serve()
    up = outages.wait_for_state(machine, "attached", timeout=120)
    lab.require(up["daemon_pid"] == daemon and up["reconnects"] >= 2, f"afterwards: {up}")
    machine.run("dd if=/dev/urandom of=/root/after bs=1M count=2 conv=fsync status=none && echo 3 >/proc/sys/vm/drop_caches && "
                "cat /root/after >/dev/null", timeout=outages.PATIENCE)
    scene.finish()
    lab.require(used <= 15, f"an idle daemon used {used * 10} ms of processor time in 60 s")
