"""A disk that nobody uses: its daemon costs nothing, and notices all the same that the server has vanished."""

import time

from lab import Lab, test
from scenes import outages

# The client takes a silent peer for dead after 15 s, and looks every few seconds.
NOTICED = 20
IDLE = 60  # seconds
# A look every 3 s, and every 5 s a probe, for which it waits a few times: for the connection, the answers, the end.
WAKES = 90


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
    spent = (f"read -r line </proc/{daemon}/stat; set -- ${{line##*) }}; shift 11; "
             f"echo $(($1 + $2)) $(sed -n 's/^voluntary_ctxt_switches://p' /proc/{daemon}/status)")
    ticks_before, wakes_before = map(int, machine.run(spent).split())
    time.sleep(IDLE)
    ticks, wakes = map(int, machine.run(spent).split())
    print(f"idle for {IDLE} s: woken {wakes - wakes_before} times, {(ticks - ticks_before) * 10} ms of processor time in an emulated machine")
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
    lab.require(wakes - wakes_before <= WAKES, f"an idle daemon was woken {wakes - wakes_before} times in {IDLE} s")
