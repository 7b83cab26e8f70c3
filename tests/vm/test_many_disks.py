"""The root file system on several network disks, or encrypted: an array, a volume group, btrfs over two devices, LUKS. Each grows in use."""

import pathlib
import re

from lab import Lab, test
from lab.layer import Image
from lab.machine import Machine
from lab.network import HOST, USER_IP, Network
from lab.process import Failure, Service
from scenes import outages, root_stack, serving
from scenes.root_stack import KEY_TEXT, LABEL, OPEN_LOCKED, UUID, Stack, make_locked

PACKAGES = ("cryptsetup-initramfs", "lvm2", "mdadm", "btrfs-progs", "xfsprogs")
PORTS = (10809, 10810)
GROWTH = 256  # MiB, of each disk
KEY = "/etc/keys/root.key"
CRYPTTAB = f"locked UUID={UUID} {KEY} luks,initramfs\n"
# The hook of cryptsetup-initramfs copies the keys of this pattern.
KEY_FILES = {"/etc/crypttab": CRYPTTAB, KEY: KEY_TEXT, "/etc/cryptsetup-initramfs/conf-hook": 'KEYFILE_PATTERN="/etc/keys/*.key"\n'}
TABLE = f"nbd1 {HOST} root1 port={PORTS[1]},initramfs,shutdown-timeout=120\n"
WORD = f"holdfast.disk=nbd1={HOST},{PORTS[1]},root1"
_ERRORS = "XFS.*([Ee]rror|[Ss]hut ?down|[Cc]orrupt)|BTRFS (error|critical|warning)|md/raid.*(fail|Disk failure)|device-mapper:.*(rror|fail)"


ARRAY = Stack(
    disks=2, size=900, kind="ext4", device="/dev/md/many", files={"/etc/holdfast/devices": TABLE},
    make="mdadm --quiet --create /dev/md/many --level=1 --raid-devices=2 --assume-clean --metadata=1.2 --homehost=any --run /dev/vdb /dev/vdc && "
         f"mke2fs -q -t ext4 -L {LABEL} /dev/md/many",
    grow="md=$(findmnt -no SOURCE /) && mdadm --quiet --grow $md --size=max --assume-clean && resize2fs $md",
    # Both disks are in the array, and none of them has missed a write.
    check=f"md=$(blkid -L {LABEL}) && mdadm --detail $md && mdadm --detail $md | grep -qE 'State : (clean|active) *$' && test $(cat /sys/block/${{md#/dev/}}/md/degraded) = 0 && "
          "test $(mdadm --examine /dev/vdb /dev/vdc | grep -c 'Array State : AA ') = 2 && "
          "test $(mdadm --examine /dev/vdb /dev/vdc | sed -n 's/.*Events : //p' | sort -u | wc -l) = 1 && e2fsck -fn $md")
GROUP = Stack(
    disks=2, size=600, kind="xfs", word=WORD, device="/dev/many/root", root="/dev/mapper/many-root",
    make="pvcreate -q /dev/vdb /dev/vdc && vgcreate -q many /dev/vdb /dev/vdc && lvcreate -qqy -n root -l 100%FREE many && "
         f"mkfs.xfs -q -L {LABEL} /dev/many/root",
    grow="pvresize -q /dev/nbd0 /dev/nbd1 && lvextend -qq -l +100%FREE many/root && xfs_growfs /",
    open="vgchange -qay many", check="xfs_repair -n /dev/many/root")
BTRFS = Stack(
    disks=2, size=600, kind="btrfs", word=WORD, device="/dev/vdb",
    make=f"mkfs.btrfs -q -L {LABEL} -d single -m raid1 /dev/vdb /dev/vdc",
    grow="btrfs filesystem resize 1:max / && btrfs filesystem resize 2:max /",
    open="btrfs device scan", check="btrfs check --readonly /dev/vdb")
LOCKED = Stack(
    disks=1, size=900, kind="ext4", device="/dev/mapper/locked", root="/dev/mapper/locked", files=KEY_FILES,
    make=make_locked(),
    grow=f"cryptsetup resize --key-file {KEY} locked && resize2fs /dev/mapper/locked",
    open=OPEN_LOCKED, check="e2fsck -fn /dev/mapper/locked")


@test("a root file system (ext4) on an array of two network disks lives through outages of each server and of both, grows in use, and "
      "powers off clean", timeout=1800, long=True)
def array(lab: Lab) -> None:
    _lives(lab, ARRAY)


@test("a root file system (XFS) on a logical volume over two network disks lives through outages of each server and of both, grows in use, "
      "and powers off clean", timeout=1800, long=True)
def volume_group(lab: Lab) -> None:
    _lives(lab, GROUP)


@test("a root file system of btrfs over two network disks lives through outages of each server and of both, grows in use, and powers off "
      "clean", timeout=1800, long=True)
def btrfs(lab: Lab) -> None:
    _lives(lab, BTRFS)


@test("an encrypted root file system (ext4 on LUKS) lives through an outage, grows in use, and powers off clean", timeout=1800, long=True)
def luks(lab: Lab) -> None:
    _lives(lab, LOCKED)


@test("a further disk that cannot be attached is named, the root disk stays attached, and the boot goes on once its server is there",
      timeout=1200, long=True)
def missing(lab: Lab) -> None:
    network, plain = lab.network(), outages.image(lab, 12, packages=PACKAGES)
    disks = root_stack.make(lab, plain, GROUP)
    servers = [_serve(lab, network, disks, 0)]
    machine = _start(lab, plain, network, GROUP)
    machine.expect(r"nbd1: holdfast.disk=nbd1: not attached within 30 s; set a longer time with wait=", timeout=outages.PATIENCE)
    machine.expect(r"A further disk of the root file system could not be attached", timeout=outages.PATIENCE)
    machine.expect(r"\(initramfs\)", timeout=outages.PATIENCE)
    servers.append(_serve(lab, network, disks, 1))
    machine.type("exit\n")
    machine.expect(r"/dev/nbd0 is attached already", timeout=outages.PATIENCE)
    machine.expect(r"/dev/nbd1 is attached\b", timeout=outages.PATIENCE)
    machine.login()
    machine.run("findmnt -no SOURCE / | grep -x /dev/mapper/many-root")
    machine.poweroff(timeout=outages.PATIENCE)
    for server in servers:
        server.stop()
    root_stack.check(lab, plain, GROUP, disks, [])


def _lives(lab: Lab, stack: Stack) -> None:
    network, plain = lab.network(), outages.image(lab, 12, packages=PACKAGES)
    image = outages.image(lab, 12, packages=PACKAGES, files=stack.files) if stack.files else plain
    disks = root_stack.make(lab, plain, stack)
    servers = [_serve(lab, network, disks, n) for n in range(stack.disks)]
    machine = _start(lab, image, network, stack).login()
    _look_around(lab, machine, stack)
    outages.start_load(machine)
    outages.progress(machine)
    _keep_in_memory(machine)
    for away in _outages(stack):
        _outage(lab, network, machine, disks, servers, away)
    _grow(machine, stack, disks)
    outages.progress(machine)
    acked = outages.acknowledged(machine)
    outages.kernel_errors(machine)
    if found := machine.run(f"dmesg | grep -E '{_ERRORS}' || :"):
        raise Failure(f"the kernel complained:\n{found}")
    said = len(machine.console.text)
    machine.poweroff(timeout=outages.PATIENCE)
    end = machine.console.text[said:]
    lab.require(not re.search("I/O error|given up", end), "a link was lost at the end")
    for server in servers:
        server.stop()
    root_stack.check(lab, plain, stack, disks, acked)


def _outages(stack: Stack) -> list[tuple[int, ...]]:
    """The servers that are away together."""
    return [(0,)] if stack.disks == 1 else [(1,), (0,), (0, 1)]


def _serve(lab: Lab, network: Network, disks: list[pathlib.Path], number: int) -> Service:
    return serving.serve(lab, network, f"root{number}={disks[number]}", port=PORTS[number], name=f"server-{number}")


def _start(lab: Lab, image: Image, network: Network, stack: Stack) -> Machine:
    return lab.boot("diskless", image, disks=[], cards=[network.user_card()],
                    append=f"root={stack.root} nbdroot={HOST},{PORTS[0]},root0,nbd0 {stack.word} {USER_IP}")


def _look_around(lab: Lab, machine: Machine, stack: Stack) -> None:
    """Each disk is treated as a part of the root disk."""
    machine.run(f"test $(findmnt -no FSTYPE /) = {stack.kind}")
    machine.wait_until("systemctl is-system-running | grep -vx starting", timeout=outages.PATIENCE)
    for n in range(stack.disks):
        device = f"nbd{n}"
        status = outages.status(machine, device)
        lab.require(status["state"] == "attached", f"status: {status}")
        machine.run(f"grep -x {status['daemon_pid']} /run/sendsigs.omit.d/holdfast-{device}")
        machine.run(f"grep -x 'carries_root 1' /run/holdfast/{device}.state && test -s /run/holdfast/{device}.network")
        lab.require(machine.run_status(f"systemctl is-active holdfast@{device}")[1] == "inactive", f"{device} has a unit")
        status, said = machine.run_status(f"systemctl start holdfast@{device}")
        lab.require(status != 0, f"a unit has taken {device}: {said}")


def _keep_in_memory(machine: Machine) -> None:
    outages.keep_in_memory(machine)
    machine.run("holdfast-client status nbd1 --json | grep -q attached; :", timeout=outages.PATIENCE)


def _outage(lab: Lab, network: Network, machine: Machine, disks: list[pathlib.Path], servers: list[Service], away: tuple[int, ...]) -> None:
    for n in away:
        servers[n].kill()
    for n in away:
        outages.wait_for_state(machine, "reconnecting", device=f"nbd{n}")
    for n in away:
        servers[n] = _serve(lab, network, disks, n)
    for n in away:
        outages.wait_for_state(machine, "attached", device=f"nbd{n}")
    outages.progress(machine)


def _grow(machine: Machine, stack: Stack, disks: list[pathlib.Path]) -> None:
    before = int(machine.run("stat -f -c %b /"))
    for n, disk in enumerate(disks):
        size = disk.stat().st_size + (GROWTH << 20)
        with disk.open("r+b") as file:
            file.truncate(size)
        machine.run(f"holdfast-client resize nbd{n}", timeout=outages.PATIENCE)
        machine.wait_until(f"test $(blockdev --getsize64 /dev/nbd{n}) -eq {size}", timeout=outages.PATIENCE)
    machine.run(stack.grow, timeout=outages.PATIENCE)
    machine.run(f"test $(stat -f -c %b /) -gt $(({before} + ({GROWTH // 2} << 20) / $(stat -f -c %S /)))")
