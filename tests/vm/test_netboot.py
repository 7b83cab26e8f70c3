"""Boots from a tree of holdfast-netboot."""

from lab import Lab, test
from lab.network import HOST
from scenes import boot_tree, diskless, serving


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
    diskless.look_around(machine, HOST)
    words = machine.run("cat /proc/cmdline")
    lab.require(f"BOOTIF=01-{mac}" in words and "BOOT_IMAGE=/hosts/diskless/1/vmlinuz" in words, f"the command line is {words}")
    state = machine.run("od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
    lab.require(state.strip() == "1", f"Secure Boot is {state}")
    machine.poweroff(timeout=180)
    lab.check_file_system(disk)


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
    diskless.look_around(machine, HOST)
    words = machine.run("cat /proc/cmdline")
    lab.require(f"BOOTIF=01-{card.mac.replace(':', '-')}" in words and "BOOT_IMAGE=hosts/diskless/1/vmlinuz" in words, f"the command line is {words}")
    machine.poweroff(timeout=180)
    lab.check_file_system(disk)
