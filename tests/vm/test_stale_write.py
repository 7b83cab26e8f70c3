"""A write that was sent again on a new link, or given up with its device, and whose first copy reaches the server when newer
data is there. And a device that is given up while its sender is stuck."""

import json
import pathlib
import signal
import sys

from lab import Lab, test
from lab.machine import Machine
from lab.network import HOST, Network
from scenes import outages, serving

OFFSET, LENGTH = 1 << 20, 65536
PROXY = pathlib.Path(__file__).parent / "scenes" / "stale_proxy.py"


@test("a write that arrives late does not overwrite newer data with holdfast-server, and does with a server that does not fence")
def late_write(lab: Lab) -> None:
    network = lab.network()
    machine = lab.boot("client", lab.image("server", 12), cards=[network.user_card()], exit_on_reboot=False)
    _prepare(machine)
    # First the one that must show the damage: without it, a whole block would prove nothing.
    found = _after_a_late_write(lab, machine, network, "nbdkit", 10811)
    lab.require(found == b"O", f"nbdkit, which fences nothing, kept the newer data (there is {found!r}): this test sees nothing")
    found = _after_a_late_write(lab, machine, network, "holdfast-server", 10813)
    said = (lab.logs / "holdfast-server-10813.log").read_text(errors="replace")
    lab.require(found == b"N", f"holdfast-server let a late write overwrite newer data: there is {found!r}")
    lab.require("fenced" in said, f"the server's log does not speak of the fence:\n{said}")
    outages.kernel_errors(machine)
    # The same for a device that is given up while its server hangs, and attached again: another session.
    found = _after_a_late_write(lab, machine, network, "nbdkit", 10821, given_up=True)
    lab.require(found == b"O", f"nbdkit, which fences nothing, kept the newer data (there is {found!r}): this test sees nothing")
    found = _after_a_late_write(lab, machine, network, "holdfast-server", 10823, given_up=True)
    said = (lab.logs / "holdfast-server-10823.log").read_text(errors="replace")
    lab.require(found == b"N", f"holdfast-server let a write of a device that was given up overwrite newer data: there is {found!r}")
    # By detach --force, or, where the server did not answer it, by the next attachment.
    lab.require(" fenced: " in said, f"the server's log does not speak of the fence:\n{said}")
    # And under another device number, which is another host identity to the server.
    found = _after_a_late_write(lab, machine, network, "holdfast-server", 10827, given_up=True, again="nbd3")
    lab.require(found == b"N", f"holdfast-server let a write of nbd0, which was given up, overwrite newer data of nbd3: {found!r}")
    # And for a machine that is reset meanwhile. To the server, the proxy keeps the old connection up.
    found = _after_a_late_write(lab, machine, network, "holdfast-server", 10825, reset=True)
    lab.require(found == b"N", f"holdfast-server let a write of before a reset overwrite newer data: there is {found!r}")
    machine.poweroff()


def _prepare(machine: Machine) -> None:
    machine.login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    for letter in "ON":  # old and new
        machine.run(f"head -c {LENGTH} /dev/zero | tr '\\0' {letter} >/run/{letter}")


@test("a device whose server takes nothing more is given up after its daemon has died, also by a daemon that has adopted it")
def stuck_sender(lab: Lab) -> None:
    network = lab.network()
    machine = lab.boot("client", lab.image("server", 12), cards=[network.user_card()])
    _prepare(machine)
    serving.serve(lab, network, f"disk={lab.blank_disk(16, 'beside')}", port=10832)
    machine.run(f"holdfast-client attach {HOST},10832,disk --device nbd2")  # its commands are in the page cache
    for port, adopted in ((10831, False), (10833, True)):
        _stuck_orphan(lab, machine, network, port, adopted)
    machine.poweroff()


def _stuck_orphan(lab: Lab, machine: Machine, network: Network, port: int, adopted: bool) -> None:
    """A daemon that has died, a server that takes nothing more, and the kernel's sender stuck in the socket: to disconnect that
    device would wait for the sender with the lock that every nbd device needs."""
    stuck = serving.serve(lab, network, f"disk={lab.blank_disk(128, f'stuck-{port}')}", port=port)
    machine.run(f"holdfast-client attach {HOST},{port},disk --device nbd1")
    pid = json.loads(machine.run("holdfast-client status --json nbd1"))["daemon_pid"]
    stuck.signal(signal.SIGSTOP)
    machine.start_command("rm -f /run/dd /run/detach; dd if=/dev/zero of=/dev/nbd1 bs=64M count=1 oflag=direct 2>/run/dd.error; echo $? >/run/dd")
    # The window is closed: nothing goes out any more, and something waits to.
    # The fullest of the connections: the daemon's probe has one, too.
    queued = (f"ss -Htn dport = {port} | {{ most=0; while read -r state received queued rest; do "
              f"test $queued -le $most || most=$queued; done; echo $most; }}")
    machine.wait_until(f"a=$({queued}); sleep 2; b=$({queued}); test $a -gt 100000 && test $a = $b", timeout=300)
    machine.run(f"kill -KILL {pid}")
    machine.wait_until("holdfast-client status nbd1 | grep -q unattended", timeout=60)
    if adopted:  # its new daemon has no descriptor of that socket
        machine.run("holdfast-client takeover nbd1")
        pid = json.loads(machine.run("holdfast-client status --json nbd1 || :"))["daemon_pid"]
        rights = machine.run(f"grep CapEff /proc/{pid}/status").split()[1]
        lab.require(int(rights, 16) & 1 << 12, f"the daemon has no CAP_NET_ADMIN to end the old connection with: {rights}")
    machine.start_command("holdfast-client detach --force nbd1 >/run/detach.said 2>&1; echo $? >/run/detach")
    machine.wait_until("test -s /run/detach", timeout=120)
    said = machine.run("cat /run/detach /run/detach.said")
    # The server is stopped: it cannot confirm that it discards the writes.
    lab.require(said.startswith("9\n") and "did not confirm that they are discarded" in said, f"detach --force of an orphan with a stuck sender: {said}")
    machine.wait_until("test -s /run/dd && ! grep -qx 0 /run/dd", timeout=60)
    # Another device's business goes through; the next round has the device, too.
    machine.run(f"holdfast-client detach nbd2 && holdfast-client attach {HOST},10832,disk --device nbd2", timeout=120)
    stuck.signal(signal.SIGCONT)


def _after_a_late_write(lab: Lab, machine: Machine, network: Network, program: str, port: int, given_up: bool = False,
                        reset: bool = False, again: str = "nbd0") -> bytes:
    """Which letters the block has at the end, as the disk on the host says."""
    disk = lab.blank_disk(16, f"{program}-{port}")
    export = serving.serve_with(program, lab, network, disk, port)
    proxy = network.spawn([sys.executable, PROXY, f"127.0.0.1:{port + 1}", f"127.0.0.1:{port}", OFFSET, LENGTH,
                           "hang" if given_up or reset else "cut"], name=f"proxy-{program}-{port}", ready="listening")
    attach = f"holdfast-client attach {HOST},{port + 1},{export} --device "
    machine.run(attach + "nbd0")
    write = f"dd if=/run/%s of=/dev/%s bs={LENGTH} seek={OFFSET // LENGTH} oflag=direct conv=notrunc status=none"
    machine.start_command(f"{write % ('O', 'nbd0')}; echo $? >/run/old")
    proxy.expect("^held", timeout=120)
    if reset:
        machine.reset()
        _prepare(machine)
        machine.wait_until(attach + again, timeout=180)
    elif given_up:
        # 9: detached, but the server did not confirm the fence; then the next attachment fences.
        machine.run("holdfast-client detach --force nbd0 || test $? = 9")
        machine.wait_until("test -s /run/old", timeout=180)
        lab.require(machine.run("cat /run/old; rm /run/old") != "0", f"{program}: the write of a device that was given up succeeded")
        machine.run(attach + again)
    else:
        # The kernel sends it again on the new link; that copy is acknowledged, and the block is free for newer data.
        machine.wait_until("test -s /run/old", timeout=180)
        lab.require(machine.run("cat /run/old; rm /run/old") == "0", f"{program}: the write that was sent again got an error")
    machine.run(write % ("N", again), timeout=180)
    status = outages.status(machine, again)
    proxy.signal(signal.SIGUSR1)
    print(program, proxy.expect("^delivered: .*", timeout=60)[0])
    seen = machine.run(f"dd if=/dev/{again} bs={LENGTH} skip={OFFSET // LENGTH} count=1 iflag=direct status=none | tr -s ON")
    machine.run(f"holdfast-client detach {again}")
    with disk.open("rb") as file:
        file.seek(OFFSET)
        letters = bytes(sorted(set(file.read(LENGTH))))
    lab.require(seen.encode() == letters, f"{program}: the client reads {seen!r}, and the disk has {letters!r}")
    lab.require(letters == b"O" or status["session"] == "fenced", f"{program}: {status}")
    return letters
