"""The root file system on a logical volume on the network disk: to whoever looks for /dev/nbd* it is not there."""

import pathlib

from lab import Lab, process, test
from lab.layer import Image
from lab.machine import Machine
from lab.network import HOST, Network
from lab.process import Service
from scenes import outages, serving
from scenes.managed_network import FILES, PACKAGES, UNGUARDED, hangs, words_for

MIB = 1 << 20
FIRST_EXTENT = 1  # where LVM puts it, in MiB


@test("a root file system on a logical volume on the network disk works and goes down cleanly with systemd and ifupdown",
      timeout=900, long=True)
def volume_systemd(lab: Lab) -> None:
    _lives(lab, outages.image(lab, 12, files=FILES, packages=(*PACKAGES, "lvm2")), words_for("ifupdown"))


@test("a root file system on a logical volume on the network disk works and goes down cleanly with sysvinit and ifupdown",
      timeout=900, long=True)
def volume_sysvinit(lab: Lab) -> None:
    # The init script is what keeps the network's own from taking it down, where the disk is not seen to be mounted.
    _lives(lab, outages.image(lab, 12, kind="sysv", files=FILES, packages=("lvm2",),
                              commands=["update-rc.d lab-survivor defaults"]))


@test("without the init script, sysvinit's networking cuts a logical volume's machine off from its disk, and it hangs", timeout=900,
      long=True)
def volume_sysvinit_without_script(lab: Lab) -> None:
    image = outages.image(lab, 12, kind="sysv", files={**FILES, **UNGUARDED}, packages=("lvm2",),
                          commands=["update-rc.d lab-survivor defaults", "update-rc.d -f holdfast-client remove"])
    network = lab.network()
    server, machine, _, _ = _boot(lab, image, network, ",shutdown-timeout=0", "")
    machine.start_command("poweroff")
    machine.expect(r"nbd0: the link to \S+ is (down|dropped)", timeout=outages.PATIENCE)
    hangs(lab, machine)
    machine.kill()
    server.stop()


def _boot(lab: Lab, image: Image, network: Network, options: str, words: str) -> tuple[Service, Machine, pathlib.Path, int]:
    """The server, the machine on its volume, the disk with it, and the volume's size in MiB."""
    system = lab.copy(image)
    size = system.stat().st_size // MIB
    disk = lab.blank_disk(size + 64)
    server = serving.serve(lab, network, f"root={disk}")
    _make_volume(lab, image, network)
    # The volume begins with the first extent, and is in one piece.
    _copy(system, disk, f"seek={FIRST_EXTENT}")
    machine = lab.boot("diskless", image, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/mapper/lab-root nbdroot={HOST},root,nbd0{options} ip=dhcp {words}").login()
    machine.run("findmnt -n -o SOURCE / | grep -x /dev/mapper/lab-root")
    return server, machine, disk, size


def _lives(lab: Lab, image: Image, words: str = "") -> None:
    network = lab.network()
    server, machine, disk, size = _boot(lab, image, network, "", words)
    status = outages.status(machine)
    lab.require(status["network"].startswith("eth0 (10.0.2.15), kept from"), f"status: {status}")
    machine.run(f"grep -x {status['daemon_pid']} /run/sendsigs.omit.d/*")
    outages.start_load(machine)
    outages.keep_in_memory(machine)
    server.stop()
    outages.wait_for_state(machine, "reconnecting")
    server = serving.serve(lab, network, f"root={disk}")
    outages.wait_for_state(machine, "attached")
    outages.progress(machine)
    acked = outages.acknowledged(machine)
    outages.kernel_errors(machine)
    machine.poweroff(timeout=outages.PATIENCE)
    lab.require(machine.said(rf'survivor: .*"state":"attached".*"daemon_pid":{status["daemon_pid"]},'),
                "the daemon was not seen alive after everything else had been ended")
    server.stop()
    volume = lab.blank_disk(size)
    _copy(disk, volume, f"skip={FIRST_EXTENT} count={size}")
    lab.check_file_system(volume)
    outages.verify_on_host(lab, volume, acked)


def _copy(source: pathlib.Path, target: pathlib.Path, words: str) -> None:
    process.output_of(["dd", f"if={source}", f"of={target}", "bs=1M", "conv=sparse,notrunc", "status=none", *words.split()])


def _make_volume(lab: Lab, image: Image, network: Network) -> None:
    """A volume of the size of the image's file system on the network disk."""
    machine = lab.boot("maker", image, cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up; ip address replace 10.0.2.15/24 dev eth0")
    machine.run(f"holdfast-client attach --quiet --device nbd0 nbd://{HOST}/root")
    machine.run("pvcreate -q /dev/nbd0 && vgcreate -q lab /dev/nbd0 && lvcreate -qqy -Zn -Wn -n root -L $(blockdev --getsize64 /dev/vda)b lab && "
                "vgchange -qan lab && holdfast-client detach nbd0", timeout=outages.PATIENCE)
    machine.kill()
