"""The client's configuration file in the initramfs: its servers and its choices reach the kernel, its mistakes do not stop
the boot."""

from lab import Lab, test
from lab.network import HOST, USER_IP
from scenes import serving

FILE = "/etc/holdfast/client.conf"


@test("root=/dev/nbd0 without nbdroot= boots from the servers of the configuration file, as the file says", timeout=500)
def servers_of_the_file(lab: Lab) -> None:
    image = lab.image("client", 12, files={
        FILE: f"[defaults]\nblock-size = 4096\n[nbd0]\nserver = nbd://{HOST}:1/root\nserver = {HOST},root\n"})
    network = lab.network()
    serving.serve(lab, network, f"root={lab.copy(image)}")
    machine = lab.boot("boot", image, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/nbd0 {USER_IP} break=bottom")
    machine.expect(r"^\(initramfs\)", timeout=180)
    mounts = machine.run("cat /proc/mounts")
    lab.require("/dev/nbd0 /root ext4" in mounts, f"/dev/nbd0 is not on /root:\n{mounts}")
    size = machine.run("cat /sys/block/nbd0/queue/logical_block_size")
    lab.require(size == "4096", f"the logical block size is {size}, and the file says 4096")
    machine.kill()


@test("a mistake in the configuration file is told on the console, and the machine boots all the same", timeout=500, long=True)
def mistakes_of_the_file(lab: Lab) -> None:
    image = lab.image("client", 12, files={FILE: "[nbd0]\nblock-size = 4096\ntimout = 5\n"})
    network = lab.network()
    serving.serve(lab, network, f"root={lab.copy(image)}")
    machine = lab.boot("boot", image, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},root {USER_IP} break=bottom")
    machine.expect(rf"warning: {FILE}:3: timout: unknown key", timeout=180)
    machine.expect(rf"{FILE}: ignored because of", timeout=60)
    machine.expect(r"^\(initramfs\)", timeout=180)
    lab.require("/dev/nbd0 /root ext4" in machine.run("cat /proc/mounts"), "the root file system is not there")
    size = machine.run("cat /sys/block/nbd0/queue/logical_block_size")
    lab.require(size == "512", f"the logical block size is {size}, although a file with mistakes is not used")
    machine.kill()
