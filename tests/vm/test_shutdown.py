"""The end of a machine whose server is away: off within the bound (shutdown-timeout), and nothing lost when the server is back
in time."""

import time

from lab import Lab, test
from lab.network import HOST
from scenes import outages, serving
from scenes.shutdown_time import ALLOWANCE, BOUND


GOES_DOWN = r"shutting down while the server is unreachable"
GIVEN_UP = r"given up, so its file system gets errors: shutting down"


def start(lab: Lab, release: int, kind: str = "client") -> outages.Scene:
    scene = outages.start(lab, release, kind=kind, options=f"shutdown-timeout={BOUND}")
    if kind == "client":
        scene.machine.run("cat $(command -v systemctl) >/dev/null; systemctl is-system-running >/dev/null; :")
    return scene


def is_off_in_time(lab: Lab, scene: outages.Scene, began: float) -> None:
    scene.machine.wait_exit(timeout=outages.PATIENCE)
    took = time.monotonic() - began
    print(f"off after {took:.1f} s")
    lab.require(scene.machine.said(GOES_DOWN) and scene.machine.said(GIVEN_UP), "the daemon has not said why it ended")
    lab.require(took <= BOUND + ALLOWANCE, f"off after {took:.1f} s, and the bound is {BOUND} s")


def press_the_button(scene: outages.Scene) -> float:
    """Nothing has to be run for it."""
    scene.machine.qmp("system_powerdown")
    return time.monotonic()


@test("Debian 12 is off within the bound when the server went away before the shutdown")
def away_before_12(lab: Lab) -> None:
    _away_before(lab, 12)


@test("Debian 13 is off within the bound when the server went away before the shutdown", long=True)
def away_before_13(lab: Lab) -> None:
    _away_before(lab, 13)


def _away_before(lab: Lab, release: int) -> None:
    scene = start(lab, release)
    scene.stop_server()
    outages.wait_for_state(scene.machine, "reconnecting")
    is_off_in_time(lab, scene, press_the_button(scene))


@test("Debian 12 with sysvinit is off within the bound when the server went away before the shutdown", long=True)
def away_before_sysvinit(lab: Lab) -> None:
    scene = start(lab, 12, kind="sysv")
    # What this program does while the server is away, it has done before.
    scene.machine.run("telinit q")
    scene.stop_server()
    outages.wait_for_state(scene.machine, "reconnecting")
    scene.machine.run("telinit 0", timeout=outages.PATIENCE)
    is_off_in_time(lab, scene, time.monotonic())


@test("a machine is off within the bound when the server goes away in the middle of the shutdown", long=True)
def away_in_the_middle(lab: Lab) -> None:
    scene = start(lab, 12)
    press_the_button(scene)
    scene.machine.expect("Stopped target")
    scene.kill_server()
    is_off_in_time(lab, scene, time.monotonic())


@test("a server that comes back during the shutdown is used, and nothing is lost")
def back_in_time(lab: Lab) -> None:
    scene = start(lab, 12)
    scene.stop_server()
    outages.wait_for_state(scene.machine, "reconnecting")
    acked = outages.acknowledged(scene.machine)
    press_the_button(scene)
    scene.machine.expect(GOES_DOWN)
    scene.serve()
    scene.machine.wait_exit(timeout=outages.PATIENCE)
    scene.server.stop()
    lab.require(not scene.machine.said(GIVEN_UP), "the device was given up although its server was back")
    lab.check_file_system(scene.disk)
    outages.verify_on_host(lab, scene.disk, acked)


@test("systemctl kexec starts the next kernel from a clean file system, and the machine goes on with its root disk", timeout=900,
      long=True)
def kexec(lab: Lab) -> None:
    scene = outages.start(lab, 12, packages=("kexec-tools",))
    machine = scene.machine
    machine.run("kexec -l /boot/vmlinuz-$(uname -r) --initrd=/boot/initrd.img-$(uname -r) --reuse-cmdline", timeout=outages.PATIENCE)
    acked = outages.acknowledged(machine)
    machine.reboot("systemctl kexec")
    machine.expect("kexec_core: Starting new kernel", timeout=outages.PATIENCE)
    machine.login()
    machine.run("findmnt -n -o SOURCE / | grep -x /dev/nbd0 && ! dmesg | grep -E 'EXT4-fs .*(recover|orphan)'")
    outages.kernel_errors(machine)
    machine.poweroff(timeout=outages.PATIENCE)
    scene.server.stop()
    lab.check_file_system(scene.disk)
    outages.verify_on_host(lab, scene.disk, acked)


@test("reboot -f, poweroff -f, halt and Ctrl-Alt-Del leave a clean file system, with the server there", timeout=1200, long=True)
def every_way(lab: Lab) -> None:
    for way in ("systemctl reboot -f", "systemctl poweroff -f", "systemctl halt", "ctrl-alt-delete"):
        scene = outages.start(lab, 12)
        acked = outages.acknowledged(scene.machine)
        if way == "ctrl-alt-delete":
            scene.machine.qmp("send-key", keys=[{"type": "qcode", "data": key} for key in ("ctrl", "alt", "delete")])
        else:
            scene.machine.start_command(way)
        if way == "systemctl halt":
            scene.machine.expect("reboot: System halted", timeout=outages.PATIENCE)
            scene.machine.kill()
        else:
            scene.machine.wait_exit(timeout=outages.PATIENCE)
        scene.server.stop()
        lab.check_file_system(scene.disk)
        outages.verify_on_host(lab, scene.disk, acked)


# Stops for longer than the bound of its disks, and shows at its end that the console still told everything.
SLOW_STOP = """[Unit]
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/sh -c 'sleep 40; echo "slow-stop: ended" >/dev/kmsg'
TimeoutStopSec=120
[Install]
WantedBy=multi-user.target
"""


@test("a shutdown that takes longer than the bound gives up no disk that works, idle after a reconnect or adopted from a server that "
      "does not fence, and the one whose server is gone", long=True)
def idle_disks(lab: Lab) -> None:
    image = lab.image("client", 12, files={"/etc/systemd/system/slow-stop.service": SLOW_STOP},
                      commands=["systemctl enable slow-stop"])
    network = lab.network()
    idle = lab.blank_disk(16)
    ours = serving.serve(lab, network, f"idle={idle}", f"gone={lab.blank_disk(16)}")
    name = serving.serve_with("nbdkit", lab, network, lab.blank_disk(16), 10810)
    machine = lab.boot("client", image, disks=[lab.copy(image)], cards=[network.user_card()]).login()
    machine.run("modprobe nbd; ip link set eth0 up; ip address add 10.0.2.15/24 dev eth0; dmesg -n 7")
    for device, export in (("nbd0", f"{HOST},idle"), ("nbd1", f"{HOST},10810,{name}"), ("nbd2", f"{HOST},gone")):
        machine.run(f"holdfast-client attach --shutdown-timeout 24 --device {device} {export}")
    # The kernel keeps the connection of the daemon that dies; the one of the daemon that follows is never used.
    machine.run(f"kill -KILL {outages.status(machine, 'nbd1')['daemon_pid']}")
    outages.wait_for_state(machine, "unattended", device="nbd1")
    machine.run(f"holdfast-client attach --device nbd1 {HOST},10810,{name}")
    ours.stop()
    for device in ("nbd0", "nbd2"):
        outages.wait_for_state(machine, "reconnecting", device=device)
    serving.serve(lab, network, f"idle={idle}", name="holdfast-server-again")
    outages.wait_for_state(machine, "attached", device="nbd0")
    for device in ("nbd0", "nbd1"):
        status = outages.status(machine, device)
        lab.require(status["adopted"] == 0 and status["state"] == "attached", f"nothing uses it, and it was proved before: {status}")
    machine.start_command("systemctl poweroff")
    machine.expect("nbd2: " + GOES_DOWN, timeout=outages.PATIENCE)
    machine.expect("nbd2: " + GIVEN_UP, timeout=outages.PATIENCE)
    machine.expect("slow-stop: ended", timeout=outages.PATIENCE)
    machine.wait_exit(timeout=outages.PATIENCE)
    for device in ("nbd0", "nbd1"):
        lab.require(not machine.said(f"{device}: (given up|shutting down)"), f"{device} works, and was given up or waited for")
