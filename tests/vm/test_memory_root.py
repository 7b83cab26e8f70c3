"""Root file systems whose changes, or the whole disk, stay in memory; hibernation refused; swap and suspend on network disks."""

import hashlib
import pathlib
import time

from lab import Lab, test
from lab.machine import Machine
from lab.network import HOST, USER_IP
from scenes import outages, serving

# The overlay would refuse errors=.
FILES = {"/etc/fstab": "/dev/nbd0 / ext4 defaults,errors=remount-ro 0 1\n"}
NO_DISK = "UUID=6f7f3ba2-7fd1-4d0c-8a0c-6b6c4c0c2d5e"


def _sum(disk: pathlib.Path) -> str:
    with disk.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_overlay(lab: Lab, machine: Machine) -> None:
    """/ is an overlay of the size asked for, and nothing of the system minds."""
    machine.run("findmnt -n -o FSTYPE / | grep -x overlay && test ! -e /root/mark")
    machine.run("findmnt -n -o OPTIONS /run/holdfast/lower | grep -qw ro && grep -qx 1 /sys/block/nbd0/ro")
    machine.run("dd if=/dev/urandom of=/root/mark bs=1M count=20 conv=fsync status=none && apt-get --version >/dev/null")
    status = outages.status(machine)
    lab.require(status["overlay_size"] == 200 << 20, f"not the size of the overlay: {status}")
    lab.require(20 << 20 <= status["overlay_used"] < 60 << 20, f"not what is in memory: {status}")
    machine.run("holdfast-client status | grep -E 'overlay +[0-9.]+ MiB of changes of / in memory, [0-9.]+ MiB free'")
    machine.wait_until("systemctl is-active systemd-remount-fs")
    machine.run("test \"$(systemctl --failed --no-legend | grep -c .)\" = 0 || { systemctl --failed; false; }")


@test("two machines boot from one export with holdfast.overlay=, their changes are gone after a reboot, and no byte of the export changes",
      timeout=900, long=True)
def overlay(lab: Lab) -> None:
    image = lab.image("client", 12, files=FILES)
    disk = lab.copy(image)
    before = _sum(disk)
    network = lab.network()
    serving.serve(lab, network, f"root={disk}")
    words = f"root=/dev/nbd0 rw nbdroot={HOST},root {USER_IP} holdfast.overlay=RAM,size=200m resume={NO_DISK}"
    one, other = (lab.boot(name, image, disks=[], cards=[network.user_card()], append=words, exit_on_reboot=False)
                  for name in ("one", "other"))
    one.login(timeout=600)
    _is_overlay(lab, one)
    lab.require(one.said(f"resume={NO_DISK}: ignored"), "the disk to resume from is not named")
    lab.require(not one.said("suspend/resume"), "the initramfs waits for a disk to resume from")
    other.login(timeout=600)
    _is_overlay(lab, other)
    other.poweroff()
    one.reboot().login(timeout=600)
    _is_overlay(lab, one)
    words_of_systemd = one.run("systemctl hibernate 2>&1 || :")
    lab.require("not supported" in words_of_systemd or "disabled" in words_of_systemd, f"hibernation: {words_of_systemd}")
    one.run("holdfast-client boot --print | grep -q 'holdfast.overlay: the disk is attached read-only'")
    one.poweroff()
    lab.require(_sum(disk) == before, "the export has changed")


@test("holdfast.toram refuses a machine without the memory; on another the disk is in memory, the server ends, and the machine works on",
      timeout=900, long=True)
def to_ram(lab: Lab) -> None:
    image = lab.image("client", 12, files={"/etc/fstab": f"UUID={NO_DISK[5:]} none swap sw,nofail,noauto 0 0\n"})
    disk = lab.copy_partitioned(image)
    before = _sum(disk)
    network = lab.network()
    server = serving.serve(lab, network, f"root={disk},readonly")
    words = f"root=/dev/nbd0p1 rw nbdroot={HOST},root {USER_IP} holdfast.toram"
    small = lab.boot("small", image, disks=[], cards=[network.user_card()], append=words)
    small.expect(r"holdfast.toram: not enough memory: the export has 1\.0 GiB, and [0-9.]+ MiB of memory are available")
    small.expect(r"\(initramfs\)")
    small.kill()
    machine = lab.boot("machine", image, disks=[], cards=[network.user_card()], append=words, memory=1536).login(timeout=600)
    lab.require(machine.said(r"\[=+\] 100% of 1\.0 GiB"), "no progress was shown")
    server.stop()
    machine.run("findmnt -n -o SOURCE / | grep -x /dev/loop0p1 && test ! -e /sys/block/nbd0/pid && ! pgrep '^holdfast-nbd'")
    machine.run("holdfast-client status | grep 'was copied to memory as /dev/loop0'; test ! -e /run/systemd/sleep.conf.d")
    machine.run("echo 3 >/proc/sys/vm/drop_caches && dd if=/dev/urandom of=/root/file bs=1M count=20 conv=fsync status=none && "
                "sha256sum /root/file >/root/sum && echo 3 >/proc/sys/vm/drop_caches && sha256sum -c /root/sum")
    machine.poweroff()
    lab.require(_sum(disk) == before, "the export has changed")


@test("swap on a further device is used, and outlives a restart of the server under pressure", timeout=900, long=True)
def swap(lab: Lab) -> None:
    image = lab.image("client", 12, files={
        "/etc/holdfast/devices": f"nbd1 nbd://{HOST}/swap\n",
        "/etc/fstab": "/dev/nbd0 / ext4 defaults 0 1\n/dev/nbd1 none swap sw,_netdev,nofail 0 0\n"})
    disk, more = lab.copy(image), lab.blank_disk(512, "swap")
    network = lab.network()
    server = serving.serve(lab, network, f"root={disk}", f"swap={more}")
    machine = lab.boot("diskless", image, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},root {USER_IP}", memory=320)
    machine.login(timeout=600)
    machine.run("mkswap /dev/nbd1 && systemctl start dev-nbd1.swap && swapon --show=NAME --noheadings | grep -x /dev/nbd1")
    machine.run("mount -t tmpfs -o size=400M tmpfs /mnt && mkdir -p /mnt/bin && for i in sha256sum cat; do cp $(command -v $i) /mnt/bin; done")
    machine.run("head -c 300M /dev/urandom >/mnt/data && sha256sum /mnt/data >/mnt/sum", timeout=400)
    lab.require(int(machine.run("awk '$1 == \"/dev/nbd1\" { print $4 }' /proc/swaps")) > 40 << 10, "little is in swap")
    machine.start_command("sha256sum -c /mnt/sum >/run/checked 2>&1; echo $? >/run/code")
    server.stop()
    server = serving.serve(lab, network, f"root={disk}", f"swap={more}", name="holdfast-server-again")
    machine.wait_until("test -s /run/code", timeout=400)
    machine.run("grep -x 0 /run/code && sha256sum -c /mnt/sum", timeout=400)
    machine.run("rm /mnt/data")
    machine.poweroff(timeout=200)
    lab.check_file_system(disk)


def _qemu_state(machine: Machine) -> str:
    return machine.qmp("query-status")["status"]


def _wait_for_suspend(lab: Lab, machine: Machine) -> None:
    deadline = time.monotonic() + 120
    while _qemu_state(machine) != "suspended":
        lab.require(time.monotonic() < deadline, "the machine was not suspended")
        time.sleep(1)


# Suspends the machine, looks at the disk afterwards, and powers off. Writes to the console: the serial port of the test's shell has
# been seen not to come back from a suspend.
SUSPEND = """sleep 1
echo mem >/sys/power/state || exit
echo 3 >/proc/sys/vm/drop_caches
sha256sum -c /run/sum && touch /root/after && sync /root/after && echo 'the data is whole, and more was written'
holdfast-client status nbd0 --json
echo "faults in the log: $(dmesg | grep -cE 'I/O error|EXT4-fs error')"
poweroff
"""


@test("a machine that was suspended for longer than dead-after goes on, with the server restarted meanwhile", timeout=900, long=True)
def suspended(lab: Lab) -> None:
    image = lab.image("client", 12)
    disk = lab.copy(image)
    network = lab.network()
    server = serving.serve(lab, network, f"root={disk}")
    machine = lab.boot("diskless", image, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},root,dead-after=4 {USER_IP}").login(timeout=600)
    machine.run("dd if=/dev/urandom of=/root/file bs=1M count=8 conv=fsync status=none && sha256sum /root/file >/run/sum")
    outages.keep_in_memory(machine)
    machine.write("/run/suspend", SUSPEND)
    machine.start_command("exec sh /run/suspend >/dev/ttyS0 2>&1")
    _wait_for_suspend(lab, machine)
    server.stop()
    time.sleep(20)  # five times dead-after
    lab.require(_qemu_state(machine) == "suspended", "the machine woke up by itself")
    serving.serve(lab, network, f"root={disk}", name="holdfast-server-again")
    machine.qmp("system_wakeup")
    machine.expect("^the data is whole, and more was written")
    machine.expect('"reconnects":[1-9]')
    machine.expect("^faults in the log: 0")
    machine.wait_exit()
    lab.check_file_system(disk)
