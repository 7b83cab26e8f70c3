"""What `holdfast-client status` says, to root and to everybody, while the link and the daemon come and go."""

from lab import Lab, test
from lab.failure import Failure
from lab.machine import Machine
from lab.network import HOST
from scenes import outages, serving

NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups --"


def is_now(machine: Machine, code: int, state: str) -> None:
    """For root and for nobody alike: the word, in text and JSON, and the exit status."""
    for user in ("", NOBODY + " "):
        machine.wait_until(f"{user}holdfast-client status nbd0 | head -n 1 | grep -F '/dev/nbd0: {state}'", timeout=outages.PATIENCE)
        found, text = machine.run_status(f"{user}holdfast-client status --json nbd0", timeout=outages.PATIENCE)
        if found != code or f'"state":"{state}"' not in text:
            raise Failure(f"status as {user or 'root'}: {found}, not {code} {state}: {text}")


@test("status says attached, reconnecting, unattended or unknown, each with its exit status, also without root, and never what it does not know")
def states(lab: Lab) -> None:
    image = lab.image("client", 12)
    network = lab.network()
    disk = lab.blank_disk(16)
    server = serving.serve(lab, network, f"disk={disk}")
    machine = lab.boot("client", image, disks=[lab.copy(image)], cards=[network.user_card()]).login()
    machine.run("modprobe nbd; ip link set eth0 up; ip address add 10.0.2.15/24 dev eth0")
    # An attach that waits without naming a device does not keep one from whoever names it.
    machine.start_command(f"timeout 120 holdfast-client attach --wait 600 {HOST},1,disk >/run/waits 2>&1")
    machine.wait_until("grep -qi refused /run/waits")
    machine.run(f"holdfast-client attach --device nbd0 {HOST},disk")
    is_now(machine, 0, "attached")
    for name in machine.run("cd /run/holdfast && echo *").split():
        mode = machine.run(f"stat -c %a /run/holdfast/{name}")
        lab.require(mode == ("644" if name == "nbd0.status" else "755" if name == "until" else "600"), f"{name} has mode {mode}")
    identifier = machine.run("sed -n 's/^session //p' /run/holdfast/nbd0.state")
    lab.require(len(identifier) >= 8, f"the record's session is {identifier!r}")
    machine.run(f"! grep -F {identifier} /run/holdfast/nbd0.status /sys/block/nbd0/backend")
    server.stop()
    is_now(machine, 7, "reconnecting")
    machine.start_command("until holdfast-client status nbd0; do sleep 1; done >/dev/null 2>&1; echo up >/run/up")
    # Its server is not needed to say that it is attached.
    code, text = machine.run_status(f"holdfast-client attach --device nbd0 {HOST},disk", timeout=outages.PATIENCE)
    lab.require(code == 6 and "already attached" in text, f"attach of an attached device: {code} {text}")
    # A daemon that is stopped does not answer, and one that has died does not, either.
    pid = outages.status(machine)["daemon_pid"]
    machine.run(f"kill -STOP {pid}")
    is_now(machine, 8, "unknown")
    code, text = machine.run_status("holdfast-client detach --force nbd0", timeout=outages.PATIENCE)
    lab.require(code == 1 and f"kill -KILL {pid}" in text and "holdfast-client takeover nbd0" in text, f"the way out: {code} {text}")
    machine.run(f"kill -CONT {pid}")
    is_now(machine, 7, "reconnecting")
    machine.run(f"kill -STOP {pid} && kill -KILL {pid}")
    is_now(machine, 8, "unattended")
    machine.run("test ! -e /run/up")
    serving.serve(lab, network, f"disk={disk}", name="again")
    text = machine.run(f"holdfast-client attach --probe 7 --device nbd0 nbd://{HOST}:10809/disk 2>&1")
    lab.require("ignoring probe=7: the device keeps probe=10" in text and "without this server" not in text, f"adoption: {text}")
    machine.run("holdfast-client takeover nbd0")
    is_now(machine, 0, "attached")
    machine.wait_until("test -e /run/up")
    machine.run("holdfast-client detach nbd0 && test ! -e /run/holdfast/nbd0.status")
    is_now(machine, 3, "detached")
