"""Boots from a tree of holdfast-netboot."""

import pathlib

from lab import Lab, images, packaging, process, progress, test
from lab.machine import Machine
from lab.network import BRIDGE_HOST, HOST
from scenes import boot_server, boot_tree, diskless, serving
from scenes.boot_server import PATIENCE


@test("a machine with UEFI and Secure Boot boots by shim and GRUB, found by its MAC address, and powers off", timeout=900, long=True)
def secure_boot(lab: Lab) -> None:
    image = lab.image("client", 12)
    disk = lab.copy(image)
    network = lab.network()
    serving.serve(lab, network, f"root={disk}")
    mac = "52:54:00:77:00:01"
    tree = boot_tree.make(lab, image, HOST, "--mac", mac)
    card = network.user_card(tftp=tree, bootfile="shimx64.efi", mac=mac)
    # Without QEMU's option ROM, an iPXE that tells shim a wrong size of GRUB: the firmware's own drivers boot from the network.
    machine = lab.machine("uefi", cards=[card], memory=1024, extra=boot_tree.secure_firmware(lab))
    machine.login(timeout=600)
    _has_booted(lab, machine, HOST, f"BOOTIF=01-{mac}", "BOOT_IMAGE=/hosts/diskless/1/vmlinuz")
    state = machine.run("od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
    lab.require(state.strip() == "1", f"Secure Boot is {state}")
    _ends(lab, machine, disk)


@test("a machine with BIOS boots by pxelinux, found by its UUID, and powers off", timeout=600, long=True)
def bios_by_uuid(lab: Lab) -> None:
    image = lab.image("client", 12)
    disk = lab.copy(image)
    network = lab.network()
    serving.serve(lab, network, f"root={disk}")
    uuid = "b8945908-d6a6-41a9-611d-74a6ab80b83d"
    card = network.user_card(tftp=boot_tree.make(lab, image, HOST, "--uuid", uuid), bootfile="pxelinux.0")
    machine = lab.machine("bios", cards=[card], boot_from_network=True, extra=["-uuid", uuid])
    machine.login(timeout=400)
    _has_booted(lab, machine, HOST, f"BOOTIF=01-{card.mac.replace(':', '-')}", "BOOT_IMAGE=hosts/diskless/1/vmlinuz")
    _ends(lab, machine, disk)


@test("a machine with BIOS boots by a GRUB of grub-mknetdir, which reads the files of the tree, and powers off", timeout=600, long=True)
def bios_grub(lab: Lab) -> None:
    image = lab.image("client", 12)
    disk = lab.copy(image)
    network = lab.network()
    serving.serve(lab, network, f"root={disk}")
    mac = "52:54:00:77:00:01"
    tree = boot_tree.make(lab, image, HOST, "--mac", mac)
    card = network.user_card(tftp=tree, bootfile=boot_tree.add_grub_for_bios(lab, tree), mac=mac)
    machine = lab.machine("grub", cards=[card], boot_from_network=True)
    machine.login(timeout=400)
    _has_booted(lab, machine, HOST, f"BOOTIF=01-{mac}", "BOOT_IMAGE=/hosts/diskless/1/vmlinuz")
    _ends(lab, machine, disk)


@test("a machine with UEFI boots over HTTP by the lines for dnsmasq and iPXE, found by its address, and powers off", timeout=900, long=True)
def uefi_http(lab: Lab) -> None:
    image = lab.image("client", 12)
    disk = lab.copy(image)
    network = lab.network()
    card = network.bridge_card()
    serving.serve(lab, network, f"root={disk}", address=BRIDGE_HOST)
    lines = lab.scratch / "netboot.conf"
    tree = boot_tree.make(lab, image, BRIDGE_HOST, "--ip", "10.77.0.50", loaders=(*boot_tree.LOADERS, "ipxe"),
                          init=("--loaders", "bios,uefi,ipxe", "--dhcp", "dnsmasq", "--dhcp-file", lines))
    boot_tree.serve(network, lines, f"--dhcp-host={card.mac},10.77.0.50")
    web = network.spawn(["python3", "-m", "http.server", "80", "--bind", BRIDGE_HOST, "--directory", tree], name="web")
    network.wait_for_port(80)
    machine = lab.machine("uefi", cards=[card], memory=1024, extra=boot_tree.http_firmware(lab))
    machine.login(timeout=600)
    _has_booted(lab, machine, BRIDGE_HOST, f"BOOTIF=01-{card.mac.replace(':', '-')}")
    lab.require("GET /snponly.efi" in web.text(), f"the loader came otherwise:\n{web.text()}")
    _ends(lab, machine, disk)


@test("three machines get their own disks from one tree: found by the MAC address, by the UUID, and by the address", timeout=900, long=True)
def three_hosts(lab: Lab) -> None:
    image = lab.image("client", 12)
    network = lab.network()
    cards = [network.bridge_card() for _ in range(3)]
    uuid = "b8945908-d6a6-41a9-611d-74a6ab80b83d"
    keys = {"by-mac": ("--mac", cards[0].mac), "by-uuid": ("--uuid", uuid), "by-ip": ("--ip", "10.77.0.50")}
    disks = {host: lab.copy(image, host) for host in keys}
    serving.serve(lab, network, *(f"{host}={disk}" for host, disk in disks.items()), address=BRIDGE_HOST)
    lines = lab.scratch / "netboot.conf"
    tree = lab.scratch / "tftp"
    process.output_of([lab.build / "holdfast-netboot", "init", tree, "--from", boot_tree.unpacked(lab, "pxelinux", "syslinux-common"), "--loaders", "bios",
                       "--server", BRIDGE_HOST, "--dhcp", "dnsmasq", "--dhcp-file", lines])
    for host, words in keys.items():
        boot_tree.add(lab, tree, image, host, host, *words)
    boot_tree.serve(network, lines, f"--dhcp-host={cards[2].mac},10.77.0.50")
    for host, card in zip(keys, cards):
        machine = lab.machine(host, cards=[card], boot_from_network=True, extra=["-uuid", uuid] if host == "by-uuid" else [])
        machine.login(timeout=400)
        _has_booted(lab, machine, f"{BRIDGE_HOST}/{host}")
        _ends(lab, machine, disks[host])


def _has_booted(lab: Lab, machine: Machine, server: str, *words: str) -> None:
    """The machine runs from its disk on the server, and the kernel command line has the words."""
    diskless.look_around(machine, server)
    line = machine.run("cat /proc/cmdline")
    lab.require(all(word in line for word in words), f"the command line is {line}")


def _ends(lab: Lab, machine: Machine, disk: pathlib.Path) -> None:
    machine.poweroff(timeout=180)
    lab.check_file_system(disk)


@test("a diskless host upgrades its kernel with apt, the boot server publishes it by itself, and the host reboots into it; "
      "the kernel before stays in the menu", timeout=1200, long=True)
def own_kernel(lab: Lab) -> None:
    newer = images.base("client", 12, ("linux-image-6.12-cloud-amd64",))
    with progress.off_the_clock():
        kernels = lab.scratch / "kernels.raw"
        process.output_of(["mke2fs", "-q", "-t", "ext4", "-d", packaging.kernel_repository(newer), kernels, "200M"])
    server, machine = _booted(lab, disks=[kernels])
    old = machine.run("uname -r")
    # The kernel that was given by hand is the one that the host has: nothing is new.
    server.wait_for_answer(machine, f"next boot: kernel {old}")
    lab.require(not server.entry()["previous"], f"a copy of the same kernel was published: {server.entry()}")

    machine.run("mkdir /srv/kernels && mount -r /dev/vda /srv/kernels && "
                "echo \"deb [trusted=yes] file:/srv/kernels $(ls /srv/kernels/dists) main\" >/etc/apt/sources.list && apt-get -q update")
    said = machine.run("DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install linux-image-6.12-cloud-amd64", timeout=900)
    (lab.logs / "apt.log").write_text(said)
    lab.require("holdfast:" not in said, f"the hooks complained:\n{said}")
    entry = server.wait_for_next("Linux 6\\.12")
    lab.require(entry["previous"]["release"] == old, f"the fallback: {entry}")
    server.wait_for_answer(machine, f"next boot: kernel 6[.]12.*, fallback {old}")
    machine.run(f"holdfast-client status | grep -E 'next boot +kernel 6[.]12.*, fallback {old}$' && umount /srv/kernels")
    machine.reboot().login(timeout=2 * PATIENCE)
    new = machine.run("uname -r")
    lab.require(new.startswith("6.12") and entry["kernel"]["release"] == new, f"it runs {new}, and {entry['kernel']} was published")
    _is_quiet(lab, server, machine)

    # The entry of the kernel before, chosen by a person at the console. It changes nothing for the next boot.
    machine.reboot()
    machine.expect("Press p for the previous kernel", timeout=PATIENCE)
    machine.console.send("p")
    machine.login(timeout=2 * PATIENCE)
    lab.require(machine.run("uname -r") == old, "the fallback is another kernel")
    _is_quiet(lab, server, machine)
    lab.require(server.entry() == entry, f"the entry has changed: {server.entry()}")
    machine.poweroff(timeout=PATIENCE)
    server.machine.run(f"systemctl stop holdfast-server && e2fsck -f -n {boot_server.DISK}", timeout=PATIENCE)


def _booted(lab: Lab, loader: str = "ipxe", **options) -> tuple[boot_server.BootServer, Machine]:
    """The boot server, and the diskless host, which has booted from its tree and said what it has."""
    images_of = lab.image("server", 12, files=boot_server.FILES, commands=boot_server.COMMANDS), lab.image("client", 12, files=boot_server.HOST_FILES)
    server = boot_server.start(lab, lab.network(), *images_of, loader=loader)
    machine = server.host(**options).login(timeout=2 * PATIENCE)
    diskless.look_around(machine, boot_server.ADDRESS)
    _is_quiet(lab, server, machine)
    return server, machine


def _is_quiet(lab: Lab, server: boot_server.BootServer, machine: Machine) -> None:
    """The host has told what it has, and no unit has failed."""
    machine.wait_until("test -n \"$(systemctl show -p ExecMainExitTimestamp --value holdfast-boot-files)\"", timeout=PATIENCE)
    for one, unit in ((machine, "holdfast-boot-files"), (server.machine, "holdfast-netboot-take")):
        failed = one.run("systemctl --failed --plain --no-legend")
        lab.require(not failed, f"{one.name}: {failed}\n{one.run(f'journalctl -u {unit} | tail -n 20')}")
    lab.require("not handed" not in machine.run("journalctl -b -u holdfast-boot-files"), machine.run("journalctl -b -u holdfast-boot-files"))


@test("the power fails while a host hands in its new initramfs, and while the boot server takes it: the old one boots each time, and the host hands in the "
      "rest by itself", timeout=2400, long=True)
def power_fails(lab: Lab) -> None:
    server, machine = _booted(lab, loader="pxelinux")
    lab.require(machine.run("cat /run/lab-marker") == "first", "the initramfs is not that of the tree")
    before = server.entry()

    # Half of the initramfs has come: the server stands still, and the host loses its power.
    _new_initramfs(machine, "second")
    server.freeze("set -- $(find $SPOOL -name '*.part' -size +1M); test $# = 1", "$(systemctl show -p MainPID --value holdfast-server)")
    machine.start_command("holdfast-client bootfiles --push")
    server.machine.wait_until("test -e /run/frozen", timeout=PATIENCE)
    lab.require("kernel" in server.spool("cat manifest") and ".part" in server.spool("ls"), f"the spool: {server.spool('ls -l')}")
    machine.reset()
    server.thaw()
    machine.login(timeout=2 * PATIENCE)
    lab.require(machine.run("cat /run/lab-marker") == "first", "half an initramfs has booted")
    # The boot of the host hands in the rest; the set before is the fallback, a kernel of the same version.
    server.wait_for_next("fallback")
    lab.require(server.entry()["kernel"]["release"] == before["kernel"]["release"], f"another kernel: {server.entry()}")

    # The whole set has come, and half of it is in the tree: both lose their power.
    taken = server.entry()["kernel"]["folder"]
    _new_initramfs(machine, "third")
    server.freeze(f"set -- {boot_server.TREE}/hosts/{boot_server.NAME}/draft-*/vmlinuz; test -e $1", "$(pgrep -f 'holdfast-netboot tak[e]')")
    machine.run("holdfast-client bootfiles --push", timeout=PATIENCE)
    server.machine.wait_until("test -e /run/frozen", timeout=PATIENCE)
    machine.reset()
    server.machine.reset()
    server.machine.login(timeout=PATIENCE)
    server.serve()
    machine.reset()  # its power has come back, too
    machine.login(timeout=2 * PATIENCE)
    lab.require(machine.run("cat /run/lab-marker") == "second", "the initramfs of before has not booted")
    server.machine.wait_until(f"holdfast-netboot list --json | grep -vF '\"kernel\":{{\"folder\":\"{taken}\"'", timeout=PATIENCE)
    _is_quiet(lab, server, machine)
    server.machine.wait_until(f"holdfast-netboot check {boot_server.NAME}", timeout=PATIENCE)

    machine.reboot().login(timeout=2 * PATIENCE)
    lab.require(machine.run("cat /run/lab-marker") == "third", "the new initramfs has not booted")
    machine.poweroff(timeout=PATIENCE)
    server.machine.run(f"systemctl stop holdfast-server && e2fsck -f -n {boot_server.DISK}", timeout=PATIENCE)


def _new_initramfs(machine: Machine, marker: str) -> None:
    """Make an initramfs that is another one, by an archive in front as for microcode, on stable storage, and do not hand it in yet."""
    machine.run("i=$(readlink -f /initrd.img); [ -e /root/plain ] || cp $i /root/plain; mkdir -p /root/early/etc && cd /root/early && "
                f"echo {marker} >etc/lab-marker && (find etc | cpio -o -H newc --quiet; cat /root/plain) >$i.new && mv $i.new $i && sync", timeout=PATIENCE)
