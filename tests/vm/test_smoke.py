"""Is the lab itself in order? Stock Debian from a virtual disk, none of our programs."""

from lab import Lab, test


@test("Debian 12 boots from a virtual disk to a login and powers off", long=True)
def debian_12(lab: Lab) -> None:
    _boots(lab, 12)


@test("Debian 13 boots from a virtual disk to a login and powers off", long=True)
def debian_13(lab: Lab) -> None:
    _boots(lab, 13)


@test("Debian 12 with sysvinit boots from a virtual disk to a login and powers off", long=True)
def sysvinit(lab: Lab) -> None:
    image = lab.image("sysv", 12, programs=False)
    disk = lab.copy(image)
    machine = lab.boot("sysv", image, disks=[disk]).login()
    lab.require(machine.run("cat /proc/1/comm") == "init", "process 1 of sysvinit")
    machine.run("modprobe nbd && test -b /dev/nbd0")
    machine.run("ip address show dev lo | grep -q 127.0.0.1")
    machine.run("echo kept >/root/file")
    machine.poweroff()
    lab.check_file_system(disk)


def _boots(lab: Lab, release: int) -> None:
    image = lab.image("client", release, programs=False)
    disk = lab.copy(image)
    machine = lab.boot("client", image, disks=[disk]).login()
    lab.require(machine.run("cat /etc/debian_version").startswith(f"{release}."), "another Debian than asked for")
    lab.require(machine.run_status("false") == (1, ""), "the status of `false`")
    lab.require(machine.run("printf 'a\\nb'") == "a\nb", "a command's output")
    machine.run("findmnt --noheadings --output SOURCE / | grep -x /dev/vda")
    machine.run("modprobe nbd && test -b /dev/nbd0")
    machine.wait_until("systemctl is-system-running | grep -vx starting")
    lab.require(not (failed := machine.run("systemctl --failed --plain --no-legend")), f"failed units:\n{failed}")
    machine.run("echo kept >/root/file")
    machine.poweroff()
    lab.check_file_system(disk)
