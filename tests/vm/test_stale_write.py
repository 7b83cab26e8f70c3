"""A write that was sent again on a new link, and whose first copy reaches the server when newer data is there."""

import pathlib
import signal
import sys

import outages
import serving
from lab import Lab, test
from lab.machine import Machine
from lab.network import HOST, Network

OFFSET, LENGTH = 1 << 20, 65536
PROXY = pathlib.Path(__file__).with_name("stale_proxy.py")


@test("a write that arrives late does not overwrite newer data with holdfast-server, and does with a server that does not fence")
def late_write(lab: Lab) -> None:
    network = lab.network()
    machine = lab.boot("client", lab.image("server", 12), cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    for letter in "ON":  # old and new
        machine.run(f"head -c {LENGTH} /dev/zero | tr '\\0' {letter} >/run/{letter}")
    # First the one that must show the damage: without it, a whole block would prove nothing.
    found = _after_a_late_write(lab, machine, network, "nbdkit", 10811)
    lab.require(found == b"O", f"nbdkit, which fences nothing, kept the newer data (there is {found!r}): this test sees nothing")
    found = _after_a_late_write(lab, machine, network, "holdfast-server", 10813)
    said = (lab.logs / "holdfast-server-10813.log").read_text(errors="replace")
    lab.require(found == b"N", f"holdfast-server let a late write overwrite newer data: there is {found!r}")
    lab.require("fenced" in said, f"the server's log does not speak of the fence:\n{said}")
    outages.kernel_errors(machine)
    machine.poweroff()


def _after_a_late_write(lab: Lab, machine: Machine, network: Network, program: str, port: int) -> bytes:
    """Which letters the block has at the end, as the disk on the host says."""
    disk = lab.blank_disk(16, program)
    export = serving.serve_with(program, lab, network, disk, port)
    proxy = network.spawn([sys.executable, PROXY, f"127.0.0.1:{port + 1}", f"127.0.0.1:{port}", OFFSET, LENGTH],
                          name=f"proxy-{program}", ready="listening")
    machine.run(f"holdfast-client attach {HOST},{port + 1},{export} --device nbd0")
    write = f"dd if=/run/%s of=/dev/nbd0 bs={LENGTH} seek={OFFSET // LENGTH} oflag=direct conv=notrunc status=none"
    machine.start_command(f"{write % 'O'}; echo $? >/run/old")
    proxy.expect("^held", timeout=120)
    # The kernel sends it again on the new link; that copy is acknowledged, and the block is free for newer data.
    machine.wait_until("test -s /run/old", timeout=180)
    lab.require(machine.run("cat /run/old; rm /run/old") == "0", f"{program}: the write that was sent again got an error")
    machine.run(write % "N", timeout=180)
    status = outages.status(machine)
    proxy.signal(signal.SIGUSR1)
    print(program, proxy.expect("^delivered: .*", timeout=60)[0])
    seen = machine.run(f"dd if=/dev/nbd0 bs={LENGTH} skip={OFFSET // LENGTH} count=1 iflag=direct status=none | tr -s ON")
    machine.run("holdfast-client detach nbd0")
    with disk.open("rb") as file:
        file.seek(OFFSET)
        letters = bytes(sorted(set(file.read(LENGTH))))
    lab.require(seen.encode() == letters, f"{program}: the client reads {seen!r}, and the disk has {letters!r}")
    lab.require(letters == b"O" or status["session"] == "fenced", f"{program}: {status}")
    return letters
