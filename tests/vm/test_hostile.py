"""Servers that mean no good (hostile_server.py): an error or a retry, never a crash, a hang or growth of the client."""

import json
import pathlib
import sys

from lab import Lab, test
from lab.machine import Machine
from lab.network import HOST, Network
from lab.process import Service
from scenes import hostile_server, outages, serving
from scenes.outages import PATIENCE

SERVER = pathlib.Path(__file__).parent / "scenes" / "hostile_server.py"
REFUSED, UNREACHABLE, FAILURE = 4, 5, 1

# Cases that come as far as the device: what is wrong is seen when the kernel has taken the link. Attach allows a server 70 s
# for the first read and then takes the device back; one of them is enough to see that.
IN_TRANSMISSION = ("hangs_up_after_the_handshake", "answers_requests_with_noise", "answers_requests_of_nobody",
                   "answers_a_request_twice")
ONE_OF_THEM = "answers_requests_with_noise"
# Those that let the client wait are waited for by the client as long as an attempt may take, and no longer.
LONGEST = 120
# KiB of address space: growth ends in an abort, which is seen. Locked memory counts in full.
ROOM = 96 << 10
GROWTH = 256  # KiB by which the daemon's memory may differ


def _client(lab: Lab) -> tuple[Network, Machine]:
    network = lab.network()
    machine = lab.boot("client", outages.image(lab, 12), cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    return network, machine


def _hostile(network: Network, name: str, port: int) -> Service:
    return network.spawn([sys.executable, SERVER, f"127.0.0.1:{port}", name], name=name, ready="^listening")


@test("an attach to a server that talks nonsense, lies, never ends or stalls ends with an error, in time and without growth", timeout=1500)
def at_attach(lab: Lab) -> None:
    network, machine = _client(lab)
    wrong = []
    cases = [name for name in hostile_server.CASES if name not in IN_TRANSMISSION or name == ONE_OF_THEM]
    for number, name in enumerate(cases):
        port = 11000 + number
        server = _hostile(network, name, port)
        code, text = machine.run_status(f"ulimit -v {ROOM}; timeout -s KILL {LONGEST} holdfast-client attach {HOST},{port},disk "
                                        "--device nbd3", timeout=LONGEST + PATIENCE)
        print(f"{name}: {code}: {text}")
        if code not in ((FAILURE, REFUSED) if name in IN_TRANSMISSION else (REFUSED, UNREACHABLE)):
            wrong.append(f"{name}: attach ended with {code}: {text}")
        if any(ord(letter) < 32 and letter != "\n" or ord(letter) == 127 for letter in text):
            wrong.append(f"{name}: control characters of the server reach the terminal: {text!r}")
        if machine.run_status("holdfast-client status nbd3")[0] != 3:
            wrong.append(f"{name}: the device is still attached: {machine.run_status('holdfast-client status nbd3')[1]}")
        server.kill()
    lab.require(not wrong, "\n".join(wrong))
    machine.run("! pgrep -x holdfast-client")
    machine.poweroff()


@test("a server that is replaced by one that talks nonsense, lies, never ends or stalls is waited for: no error, no growth",
      timeout=1500, long=True)
def at_reconnect(lab: Lab) -> None:
    network, machine = _client(lab)
    disk = lab.blank_disk(64)
    server = serving.serve(lab, network, f"disk={disk}")
    machine.run(f"holdfast-client attach {HOST},disk --device nbd0 && "
                "mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/nbd0 && mount /dev/nbd0 /mnt && "
                "dd if=/dev/urandom of=/mnt/data bs=1M count=8 conv=fsync status=none && sha256sum /mnt/data >/run/sum")
    # Requests for those that want to answer some, to a place where wrong data does no harm.
    machine.start_command("while dd if=/dev/nbd0 of=/dev/null bs=4k count=1 iflag=direct status=none; do sleep 0.2; done; "
                          "echo failed >/run/reader")
    pid = outages.status(machine)["daemon_pid"]
    before = _memory(machine, pid)
    wrong = []
    for number, name in enumerate(hostile_server.CASES):
        server.kill()
        hostile = _hostile(network, name, serving.PORT)
        # Two visits: the end of the first is what led to the second. What the kernel had in flight it sends again only
        # after a while.
        hostile.expect("connection(.|\n)*connection", timeout=180)
        code, text = machine.run_status("timeout -s KILL 60 holdfast-client status nbd0 --json", timeout=PATIENCE)
        if code not in (0, 7) or json.loads(text)["daemon_pid"] != pid:
            wrong.append(f"{name}: status {code}: {text}")
            break
        print(f"{name}: {json.loads(text)['last_error']}")
        hostile.kill()
        server = serving.serve(lab, network, f"disk={disk}", name=f"holdfast-server-{number}")
        outages.wait_for_state(machine, "attached")
        after = _memory(machine, pid)
        if after > before + GROWTH:
            wrong.append(f"{name}: the daemon has grown from {before} to {after} KiB")
    lab.require(not wrong, "\n".join(wrong))
    machine.run("echo 3 >/proc/sys/vm/drop_caches; sha256sum --status -c /run/sum", timeout=PATIENCE)
    outages.kernel_errors(machine)
    machine.run("test ! -e /run/reader && pkill -f 'iflag=direc[t]'; umount /mnt && holdfast-client detach nbd0", timeout=PATIENCE)
    machine.poweroff()
    server.stop()
    lab.check_file_system(disk)


def _memory(machine: Machine, pid: int) -> int:
    """Resident KiB."""
    return int(machine.run(f"grep VmRSS /proc/{pid}/status | tr -dc 0-9"))
