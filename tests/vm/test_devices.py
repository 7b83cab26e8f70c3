"""Further devices: the table, fstab's _netdev, the units of systemd, the init script of sysvinit, the order of the end."""

import hashlib
import pathlib
import re

from lab import Lab, process, test
from lab.machine import Machine
from lab.network import HOST, USER_IP
from scenes import outages, serving
from scenes.shutdown_time import ALLOWANCE, BOUND

ADDRESS = "10.0.2.15"
TABLE = (f"# device host export options\n"
         f"nbd1 {HOST} data persist\n"
         f"nbd2 {HOST} gone port=1,wait=0\n")
FSTAB = ("LABEL=holdfast-root / ext4 errors=remount-ro 0 1\n"
         "/dev/nbd1 /data ext4 _netdev 0 2\n"
         "/dev/nbd2 /gone ext4 _netdev,nofail 0 0\n")
FILES = {"/etc/holdfast/devices": TABLE, "/etc/fstab": FSTAB}
# Notes each write that was acknowledged.
LOAD = "n=0; while n=$((n+1)); do echo $n >/data/load && sync /data/load && echo $n >/run/load; done"


@test("a line in the table and one in fstab: mounted at boot, adopted when the daemon dies, detached before the network",
      timeout=900)
def systemd_12(lab: Lab) -> None:
    _systemd(lab, 12)


@test("the same further devices on Debian 13", timeout=900, long=True)
def systemd_13(lab: Lab) -> None:
    _systemd(lab, 13)


@test("a further device under sysvinit is mounted at boot, and detached between sendsigs and networking", timeout=900)
def sysvinit(lab: Lab) -> None:
    image = lab.image("sysv", 12, files={
        # nofail: checkfs, which comes before the network, passes over a disk that is not there.
        **FILES, "/etc/fstab": FSTAB.replace("_netdev 0 2", "_netdev,nofail 0 2"),
        "/etc/network/interfaces.d/eth0": f"auto eth0\niface eth0 inet static\n  address {ADDRESS}/24\n",
        "/etc/holdfast/server.conf": "[generic]\nallowlist = true\n[small]\nexportname = /srv/small\n"},
        commands=["mkdir -p /data /gone", "truncate -s 1M /srv/small"])
    network, disk = lab.network(), _data_disk(lab)
    server = serving.serve(lab, network, f"data={disk}")
    machine = lab.boot("sysv", image, cards=[network.user_card()]).login()
    machine.run("findmnt -no SOURCE /data | grep -x /dev/nbd1")
    lab.require(machine.run_status("mountpoint -q /gone")[0], "/gone is mounted, without a server")
    order = machine.run("cd /etc/rc0.d && ls -1 K*").splitlines()
    _require_order(lab, order, "holdfast-server", "sendsigs", "umountnfs.sh", "holdfast-client", "networking", "umountfs")
    start = machine.run("cd /etc/rcS.d && ls -1 S*").splitlines()
    _require_order(lab, start, "networking", "holdfast-client", "mountnfs.sh")
    machine.run("grep -x $(holdfast-client status --json nbd1 | sed 's/.*\"daemon_pid\":\\([0-9]*\\).*/\\1/') "
                "/run/sendsigs.omit.d/holdfast-nbd1")
    machine.wait_until("holdfast-client list nbd://127.0.0.1 | grep -x small")
    machine.run("/etc/init.d/holdfast-server restart && /etc/init.d/holdfast-server status")
    machine.run("grep -x -- -900 /proc/$(cat /run/holdfast-server.pid)/oom_score_adj")
    machine.wait_until("holdfast-client list nbd://127.0.0.1 | grep -x small")
    machine.run("/etc/init.d/holdfast-server reload && /etc/init.d/holdfast-server stop")
    machine.run("/etc/init.d/holdfast-client stop && ! mountpoint -q /data && test ! -e /sys/block/nbd1/pid")
    machine.run_status("/etc/init.d/holdfast-client start")  # nbd2 fails
    machine.run("mountpoint -q /data && echo kept >/data/file")
    machine.start_command(LOAD)
    machine.wait_until("test -s /run/load")
    _end(lab, machine, disk)
    lab.require("Detaching network block devices" in machine.console.text, "the init script has said nothing")
    server.stop()


@test("a device that the initramfs attached gets no unit, and a further one beside it does", timeout=900, long=True)
def root_is_left_alone(lab: Lab) -> None:
    image = lab.image("client", 12, commands=["mkdir -p /data"], files={
        "/etc/holdfast/devices": f"nbd0 {HOST} root\nnbd1 {HOST} data\n",
        "/etc/fstab": FSTAB.replace("nofail", "noauto")})
    network, disk = lab.network(), _data_disk(lab)
    root = lab.copy(image)
    server = serving.serve(lab, network, f"root={root}", f"data={disk}")
    machine = lab.boot("root", image, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},root {USER_IP}").login()
    machine.wait_until("mountpoint -q /data")
    machine.run("dmesg | grep 'nbd0: attached by the initramfs'")
    machine.run("systemctl is-active holdfast@nbd1")
    lab.require(machine.run_status("systemctl is-active holdfast@nbd0")[1] == "inactive", "the root disk has a unit")
    lab.require(machine.run_status("systemctl start holdfast@nbd0")[0], "a unit has taken the root disk")
    machine.run("systemctl daemon-reload && systemctl is-active holdfast@nbd1")
    _end(lab, machine, disk)
    lab.check_file_system(root)
    server.stop()


# One volume is mounted at boot, the second has something on it in turn, the third is swap. On the other disk is a file system whose
# user sendsigs spares.
STACKED_FILES = {
    "/etc/holdfast/devices": f"nbd1 {HOST} data\nnbd2 {HOST} held\n",
    "/etc/fstab": "LABEL=holdfast-root / ext4 errors=remount-ro 0 1\n/dev/lab/data /data ext4 _netdev,nofail 0 0\n",
}
STACK = ("for n in 1 2; do holdfast-client attach --device nbd$n; done && pvcreate -q /dev/nbd1 && vgcreate -q lab /dev/nbd1 && "
         "lvcreate -qqy -n data -L 48M lab && lvcreate -qqy -n under -L 32M lab && lvcreate -qqy -n swap -L 16M lab && "
         "pvcreate -q /dev/nbd2 && vgcreate -q held /dev/nbd2 && lvcreate -qqy -n held -L 48M held && "
         "mke2fs -q -t ext4 /dev/lab/data && mke2fs -q -t ext4 /dev/held/held && mkswap /dev/lab/swap")
USE = ("dmsetup create top --table \"0 65536 linear /dev/lab/under 0\" && mke2fs -q -t ext4 /dev/mapper/top && mount /dev/mapper/top /top")
# (device, where its file system begins on it and how long it is in MiB)
VOLUMES = {"data": ("data", 1, 48), "top": ("data", 49, 32), "held": ("held", 1, 48)}


@test("under sysvinit what lies on volumes of a further device is written and taken apart before the network goes, and what is still in "
      "use keeps its network", timeout=900, long=True)
def sysvinit_volumes(lab: Lab) -> None:
    image = lab.image("sysv", 12, packages=("lvm2",), commands=["mkdir -p /data /top /held"], files={
        **STACKED_FILES, "/etc/network/interfaces.d/eth0": f"auto eth0\niface eth0 inet static\n  address {ADDRESS}/24\n"})
    network, disks = lab.network(), {"data": lab.blank_disk(112, "data"), "held": lab.blank_disk(64, "held")}
    server = serving.serve(lab, network, *(f"{name}={disk}" for name, disk in disks.items()))
    machine = lab.boot("sysv", image, cards=[network.user_card()]).login()
    machine.run("/etc/init.d/holdfast-client stop")
    machine.run(STACK, timeout=outages.PATIENCE)
    machine.run("/etc/init.d/holdfast-client stop && test ! -e /sys/block/nbd1/pid -a ! -e /sys/block/nbd2/pid", timeout=outages.PATIENCE)
    machine.run("/etc/init.d/holdfast-client start && mountpoint -q /data", timeout=outages.PATIENCE)
    machine.run(f"{USE} && swapon /dev/lab/swap && mount /dev/held/held /held")
    machine.start_command("cd /held && echo $$ >/run/sendsigs.omit.d/holder && exec sleep infinity")
    machine.wait_until("test -s /run/sendsigs.omit.d/holder")
    sums = _write_and_do_not_flush(machine)
    machine.poweroff(timeout=outages.PATIENCE)
    lab.require(machine.said("nbd1: detached"), "the device with the volumes was not detached")
    lab.require(machine.said("nbd2 could not be detached; the network interfaces stay up"), "nothing was said of the device in use")
    lab.require(not machine.said("given up|I/O error"), "the link was lost at the end")
    server.stop()
    _require_written(lab, disks, sums)


@test("under systemd what lies on volumes of a further device is written and taken apart before the network goes", timeout=900, long=True)
def systemd_volumes(lab: Lab) -> None:
    image = lab.image("client", 12, packages=("lvm2",), commands=["mkdir -p /data /top /held", "systemctl enable --quiet systemd-networkd.service"],
                      files={**STACKED_FILES,
                             "/etc/systemd/network/10-eth0.network": f"[Match]\nName=eth0\n[Network]\nAddress={ADDRESS}/24\n"})
    network, disks = lab.network(), {"data": lab.blank_disk(112, "data"), "held": lab.blank_disk(64, "held")}
    server = serving.serve(lab, network, *(f"{name}={disk}" for name, disk in disks.items()))
    machine = lab.boot("systemd", image, cards=[network.user_card()]).login()
    machine.wait_until("systemctl is-active holdfast@nbd1 holdfast@nbd2", timeout=240)
    machine.run(STACK.partition("done && ")[2], timeout=outages.PATIENCE)
    # None has _netdev; nothing but the order of blk-availability.service is between them and the network's end.
    machine.run(f"mount /dev/lab/data /data && mount /dev/held/held /held && {USE}")
    sums = _write_and_do_not_flush(machine)
    said = len(machine.console.text)
    machine.poweroff(timeout=outages.PATIENCE)
    _require_order(lab, re.findall(r"(?:Stopped|Unmounted) .*", machine.console.text[said:]),
                   r"Stopped \S*blk-availability", r"Stopped \S*holdfast@nbd1", r"Stopped \S*systemd-networkd.service")
    for device in ("nbd1", "nbd2"):
        lab.require(machine.said(f"{device}: detached"), f"{device} was not detached")
    lab.require(not machine.said("given up|I/O error"), "the link was lost at the end")
    server.stop()
    _require_written(lab, disks, sums)


def _write_and_do_not_flush(machine: Machine) -> dict[str, str]:
    """A file on each of the volumes, which is in memory only; its checksum."""
    machine.run("sysctl -qw vm.dirty_writeback_centisecs=0 vm.dirty_expire_centisecs=360000 vm.dirty_background_ratio=90 vm.dirty_ratio=95")
    return {name: machine.run(f"dd if=/dev/urandom of=/{name}/file bs=1M count=8 status=none && md5sum </{name}/file").split()[0]
            for name in VOLUMES}


def _require_written(lab: Lab, disks: dict[str, pathlib.Path], sums: dict[str, str]) -> None:
    """Each volume has a clean file system and its file."""
    for name, (disk, start, size) in VOLUMES.items():
        volume, file = lab.blank_disk(size, f"volume-{name}"), lab.scratch / f"{name}-file"
        process.output_of(["dd", f"if={disks[disk]}", f"of={volume}", "bs=1M", f"skip={start}", f"count={size}", "conv=notrunc", "status=none"])
        lab.check_file_system(volume)
        process.output_of(["debugfs", "-R", f"dump /file {file}", volume])
        found = hashlib.md5(file.read_bytes()).hexdigest()
        lab.require(found == sums[name], f"the file on {name} is not what was written")


def _systemd(lab: Lab, release: int) -> None:
    image = lab.image("client", release, files={
        **FILES,
        "/etc/systemd/network/10-eth0.network": f"[Match]\nName=eth0\n[Network]\nAddress={ADDRESS}/24\n"},
        commands=["mkdir -p /data /gone", "systemctl enable --quiet systemd-networkd.service"])
    network, disk = lab.network(), _data_disk(lab)
    server = serving.serve(lab, network, f"data={disk}")
    machine = lab.boot("systemd", image, cards=[network.user_card()]).login()
    machine.wait_until("systemctl is-system-running | grep -vx starting", timeout=240)
    machine.run("findmnt -no SOURCE /data | grep -x /dev/nbd1")
    machine.run("systemctl is-active holdfast@nbd1 data.mount")
    failed = machine.run("systemctl --failed --plain --no-legend | cut -d' ' -f1")
    lab.require(failed == "holdfast@nbd2.service", f"failed units: {failed}")
    lab.require(_daemon(machine) == machine.run(
        "holdfast-client status --json nbd1 | sed 's/.*\"daemon_pid\":\\([0-9]*\\).*/\\1/'"), "another main process")
    lab.require("Supervising" not in machine.run("journalctl -b -u holdfast@nbd1"), "systemd is not the daemon's parent")

    machine.run("echo kept >/data/file")
    machine.start_command(LOAD)
    machine.wait_until("test -s /run/load")
    before = _daemon(machine)
    machine.run(f"kill -9 {before}")
    machine.wait_until(f"systemctl is-active holdfast@nbd1 && test $(systemctl show -P MainPID holdfast@nbd1) != {before}")
    _progress(machine)

    # A takeover by hand stays with the unit.
    before = _daemon(machine)
    machine.run("holdfast-client takeover nbd1 && systemctl is-active holdfast@nbd1")
    lab.require(_daemon(machine) not in (before, "0"), "the unit has lost the new daemon")
    machine.run("systemctl reload holdfast@nbd1 && systemctl is-active holdfast@nbd1")
    _progress(machine)

    # In use: not stopped, and honest about it.
    machine.start_command("cd /data && touch /run/held && exec sleep infinity")
    machine.wait_until("test -e /run/held")
    machine.run_status("systemctl stop holdfast@nbd1")
    lab.require(machine.run_status("systemctl is-active holdfast@nbd1")[1] == "failed", "the refused stop is no failure")
    _progress(machine)
    machine.run("systemctl start holdfast@nbd1 && systemctl is-active holdfast@nbd1")
    machine.run("mountpoint -q /data")
    _progress(machine)

    said = len(machine.console.text)
    _end(lab, machine, disk)
    end = machine.console.text[said:]
    _require_order(lab, re.findall(r"(?:Stopped|Unmounted) .*", end),
                   r"Unmounted \S*data", r"Stopped \S*holdfast@nbd1", r"Stopped \S*systemd-networkd.service")
    server.stop()


@test("a machine whose further device has lost its server is off within the bound of that device", timeout=900, long=True)
def away_at_the_end(lab: Lab) -> None:
    image = lab.image("client", 12, files={
        "/etc/holdfast/devices": f"nbd1 {HOST} data shutdown-timeout={BOUND}\n",
        "/etc/fstab": FSTAB.replace("/dev/nbd2", "#"),
        "/etc/systemd/network/10-eth0.network": f"[Match]\nName=eth0\n[Network]\nAddress={ADDRESS}/24\n"},
        commands=["mkdir -p /data", "systemctl enable --quiet systemd-networkd.service"])
    network = lab.network()
    server = serving.serve(lab, network, f"data={_data_disk(lab)}")
    machine = lab.boot("away", image, cards=[network.user_card()]).login()
    machine.wait_until("mountpoint -q /data", timeout=240)
    machine.start_command(LOAD)
    machine.wait_until("test -s /run/load")
    server.stop()
    outages.wait_for_state(machine, "reconnecting", device="nbd1")
    took = machine.poweroff(timeout=outages.PATIENCE)
    print(f"off after {took:.1f} s")
    lab.require(machine.said("nbd1: given up, so its file system gets errors: shutting down"), "the device was not given up")
    lab.require(took <= BOUND + ALLOWANCE, f"off after {took:.1f} s, and the bound is {BOUND} s")


def _daemon(machine: Machine) -> str:
    return machine.run("systemctl show -P MainPID holdfast@nbd1")


def _progress(machine: Machine) -> None:
    """The load goes on."""
    seen = machine.run("cat /run/load")
    machine.wait_until(f"test $(cat /run/load) -gt $(({seen} + 2))")


def _data_disk(lab: Lab) -> pathlib.Path:
    disk = lab.blank_disk(64, "data")
    process.output_of(["mke2fs", "-q", "-t", "ext4", disk])
    return disk


def _end(lab: Lab, machine: Machine, disk: pathlib.Path) -> None:
    """Off, with nothing in the kernel's log and a clean file system."""
    lab.require(not (found := machine.run_status("dmesg | grep -i 'i/o error'")[1]), f"I/O errors:\n{found}")
    machine.poweroff(timeout=240)
    lab.require(not machine.said(r"(?i)I/O error"), "I/O errors at the end")
    lab.check_file_system(disk)


def _require_order(lab: Lab, lines: list[str], *patterns: str) -> None:
    """The lines have the patterns in this order."""
    places = [next((at for at, line in enumerate(lines) if re.search(pattern, line)), -1) for pattern in patterns]
    lab.require(-1 not in places and places == sorted(places), f"not in the order of {patterns}:\n" + "\n".join(lines))
