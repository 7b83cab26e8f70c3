"""copyonwrite with a real thin pool: the session of holdfast-client, of a client without a session, and the sweep."""

import json

from lab import Lab, test
from lab.machine import Machine

CONFIGURATION = """[generic]
listenaddr = 127.0.0.1
handshaketimeout = 600
[cow]
exportname = /dev/vg0/golden
copyonwrite = true
copyonwritekeep = 60
createlimit = 4
createclients = 127.0.0.0/8
[thick]
exportname = /dev/vg0/thick
copyonwrite = true
createclients = 127.0.0.0/8
"""
COPIES = "lvs --noheadings -o lv_name @holdfast.export=cow"


def _both(lab: Lab) -> Machine:
    """A machine with a thin pool that is server and client in one."""
    image = lab.image("server", 12, files={"/etc/holdfast/server.conf": CONFIGURATION},
                      commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(512)]).login()
    machine.run("modprobe nbd && modprobe dm-thin-pool && ip link set lo up && vgcreate -q vg0 /dev/vdb && "
                "lvcreate -q -y --type thin-pool -L 256M -n pool vg0 && lvcreate -q -y -V 64M --thinpool pool -n golden vg0 && "
                "lvcreate -q -y -L 16M -n thick vg0 && mkfs.ext4 -q /dev/vg0/golden && mount /dev/vg0/golden /mnt && "
                "echo golden >/mnt/text && umount /mnt && sha256sum /dev/vg0/golden >/run/before && "
                "systemctl start holdfast-provision.socket holdfast-server && systemctl is-active holdfast-sweep.timer")
    return machine


def _copies(machine: Machine) -> list[str]:
    return machine.run(COPIES).split()


@test("copyonwrite: a session's file system outlives kills of the server and a lost link, the original stays as it was, and the snapshot goes with the "
      "session: at the detach, or swept when it was lost", long=True)
def sessions(lab: Lab) -> None:
    machine = _both(lab)
    machine.run("holdfast-client attach 127.0.0.1,cow --device nbd0 && holdfast-client attach 127.0.0.1,cow --device nbd1 && "
                "mount /dev/nbd0 /mnt && mount /dev/nbd1 /srv && echo first >/mnt/text && echo second >/srv/text && sync")
    copies = _copies(machine)
    lab.require(len(copies) == 2, f"{copies}")
    status, text = machine.run_status("holdfast-client attach 127.0.0.1,thick --device nbd2")
    lab.require(status != 0 and "is not a volume of a thin pool" in text, f"thick: status {status}: {text}")
    for _ in range(2):
        machine.run("systemctl kill -s KILL holdfast-server; systemctl reset-failed holdfast-server; systemctl restart holdfast-server")
        machine.run("echo more >>/mnt/text && sync && echo 3 >/proc/sys/vm/drop_caches && head -n 1 /mnt/text | grep first && grep second /srv/text")
    lab.require(_copies(machine) == copies, f"after the restarts: {_copies(machine)}")
    # The original grows: the sessions keep their size, and their links.
    machine.run("lvextend -q -L +16M vg0/golden")
    # The server looks at its disks every two seconds. A refusal is as good as an answer with the old size, which is read next.
    machine.run("sleep 3; holdfast-client resize nbd0 || :")
    lab.require(machine.run("blockdev --getsize64 /dev/nbd0").strip() == str(64 << 20), "the device has grown with the original")
    rows = [row for row in json.loads(machine.run("holdfast-server volumes --json"))["volumes"] if row["export"] == "cow"]
    lab.require(len(rows) == 2 and all(row["session"] and row["client"] and row["golden_of"] == "vg0/golden" for row in rows), f"{rows}")

    machine.run("umount /mnt && holdfast-client detach nbd0")
    machine.wait_until(f"test $({COPIES} | wc -l) = 1")
    # Lost: the client's daemon and kernel let go without a word to the server.
    machine.run("umount /srv && holdfast-client detach nbd1 --force && udevadm settle")
    kept = _copies(machine)
    lab.require(len(kept) == 1, f"the lost session's snapshot: {kept}")
    machine.run("holdfast-server volumes sweep --yes | grep 'no volume' && lvs --noheadings -o lv_tags vg0 | grep holdfast.idle=")
    machine.run("holdfast-server volumes sweep --yes | grep 'no volume'")
    # Longer than copyonwritekeep.
    machine.run("sleep 61; systemctl start holdfast-sweep.service")
    lab.require(not _copies(machine), f"after the sweep: {_copies(machine)}")
    machine.run("head -c 67108864 /dev/vg0/golden | sha256sum | cut -c 1-64 | grep -F -f - /run/before")
    machine.run("systemd-analyze security --threshold=50 --no-pager holdfast-sweep.service >/dev/null")
    machine.poweroff()


@test("copyonwrite: nbd-client has a snapshot for each connection, which goes when it ends; the next one has the original again", long=True)
def connections(lab: Lab) -> None:
    machine = _both(lab)
    machine.run("nbd-client -N cow 127.0.0.1 /dev/nbd0 && mount /dev/nbd0 /mnt && echo mine >/mnt/text && sync")
    lab.require(len(_copies(machine)) == 1, f"{_copies(machine)}")
    machine.run("umount /mnt && nbd-client -d /dev/nbd0")
    machine.wait_until(f"test -z \"$({COPIES})\"")
    machine.run("nbd-client -N cow 127.0.0.1 /dev/nbd0 && mount /dev/nbd0 /mnt && grep golden /mnt/text && umount /mnt && nbd-client -d /dev/nbd0")
    machine.wait_until(f"test -z \"$({COPIES})\"")
    machine.poweroff()
