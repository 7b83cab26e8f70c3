"""The DHCP lease of the address that the root disk is reached by: the daemon renews it, and never gives the address up."""

import re
import time

from lab import Lab, test
from lab.network import BRIDGE_HOST
from scenes import outages, site
from scenes.outages import PATIENCE, Scene
from scenes.short_leases import ADDRESS, DhcpServer

SECONDS = 60


def _boot(lab: Lab, release: int, options: str = "", seconds: int = SECONDS) -> tuple[Scene, DhcpServer]:
    network = lab.network()
    network.bridge_card()  # makes the bridge, so that the server can listen on it
    server = DhcpServer(lab, network, seconds)
    scene = outages.start(lab, release, network=network, bridge=True, load=False, ip="ip=dhcp", options=options)
    return scene, server


def _wait_for_renewals(scene: Scene, count: int) -> dict:
    """Until the daemon has renewed the lease so many times since the boot."""
    deadline = time.monotonic() + PATIENCE
    while (status := scene.status())["lease_renewals"] < count:
        if time.monotonic() > deadline:
            raise outages.process.Failure(f"the lease was not renewed {count} times: {status}")
        time.sleep(1)
    return status


def _address_is_there(scene: Scene) -> None:
    # By the shell alone: it must work while the disk is away, too.
    scene.machine.run(f"while read -r line; do case $line in *'|-- {ADDRESS}') exit 0 ;; esac; done </proc/net/fib_trie; exit 1")


def _disk_works(scene: Scene) -> None:
    scene.machine.run("dd if=/dev/urandom of=/root/proof bs=64k count=4 conv=fsync status=none && "
                      "echo 3 >/proc/sys/vm/drop_caches && cat /root/proof >/dev/null", timeout=PATIENCE)


@test("a lease of a minute is renewed again and again, by one daemon, by the one that takes over from it, and by one of two devices' "
      "daemons", timeout=900)
def renewed(lab: Lab) -> None:
    scene, server = _boot(lab, 12)
    status = scene.status()
    lab.require((status["interface"], status["address"], status["lease_seconds"]) == ("eth0", ADDRESS, SECONDS),
                f"after the boot: {status}")
    status = _wait_for_renewals(scene, 2)
    lab.require(status["lease_problem"] == "" and 0 < status["lease_left_seconds"] <= SECONDS, f"renewed: {status}")
    scene.log_says(f"the DHCP lease of eth0 ({ADDRESS}) was renewed for {SECONDS} s by the DHCP server {BRIDGE_HOST}")
    asked = server.lines("rebinding", "renewing")
    lab.require("rebinding" in asked[0] and "renewing" in asked[-1], f"first all servers and then the one that answered: {asked}")
    lab.require(all(f" from {ADDRESS} " in line for line in asked), f"the source of the requests: {asked}")
    marks = {re.sub(r".*hardware (.*): \w+", r"\1", line) for line in server.lines("selecting", "rebinding", "renewing")}
    lab.require(len(marks) == 1, f"the server knows the client by different marks: {marks}")

    scene.machine.run("holdfast-client takeover", timeout=PATIENCE)
    before = scene.status()["lease_renewals"]
    lab.require(before >= 2, f"after the takeover: {before} renewals")
    count = len(server.lines("renewing"))
    _wait_for_renewals(scene, before + 1)
    lab.require(len(server.lines("renewing")) > count, "the new daemon did not ask the server that it was told of")
    _shared(scene, server)
    _address_is_there(scene)
    _disk_works(scene)
    scene.finish()


def _shared(scene: Scene, server: DhcpServer) -> None:
    """A second device by the same address: one daemon renews the lease, and gets the answers; when it dies, the other does."""
    lab, machine = scene.lab, scene.machine
    scene.stop_server()
    scene.serve(f"root={scene.disk}", f"data={lab.blank_disk(4)}")
    outages.wait_for_state(machine, "attached")
    # It ends with an error, since there is no initramfs to hand back to.
    machine.run_status(f"echo root=/dev/nbd1 nbdroot={BRIDGE_HOST},data,nbd1 ip=dhcp >/run/words; holdfast-client boot --cmdline /run/words",
                       timeout=PATIENCE)
    second = outages.wait_for_state(machine, "attached", device="nbd1")
    lab.require("the daemon of another device" in second["lease_problem"] and second["interface"] == "", f"the second device: {second}")
    asked_all = len(server.lines("rebinding"))
    status = _wait_for_renewals(scene, scene.status()["lease_renewals"] + 1)
    lab.require(status["lease_problem"] == "" and len(server.lines("rebinding")) == asked_all,
                f"the answers go to the other daemon: {status}, {server.lines('rebinding', 'renewing')}")
    machine.run(f"kill -KILL {status['daemon_pid']}")
    machine.wait_until("holdfast-client status nbd1 --json | grep -F '\"interface\":\"eth0\"'", timeout=PATIENCE)
    machine.run("holdfast-client takeover nbd0", timeout=PATIENCE)
    lab.require("the daemon of another device" in scene.status()["lease_problem"], f"the first device afterwards: {scene.status()}")
    machine.run("holdfast-client detach nbd1", timeout=PATIENCE)
    machine.wait_until("holdfast-client status nbd0 --json | grep -F '\"lease_problem\":\"\"'", timeout=PATIENCE)


@test("neither a refusal nor another address nor silence takes the address away; each is told once, and the lease is renewed in the "
      "end, also while the disk is away", timeout=900, long=True)
def kept(lab: Lab) -> None:
    scene, server = _boot(lab, 13, seconds=20)
    _wait_for_renewals(scene, 1)
    for what, said in (("refuse", "was refused by the DHCP server"), ("other", f"offers {ADDRESS[:-1]}1 instead")):
        server.does(what)
        server.wait_for(3, "renewing", "rebinding", what=what)
        scene.log_says(said)
        lab.require(scene.machine.run(f"dmesg | grep -cF '{said}'") == "1", f"{said!r} is not told once")
        status = scene.status()
        lab.require("keeping the address" in status["lease_problem"], f"{what}: {status}")
        _address_is_there(scene)
        _disk_works(scene)
        server.does("grant")
        lab.require(_wait_for_renewals(scene, status["lease_renewals"] + 1)["lease_problem"] == "", f"{what}: the problem stays")

    server.does("silent")
    scene.machine.wait_until("holdfast-client status nbd0 --json | grep -F 'has expired; keeping the address'", timeout=PATIENCE)
    lab.require(scene.status()["lease_left_seconds"] == 0, f"run out: {scene.status()}")
    _address_is_there(scene)
    _disk_works(scene)
    outages.keep_in_memory(scene.machine)
    scene.stop_server()
    outages.wait_for_state(scene.machine, "reconnecting")
    before = scene.status()["lease_renewals"]
    server.does("grant")
    status = _wait_for_renewals(scene, before + 2)
    lab.require(status["state"] == "reconnecting" and status["lease_problem"] == "", f"renewed while the disk is away: {status}")
    _address_is_there(scene)
    scene.serve()
    outages.wait_for_state(scene.machine, "attached")
    _disk_works(scene)
    scene.finish()


@test("a lease from dnsmasq is renewed: all servers are asked first, and then the one that answered; and a domain to search that is new "
      "with a renewal reaches the resolver", timeout=900, long=True)
def from_dnsmasq(lab: Lab) -> None:
    network = lab.network()
    named = site.Site(lab, network)
    scene = outages.start(lab, 13, network=network, bridge=True, load=False, ip="ip=dhcp")
    site.names_work(scene.machine)
    _wait_for_renewals(scene, 1)
    named.says(site.OPTIONS.replace("lab.test", "eng.lab.test"))
    status = _wait_for_renewals(scene, 3)
    site.names_work(scene.machine, address="10.77.0.7")
    scene.machine.run("grep -x 'search eng.lab.test' /etc/resolv.conf")
    lab.require(status["lease_seconds"] == 120 and status["lease_problem"] == "", f"renewed: {status}")
    granted = named.granted()
    lab.require(granted >= 4, f"dnsmasq has granted the address {granted} times")
    _disk_works(scene)
    scene.finish()


@test("with lease=leave nothing is renewed, and nothing is said of a lease", timeout=900, long=True)
def left_alone(lab: Lab) -> None:
    scene, server = _boot(lab, 12, options="lease=leave")
    # Past the end of the lease, and some.
    time.sleep(SECONDS + 15)
    asked = server.lines("rebinding", "renewing")
    lab.require(asked == [], f"the lease was to be left alone: {asked}")
    status = scene.status()
    lab.require((status["interface"], status["lease_seconds"], status["lease_renewals"]) == ("", 0, 0), f"status: {status}")
    scene.finish()
