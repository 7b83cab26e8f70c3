"""Whole boots from holdfast-server, to the login and to the power switch."""

from lab import Lab, test
from lab.network import HOST, USER_IP
from scenes import diskless, serving


@test("a machine boots Debian 12 by PXE from a logical volume, survives a restart of the server, and powers off",
      timeout=600)
def by_pxe_from_a_volume(lab: Lab) -> None:
    diskless.run(lab.logs, 12)


@test("Debian 12 boots from our server, survives its restart, and powers off", long=True)
def debian_12(lab: Lab) -> None:
    _boots(lab, 12)


@test("Debian 13 boots from our server, survives its restart, and powers off")
def debian_13(lab: Lab) -> None:
    _boots(lab, 13)


@test("Debian 13 with sysvinit boots from our server, survives its restart, and powers off", long=True, timeout=900)
def debian_13_sysvinit(lab: Lab) -> None:
    _boots(lab, 13, "sysv")


@test("Debian 12 boots in 200 MB of memory from our server, survives its restart, and powers off", long=True, timeout=900)
def small_memory(lab: Lab) -> None:
    _boots(lab, 12, memory=200)


def _boots(lab: Lab, release: int, kind: str = "client", **options) -> None:
    # Under System V init, a file system is checked twice: in the initramfs, and by a script of the system.
    image = lab.image(kind, release, packages=("e2fsprogs",) if kind == "sysv" else ())
    disk = lab.copy(image)
    network = lab.network()
    server = serving.serve(lab, network, f"root={disk}")
    machine = lab.boot("diskless", image, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},root {USER_IP}", **options).login(timeout=300)
    diskless.look_around(machine, HOST)
    machine.run("grep -qw \"$(cat /sys/block/nbd0/pid)\" /run/sendsigs.omit.d/*")
    diskless.write_and_flush(machine)

    def restart() -> None:
        server.stop()
        serving.serve(lab, network, f"root={disk}", name="holdfast-server-again")

    diskless.restart_underneath(machine, restart)
    machine.poweroff(timeout=120)
    lab.check_file_system(disk)


@test("a machine with our hook and without nbdroot= boots undisturbed from its own disk", long=True)
def own_disk(lab: Lab) -> None:
    machine = lab.boot("own", lab.image("client", 12)).login()
    machine.run("findmnt --noheadings --output SOURCE / | grep -x /dev/vda")
    lab.require(not machine.said("holdfast-client"), "the console speaks of holdfast-client")
    machine.poweroff()
