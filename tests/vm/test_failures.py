"""What the console says when a machine cannot boot, each followed by the initramfs's own rescue shell."""

from lab import Lab, test
from lab.network import HOST, USER_IP, Card
from scenes import outages, serving

SHELL = r"^\(initramfs\)"


def fails(lab: Lab, words: str, *messages: str, cards: list[Card], release: int = 12) -> None:
    """Boots, and expects the messages in their order and then the shell."""
    image = lab.image("client", release)
    machine = lab.boot(f"boot-{len(lab.machines)}", image, disks=[], cards=cards, append=words)
    for message in messages:
        machine.expect(message, timeout=240)
    machine.expect(SHELL, timeout=240)
    machine.kill()


@test("a wrong word on the kernel command line is named with its mend, and the rescue shell follows")
def wrong_word(lab: Lab) -> None:
    card = lab.network().user_card()
    fails(lab, f"root=/dev/nbd0 nbdroot={HOST},99999 {USER_IP}", r"nbdroot=10\.0\.2\.2,99999.*port", cards=[card])
    fails(lab, f"root=/dev/nbd0 nbdroot=nbds://{HOST}/root {USER_IP}", r"nbdroot=nbds://.*TLS", cards=[card])


@test("a server that is not there is named, tried until rootdelay is over, and what is attached by hand in the shell is a root disk",
      timeout=600)
def no_server(lab: Lab) -> None:
    image = lab.image("client", 12)
    network = lab.network()
    disk = lab.copy(image)
    words = f"root=/dev/nbd0 nbdroot={HOST},root {USER_IP}"
    machine = lab.boot("boot", image, disks=[], cards=[network.user_card()], append=words)
    machine.expect(r"10\.0\.2\.2.*refused", timeout=240)
    machine.expect(SHELL, timeout=240)
    server = serving.serve(lab, network, f"root={disk}")
    machine.run(f"holdfast-client attach --quiet --device nbd0 nbd://{HOST}/root")
    machine.type("exit")
    machine.login()
    status = outages.status(machine)
    lab.require(status["network"].startswith("eth0 (10.0.2.15), kept from"), f"status: {status}")
    lab.require(machine.run_status("holdfast-client attach --service --device nbd0")[0], "a service has taken it")
    machine.poweroff()
    lab.check_file_system(disk)
    server.stop()


@test("a server that is not there is named by Debian 13's initramfs, too", long=True)
def no_server_13(lab: Lab) -> None:
    fails(lab, f"root=/dev/nbd0 nbdroot={HOST},root {USER_IP}", r"10\.0\.2\.2.*refused", cards=[lab.network().user_card()],
          release=13)


@test("a server that comes up late is waited for", long=True)
def late_server(lab: Lab) -> None:
    image = lab.image("client", 12)
    network = lab.network()
    disk = lab.copy(image)
    machine = lab.boot("boot", image, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},root rootdelay=60 {USER_IP} break=bottom")
    machine.expect(r"10\.0\.2\.2.*refused", timeout=180)
    serving.serve(lab, network, f"root={disk}")
    machine.expect(SHELL, timeout=180)
    lab.require("/dev/nbd0 /root" in machine.run("cat /proc/mounts"), "the root file system is not there")
    machine.kill()


@test("an export that the server does not have, or refuses to this machine, is named with the server's words", long=True)
def refused_export(lab: Lab) -> None:
    network = lab.network()
    allow = lab.scratch / "allow"
    allow.write_text("192.0.2.1\n")
    serving.serve_configured(lab, network, f"[closed]\nexportname = {lab.blank_disk(16)}\nauthfile = {allow}\n")
    card = network.user_card()
    fails(lab, f"root=/dev/nbd0 nbdroot={HOST},nothere {USER_IP}", r"nothere", cards=[card])
    fails(lab, f"root=/dev/nbd0 nbdroot={HOST},closed {USER_IP}", r"closed", cards=[card])


@test("without a network card the console says that there is no network, and the rescue shell follows", timeout=500, long=True)
def no_network(lab: Lab) -> None:
    fails(lab, f"root=/dev/nbd0 nbdroot={HOST},root ip=dhcp", r"no network", cards=[])


@test("panic=5 reboots the machine instead of the rescue shell", long=True)
def panic_reboots(lab: Lab) -> None:
    image = lab.image("client", 12)
    machine = lab.boot("boot", image, disks=[], cards=[lab.network().user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},99999 panic=5 {USER_IP}")
    machine.expect(r"nbdroot=10\.0\.2\.2,99999", timeout=180)
    machine.wait_exit(timeout=120)
