"""A root file system on network disks with layers between: an array, a volume group, LUKS."""

import dataclasses
import pathlib

from lab import Lab
from lab.layer import Image
from lab.machine import Machine
from scenes import outages

LABEL = "many-root"
UUID = "6a1d4f0c-9c0b-4f0e-8a53-0c1f5d1f7a11"  # of the encrypted disk
KEY_TEXT = "the key of the laboratory, which is no secret"
OPEN_LOCKED = f"printf '{KEY_TEXT}' >/run/key && cryptsetup open --key-file /run/key /dev/vdb locked"


def make_locked(then: str = ":") -> str:
    """Commands that make ext4 on LUKS on /dev/vdb; `then`: further ones, with the key in /run/key."""
    return (f"printf '{KEY_TEXT}' >/run/key && cryptsetup luksFormat -q --type luks2 --uuid {UUID} --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "
            f"--key-file /run/key /dev/vdb && {then} && cryptsetup open --key-file /run/key /dev/vdb locked && "
            f"mke2fs -q -t ext4 -L {LABEL} /dev/mapper/locked")


@dataclasses.dataclass(frozen=True)
class Stack:
    """A root file system on /dev/vdb (and /dev/vdc) of the machine that makes and checks it, which are nbd0 and nbd1 later."""

    disks: int
    size: int          # of each disk, in MiB
    kind: str          # of the file system
    make: str          # makes it, without mounting it
    device: str        # ... of it, on the machine that makes it
    grow: str          # on the machine that runs from it
    check: str         # ... from outside, not mounted
    open: str = ":"    # before the check
    root: str = f"LABEL={LABEL}"
    word: str = ""     # of the kernel command line, for the second disk
    files: dict[str, str] = dataclasses.field(default_factory=dict)


def make(lab: Lab, image: Image, stack: Stack) -> list[pathlib.Path]:
    """The disks with a copy of the image's file system."""
    disks = blank_disks(lab, stack)
    machine = lab.boot("maker", image, disks=[lab.copy(image), *disks]).login()
    fill(machine, stack)
    machine.poweroff(timeout=outages.PATIENCE)
    return disks


def blank_disks(lab: Lab, stack: Stack) -> list[pathlib.Path]:
    return [lab.blank_disk(stack.size, f"root{n}") for n in range(stack.disks)]


def fill(machine: Machine, stack: Stack) -> None:
    """A copy of the machine's own file system onto the disks that are its second and further ones."""
    machine.run(stack.make, timeout=outages.PATIENCE)
    machine.run(f"mount {stack.device} /mnt && cp -ax /. /mnt && mkdir -p /mnt/etc/keys", timeout=600)
    for path, text in stack.files.items():
        machine.write(f"/mnt{path}", text)
    machine.write("/mnt/etc/fstab", f"{stack.root} / {stack.kind} defaults 0 {1 if stack.kind == 'ext4' else 0}\n")
    machine.run("umount /mnt && sync", timeout=outages.PATIENCE)


def check(lab: Lab, image: Image, stack: Stack, disks: list[pathlib.Path], acked: list[dict[str, int]]) -> None:
    """The file system is clean, and has everything that was acknowledged."""
    machine = lab.boot("checker", image, disks=[lab.copy(image), *disks]).login()
    machine.run(stack.open, timeout=outages.PATIENCE)
    print(machine.run(stack.check, timeout=outages.PATIENCE))
    if acked:
        machine.run(f"mount -o ro {stack.device if stack.device != '/dev/md/many' else f'LABEL={LABEL}'} /mnt && mkdir -p /run/acked")
        for worker, each in enumerate(acked):
            machine.write(f"/run/acked/{worker}.acked", f"{each['number']} {each['kept']}\n")
        print(machine.run(f"{outages.LOAD} verify /mnt{outages.FOLDER} /run/acked", timeout=outages.PATIENCE))
        machine.run("umount /mnt")
    machine.kill()
