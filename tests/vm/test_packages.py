"""The life of our Debian packages on a running system: upgrades under load, upgrades that fail, and refused removals."""

import pathlib
import re

from lab import Lab, images, packaging, process, progress, test
from lab.machine import Machine
from scenes import losing_server, outages
from scenes.outages import PATIENCE, Scene

# Looks for a daemon of nbd0 again and again. A look without one is a line in /run/gaps; /run/looks counts the looks. The status
# file names the old daemon for some milliseconds after its successor, whose title begins with '@' like each daemon's, has taken over.
WATCH = r"""#!/usr/bin/perl
use strict;
use warnings;

sub read_file { open my $file, '<', $_[0] or return ''; local $/; return <$file> // '' }
sub write_file { open my $file, $_[0], $_[1] or die "$_[1]: $!\n"; print $file $_[2] }
sub successor { return grep { read_file($_) =~ /^\@holdfast-client/ } glob '/proc/[0-9]*/cmdline' }
sub named { return read_file('/run/holdfast/nbd0.status') =~ /^daemon_pid (\d+)$/m ? $1 : 0 }

write_file('>', '/run/gaps', '');
for (my $looks = 1; !-e '/run/watched-enough'; ++$looks) {
    my $daemon = named();
    # The daemon that the file named may have been replaced since.
    write_file('>>', '/run/gaps', "look $looks: no daemon, the file names $daemon\n")
        if !($daemon && -d "/proc/$daemon") && named() == $daemon && !successor();
    write_file('>', '/run/looks', "$looks\n");
    select undef, undef, undef, 0.02;
}
"""
# An initramfs of the modules that the machine needs: an emulated processor takes a quarter of an hour for one with most modules.
FEW_MODULES = {
    "/etc/initramfs-tools/conf.d/lab": "MODULES=list\n",
    "/etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
}
PACKAGE = "/srv/repository/pool/holdfast-client_*.deb"
APT = "apt-get -q -y -o Dir::Etc::sourceparts=/dev/null"


def _repository_disk(lab: Lab, repository: pathlib.Path | None = None) -> pathlib.Path:
    """File system with an apt repository, of a later version of our packages if no other is given."""
    with progress.off_the_clock():
        repository = repository or packaging.later_repository()
    disk = lab.scratch / "repository.raw"
    size = sum(path.stat().st_size for path in repository.rglob("*.deb")) // 2**20 + 32
    process.output_of(["mke2fs", "-q", "-t", "ext4", "-d", repository, disk, f"{size}M"])
    return disk


def _use_repository(machine: Machine) -> None:
    """The disk /dev/vda becomes the only source of apt."""
    machine.run("mkdir -p /srv/repository && mount -r /dev/vda /srv/repository && "
                "echo \"deb [trusted=yes] file:/srv/repository $(ls /srv/repository/dists) main\" >/etc/apt/sources.list && "
                f"{APT} update", timeout=PATIENCE)


def _start(lab: Lab, release: int, kind: str, repository: pathlib.Path | None = None, load: bool = True, **options: str) -> Scene:
    made = outages.image(lab, release, kind=kind, files={"/usr/local/sbin/watch-daemon": WATCH, **FEW_MODULES}, **options)
    scene = outages.start(lab, made=made, further=[_repository_disk(lab, repository)], memory=768, load=False)
    _use_repository(scene.machine)
    if load:
        _load(scene)
    return scene


def _load(scene: Scene) -> None:
    """Start the load. dpkg and mkinitramfs have most of the one processor, and the load goes on beside them."""
    scene.load(pause=0.3)


def _daemon(scene: Scene) -> int:
    """The one daemon of nbd0. Fails if the disk has lost its link since the boot."""
    status = scene.status()
    scene.lab.require(status["state"] == "attached" and status["reconnects"] == 0, f"the link was lost: {status}")
    return outages.one_daemon(scene)


def _program(machine: Machine, pid: int) -> tuple[str, str]:
    """Device and inode of the program of a process, and of the installed program."""
    text = machine.run(f"stat -L -c %d:%i /proc/{pid}/exe /usr/sbin/holdfast-client", timeout=PATIENCE).split()
    return text[0], text[1]


def _version(machine: Machine, package: str = "holdfast-client") -> str:
    """Version and state of the package."""
    return machine.run(f"dpkg-query -W -f '${{Version}} ${{db:Status-Status}}' {package}", timeout=PATIENCE)


def _try(machine: Machine, command: str, timeout: float = PATIENCE) -> tuple[int, str]:
    return machine.run_status(f"DEBIAN_FRONTEND=noninteractive {command}", timeout=timeout)


def _full_disk(scene: Scene) -> None:
    """An upgrade for which the disk has no space. No load goes on: a load would find no space either."""
    lab, machine, old, before = scene.lab, scene.machine, _daemon(scene), _version(scene.machine)
    # All blocks but a hundred or so, also those that are reserved for root and those that ext4 keeps for itself.
    machine.run("echo 0 >/sys/fs/ext4/nbd0/reserved_clusters; for left in 1000 300 150; do fallocate -l $((($(stat -f -c %f /) - left) * $(stat -f -c %S /))) /filler.$left || :; done; "
                "[ $(stat -f -c %f /) -lt 400 ]", timeout=PATIENCE)
    status, text = _try(machine, f"dpkg --install {PACKAGE}", PATIENCE * 4)
    machine.run("rm -f /filler.*")
    lab.require(status != 0 and "dpkg: error processing" in text and "No space left" in text, f"the upgrade had space: {status}: {text}")
    lab.require(_version(machine) == before, f"after the failed upgrade the package is {_version(machine)}, before {before}")
    machine.run("holdfast-client --version")
    lab.require(_daemon(scene) == old, "the failed upgrade has changed the daemon")


def _killed(scene: Scene) -> None:
    """Upgrades that are killed when dpkg says that a step begins; the last is completed as dpkg's manual says."""
    lab, machine, old = scene.lab, scene.machine, _daemon(scene)
    install = f"--install {PACKAGE}"
    # A trigger that is pending since a killed run is processed by --configure -a only. Our package is complete by then.
    steps = {"Preparing to unpack": (install, "holdfast-client"), "Unpacking holdfast-client": (install, "holdfast-client"),
             "Setting up holdfast-client": (install, "holdfast-client"), "update-initramfs: Generating": ("--configure -a", "initramfs-tools")}
    for step, (words, package) in steps.items():
        machine.start_command(f"echo $$ >/run/dpkg.pid && exec dpkg {words} >/run/dpkg.log 2>&1")
        machine.wait_until(f"grep '{step}' /run/dpkg.log || {{ tail -n 5 /run/dpkg.log; ps -C dpkg,sh -o pid,ppid,args; false; }}", timeout=PATIENCE * 2)
        machine.run("kill -KILL $(cat /run/dpkg.pid)")
        state = _version(machine, package)
        lab.require(not state.endswith(" installed"), f"{step}: dpkg was killed too late, {package} is {state}")
        # Scripts of the package that dpkg has started go on without dpkg.
        now = outages.one_daemon_soon(scene)
        print(f"killed at {step!r}: {package} is {state}, the daemon {now}, at first {old}")
        _daemon(scene)
        machine.run("holdfast-client --version")
        scene.progress()
    machine.run(f"dpkg --configure -a && {APT} full-upgrade", timeout=PATIENCE * 4)
    _is_new(scene, old)


def _is_new(scene: Scene, old: int) -> None:
    """The package has the later version, and so has the daemon, which is not the old one."""
    lab, machine = scene.lab, scene.machine
    lab.require(_version(machine).endswith(f"{packaging.LATER} installed"), f"the package is {_version(machine)}")
    new = _daemon(scene)
    running, installed = _program(machine, new)
    lab.require(new != old and running == installed, f"the daemon {new}, before {old}, runs {running}; installed is {installed}")


def _upgrade(scene: Scene, timeout: float = PATIENCE * 4) -> None:
    """An upgrade under load: a new daemon, no moment without one, and one new initramfs of each kernel."""
    lab, machine, old = scene.lab, scene.machine, _daemon(scene)
    before = outages.acknowledged(machine)
    machine.start_command("/usr/local/sbin/watch-daemon")
    machine.wait_until("test -e /run/looks")
    status, text = _try(machine, f"{APT} full-upgrade", timeout)
    lab.require(status == 0, f"the upgrade failed: {text}")
    looks = int(machine.run("cat /run/looks"))
    machine.wait_until(f"test $(cat /run/looks) -gt {looks}")
    machine.run("touch /run/watched-enough")
    generated = re.findall(r"update-initramfs: Generating (\S+)", text)
    lab.require(len(generated) == len(set(generated)) > 0, f"an initramfs was built twice, or none: {generated}")
    _is_new(scene, old)
    log = machine.run("dmesg")
    lab.require("taken over by another daemon" in log and "had died" not in log, f"the new daemon has not taken over from the old one: {log}")
    gaps = machine.run("cat /run/gaps")
    lab.require(not gaps, f"there were moments without a daemon, of {looks} looks: {gaps}")
    scene.progress()
    after = outages.acknowledged(machine)
    print(f"upgrade: {sum(each['rounds'] for each in after) - sum(each['rounds'] for each in before)} rounds of the load, {looks} looks; the longest "
          f"stall of the disk was {scene.status()['longest_stall_ms']} ms; the longest round took {max(each['longest_ms'] for each in before)} ms "
          f"before, {max(each['longest_ms'] for each in after)} ms with the upgrade")


def _removal(scene: Scene) -> None:
    """A removal of the package that carries the root disk."""
    machine = scene.machine
    status, text = _try(machine, f"{APT} remove holdfast-client")
    scene.lab.require(status != 0 and "nbd0 carries the root file system" in text, f"the removal was not refused: {status}: {text}")
    scene.lab.require(_version(machine).endswith(" installed"), f"the state after the refusal is {_version(machine)}")
    _daemon(scene)


def _boots_again(scene: Scene, newest: str = "") -> None:
    """Boot with the kernel and the initramfs of the disk, which the upgrade made. newest: version of the kernel."""
    lab = scene.lab
    kernel, initrd = (lab.scratch / name for name in ("vmlinuz", "initrd.img"))
    names = process.output_of(["debugfs", "-R", "ls -p /boot", scene.disk]).split("/")
    version = next(name.removeprefix("vmlinuz-") for name in names if name.startswith(f"vmlinuz-{newest}"))
    for file, name in ((kernel, f"vmlinuz-{version}"), (initrd, f"initrd.img-{version}")):
        process.output_of(["debugfs", "-R", f"dump /boot/{name} {file}", scene.disk])
    lab.require(initrd.read_bytes() != scene.image.initrd.read_bytes(), "the initramfs is the one of before the upgrade")
    scene.serve()
    words = f"root=/dev/nbd0 nbdroot={outages.HOST},root,nbd0 {outages.USER_IP}"
    machine = lab.machine("again", kernel=kernel, initrd=initrd, append=words, disks=[], cards=[scene.network.user_card()]).login()
    machine.run(f"uname -r | grep -x '{version}' && findmnt -n -o SOURCE / | grep -x /dev/nbd0 && holdfast-client status")
    outages.kernel_errors(machine)
    machine.poweroff(timeout=PATIENCE)
    scene.server.stop()
    lab.check_file_system(scene.disk)


def _life(lab: Lab, release: int, kind: str) -> None:
    scene = _start(lab, release, kind)
    _upgrade(scene)
    scene.machine.run("umount /srv/repository")
    _removal(scene)
    scene.kill_server()
    scene.serve()
    scene.progress()
    scene.finish()
    _boots_again(scene)


@test("under load, the client of a root disk is upgraded with no moment without a daemon, a removal is refused, and the new initramfs boots",
      timeout=1800, long=True)
def client_12(lab: Lab) -> None:
    _life(lab, 12, "client")


@test("the same life of the package on Debian 13", timeout=1800, long=True)
def client_13(lab: Lab) -> None:
    _life(lab, 13, "client")


@test("the same life of the package with System V init", timeout=1800, long=True)
def client_sysvinit(lab: Lab) -> None:
    _life(lab, 12, "sysv")


@test("a diskless host is upgraded from Debian 12 to 13 in place, kernel included, under load, and boots Debian 13", timeout=5400, long=True)
def release(lab: Lab) -> None:
    with progress.off_the_clock():
        repository = packaging.release_repository(images.base("client", 13))
    scene = _start(lab, 12, "client", repository, size="2G")
    _upgrade(scene, timeout=4000)
    scene.machine.run("grep -x VERSION_ID=.13. /etc/os-release && umount /srv/repository")
    scene.finish()
    _boots_again(scene, newest="6.12")


@test("an upgrade that finds no space, or is killed at a step, leaves one daemon in charge, and is completed later", timeout=1800,
      long=True)
def failed_upgrades(lab: Lab) -> None:
    scene = _start(lab, 12, "client", load=False)
    _full_disk(scene)
    _load(scene)
    _killed(scene)
    scene.finish()


@test("an upgrade of the server is survived by its clients, and the new server tells of the writes that the old one lost", timeout=900,
      long=True)
def server(lab: Lab) -> None:
    machine = losing_server.start(lab, lab.network(), _repository_disk(lab))
    address = losing_server.SERVER
    machine.run(f"holdfast-client attach {address},thin --device nbd1 && holdfast-client attach {address},flaky --device nbd0 && "
                "mkfs.ext4 -q /dev/nbd1 && mount /dev/nbd1 /mnt", timeout=PATIENCE)
    machine.start_command("i=0; while echo $i >/mnt/log && sync /mnt/log; do i=$((i + 1)); echo $i >/run/flushed.new && mv /run/flushed.new /run/flushed; done; "
                          "touch /run/load-failed")
    machine.wait_until("test -e /run/flushed", timeout=PATIENCE)
    machine.run("mkdir /srv/repository && mount -r /dev/vdc /srv/repository && dd if=/dev/urandom of=/dev/nbd0 bs=64k count=4 oflag=direct status=none && "
                "systemctl show -p MainPID --value holdfast-server >/run/old")
    losing_server.switch(machine, losing_server.FAILING)
    machine.run("dpkg --install /srv/repository/pool/holdfast-server_*.deb", timeout=PATIENCE)
    losing_server.switch(machine, losing_server.SOUND)
    machine.wait_until("systemctl is-active holdfast-server && ! grep -qx $(systemctl show -p MainPID --value holdfast-server) /run/old", timeout=PATIENCE)
    flush = "dd if=/dev/zero of=/dev/nbd0 bs=4k count=1 oflag=direct status=none && sync /dev/nbd0"
    status, text = machine.run_status(flush, timeout=PATIENCE)
    lab.require(status != 0 and "rror" in text, f"a flush succeeded although the old server had lost writes: {status}: {text}")
    machine.run(flush, timeout=PATIENCE)
    before = int(machine.run("cat /run/flushed"))
    machine.wait_until(f"test $(cat /run/flushed) -ge {before + 3}", timeout=PATIENCE)
    machine.run("test ! -e /run/load-failed && pid=$(cat /run/old) && test ! -d /proc/$pid && echo 3 >/proc/sys/vm/drop_caches && cat /mnt/log && "
                f"dpkg-query -W -f '${{Version}}' holdfast-server | grep -F '{packaging.LATER}'")
    machine.poweroff(timeout=PATIENCE)
