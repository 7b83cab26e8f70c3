"""An encrypted root file system on a network disk, unlocked over the network in the initramfs: by ssh (dropbear), and by a tang server (clevis)."""

import os
import pathlib

from lab import Lab, paths, process, test
from lab.layer import Image
from lab.machine import Machine
from lab.network import BRIDGE_HOST, Card, Network
from scenes import outages, root_stack, serving
from scenes.outages import PATIENCE
from scenes.root_stack import KEY_TEXT, OPEN_LOCKED, UUID, Stack

ADDRESS = "10.77.0.10"  # of outages.BRIDGE_IP
TANG = "10.77.0.30"
FILES = {"/etc/crypttab": f"locked UUID={UUID} none luks,initramfs\n"}
PACKAGES = ("cryptsetup-initramfs",)


def _stack(then: str = ":") -> Stack:
    return Stack(disks=1, size=900, kind="ext4", device="/dev/mapper/locked", root="/dev/mapper/locked", files=FILES,
                 make=root_stack.make_locked(then), grow=":", open=OPEN_LOCKED, check="e2fsck -fn /dev/mapper/locked")


@test("a root file system on LUKS is unlocked over ssh (dropbear in the initramfs), whose last script takes the root disk's card down: the "
      "machine boots, lives through an outage and powers off clean", timeout=1800, long=True)
def by_ssh(lab: Lab) -> None:
    key = _ssh_key()
    files = {**FILES, "/etc/dropbear/initramfs/authorized_keys": key.with_suffix(".pub").read_text()}
    image, plain = outages.image(lab, 12, packages=(*PACKAGES, "dropbear-initramfs"), files=files), outages.image(lab, 12, packages=PACKAGES)
    stack, network = _stack(), lab.network()
    card = network.bridge_card()
    disks = root_stack.make(lab, plain, stack)
    server, machine = _serve(lab, network, disks[0]), _start(lab, image, card)
    machine.expect("Please unlock disk locked", timeout=PATIENCE)
    passphrase = lab.scratch / "passphrase"
    passphrase.write_text(KEY_TEXT)
    # ssh tries each second: dropbear may start later than the question on the console.
    ssh = f"ssh -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectionAttempts=120 root@{ADDRESS}"
    said = network.run(["timeout", str(PATIENCE), "sh", "-c", f"{ssh} cryptroot-unlock <{passphrase}"])
    lab.require("set up successfully" in said, f"cryptroot-unlock said: {said}")
    _lives(lab, network, machine, disks[0], server, plain, stack)


@test("a root file system on LUKS is unlocked by a tang server (clevis in the initramfs, which flushes every card before our last script): "
      "the machine boots, lives through an outage and powers off clean", timeout=1800, long=True)
def by_tang(lab: Lab) -> None:
    image = outages.image(lab, 12, packages=(*PACKAGES, "clevis-luks", "clevis-initramfs"), files=FILES)
    plain = outages.image(lab, 12, packages=(*PACKAGES, "clevis-luks", "tang"))
    bind = f"clevis luks bind -f -y -k /run/key -d /dev/vdb tang '{{\"url\":\"http://{TANG}\"}}'"
    stack, network = _stack(bind), lab.network()
    disks, own_disk = root_stack.blank_disks(lab, stack), lab.copy(plain, "tang")
    maker = _tang(lab, plain, network, [own_disk, *disks])
    root_stack.fill(maker, stack)
    maker.poweroff(timeout=PATIENCE)
    # With the same keys, and without the disk, which nobody else may have open.
    tang = _tang(lab, plain, network, [own_disk])
    server, machine = _serve(lab, network, disks[0]), _start(lab, image, network.bridge_card())
    machine.login()
    tang.poweroff(timeout=PATIENCE)
    _lives(lab, network, machine, disks[0], server, plain, stack)


def _tang(lab: Lab, image: Image, network: Network, disks: list[pathlib.Path]) -> Machine:
    machine = lab.boot("tang", image, disks=disks, cards=[network.bridge_card()]).login()
    machine.run(f"ip link set eth0 up && ip address add {TANG}/24 dev eth0 && systemctl start tangd.socket")
    return machine


def _ssh_key() -> pathlib.Path:
    """Kept with the images, which have its public half. No secret: the machines are on a network of their own."""
    key = paths.cache() / "ssh-key"
    if not key.exists():
        draft = key.with_name(f"ssh-key.{os.getpid()}")
        process.output_of(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", draft])
        draft.with_suffix(draft.suffix + ".pub").rename(key.with_suffix(".pub"))
        draft.rename(key)
    return key


def _serve(lab: Lab, network: Network, disk: pathlib.Path, name: str = "server") -> process.Service:
    return serving.serve(lab, network, f"root={disk}", address=BRIDGE_HOST, name=name)


def _start(lab: Lab, image: Image, card: Card) -> Machine:
    return lab.boot("diskless", image, disks=[], cards=[card],
                    append=f"root=/dev/mapper/locked nbdroot={BRIDGE_HOST},root {outages.BRIDGE_IP}")


def _lives(lab: Lab, network: Network, machine: Machine, disk: pathlib.Path, server: process.Service, plain: Image, stack: Stack) -> None:
    machine.login()
    machine.run(f"findmnt -no SOURCE / | grep -x /dev/mapper/locked && ip -4 address show dev eth0 | grep -F {ADDRESS}/24")
    print(machine.run("dmesg | grep -F holdfast"))
    outages.start_load(machine)
    outages.progress(machine)
    outages.keep_in_memory(machine)
    server.kill()
    outages.wait_for_state(machine, "reconnecting")
    server = _serve(lab, network, disk, "server-again")
    outages.wait_for_state(machine, "attached")
    outages.progress(machine)
    acked = outages.acknowledged(machine)
    outages.kernel_errors(machine)
    machine.poweroff(timeout=PATIENCE)
    server.stop()
    root_stack.check(lab, plain, stack, [disk], acked)
