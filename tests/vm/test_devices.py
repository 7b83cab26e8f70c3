"""Further devices: the table, fstab's _netdev, the units of systemd, the init script of sysvinit, the order of the end."""

import pathlib
import re

import outages
import serving
from lab import Lab, process, test
from lab.machine import Machine
from lab.network import HOST, USER_IP
from test_shutdown import ALLOWANCE, BOUND

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
        commands=["mkdir -p /data /gone", "truncate -s 1M /srv/small",
                  "update-rc.d holdfast-client defaults", "update-rc.d holdfast-server defaults"])
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
    machine.run("dmesg | grep 'nbd0: the initramfs attached it'")
    machine.run("systemctl is-active holdfast@nbd1")
    lab.require(machine.run_status("systemctl is-active holdfast@nbd0")[1] == "inactive", "the root disk has a unit")
    lab.require(machine.run_status("systemctl start holdfast@nbd0")[0], "a unit has taken the root disk")
    machine.run("systemctl daemon-reload && systemctl is-active holdfast@nbd1")
    _end(lab, machine, disk)
    lab.check_file_system(root)
    server.stop()


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
    lab.require(machine.said("nbd1: given up, and its file system gets errors: the machine goes down"), "the device was not given up")
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
