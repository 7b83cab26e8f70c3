"""One daemon goes and another comes: after a crash, for an upgrade, and when the upgrade is no good."""

import signal
import time

from lab import Lab, test
from lab.network import HOST
from scenes import outages, serving
from scenes.outages import PATIENCE, Scene

# Crashes of the new program in its first moments: an emulated machine takes about a second for the whole takeover.
MOMENTS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.5)
ATTACH = f"holdfast-client attach {HOST},root --device nbd0"


def _ready(lab: Lab, release: int) -> Scene:
    """Under load, and with the commands of these tests in the page cache, the device in use being one of their answers."""
    scene = outages.start(lab, release)
    code, text = scene.machine.run_status(ATTACH, timeout=PATIENCE)
    lab.require(code == 6, f"attach on a device that has its daemon: status {code}: {text}")
    return scene


def _outage(scene: Scene, seconds: float = 3) -> None:
    scene.kill_server()
    time.sleep(seconds)
    scene.serve()
    scene.progress()


@test("a daemon that is killed during an outage is replaced by the same attach as at boot, and the I/O goes on in Debian 12")
def killed_in_an_outage_12(lab: Lab) -> None:
    _killed_in_an_outage(lab, 12)


@test("a daemon that is killed during an outage is replaced by the same attach as at boot, and the I/O goes on in Debian 13", long=True)
def killed_in_an_outage_13(lab: Lab) -> None:
    _killed_in_an_outage(lab, 13)


def _killed_in_an_outage(lab: Lab, release: int) -> None:
    scene = _ready(lab, release)
    machine = scene.machine
    old = outages.one_daemon(scene)
    # The server is away when the daemon dies, and still away when it is replaced.
    scene.stop_server()
    outages.wait_for_state(machine, "reconnecting")
    machine.run(f"kill -KILL {old}")
    outages.wait_for_state(machine, "unattended")
    machine.start_command(f"{ATTACH} --wait 120 >/run/adopted 2>&1; echo $? >/run/adopted.status")
    time.sleep(5)
    scene.serve()
    _adopted(scene, old)
    # And with the server back before anybody looks after the device.
    old = outages.one_daemon(scene)
    scene.kill_server()
    machine.run(f"kill -KILL {old}")
    outages.wait_for_state(machine, "unattended")
    scene.serve()
    machine.start_command(f"{ATTACH} >/run/adopted 2>&1; echo $? >/run/adopted.status")
    _adopted(scene, old)
    # And with the link alive all the time, on which the load does not stop.
    old = outages.one_daemon(scene)
    machine.run(f"kill -KILL {old}")
    outages.wait_for_state(machine, "unattended")
    scene.progress()
    machine.start_command(f"{ATTACH} >/run/adopted 2>&1; echo $? >/run/adopted.status")
    _adopted(scene, old)
    _outage(scene)
    scene.finish()


def _adopted(scene: Scene, old: int) -> None:
    machine = scene.machine
    machine.wait_until("test -s /run/adopted.status", timeout=PATIENCE)
    answer = machine.run("cat /run/adopted.status /run/adopted; rm /run/adopted.status /run/adopted", timeout=PATIENCE)
    scene.lab.require(answer.split()[0] == "0", f"attach on a device whose daemon has died: {answer}")
    outages.wait_for_state(machine, "attached")
    new = outages.one_daemon(scene)
    scene.lab.require(new != old, f"the daemon {old} was killed, and status names it")
    scene.progress()


def _interrupted(scene: Scene) -> None:
    """An attach that is ended once the kernel has the device leaves it detached, or with a daemon."""
    machine = scene.machine
    setsid = f"setsid holdfast-client attach {HOST},root --device nbd1 --read-only >/run/interrupted 2>&1"
    for _ in range(8):
        # In a shell without job control, so that the session has the number of the job. It may have ended by itself.
        machine.run(f"sh -c '{setsid} & while kill -0 $! && ! [ -e /sys/block/nbd1/pid ]; do :; done; kill -TERM -- -$!; :' 2>/dev/null",
                    timeout=PATIENCE)
        machine.wait_until("! holdfast-client status nbd1 --json | grep -q unattended", timeout=60)
        code, text = machine.run_status("holdfast-client detach nbd1", timeout=PATIENCE)
        scene.lab.require(code in (0, 3), f"detach after an attach that was interrupted: status {code}: {text}; "
                                          f"{machine.run('cat /run/interrupted')}")


@test("a takeover under load replaces the daemon without an error, again and again, and the last one survives an outage",
      timeout=700)
def under_load(lab: Lab) -> None:
    scene = _ready(lab, 13)
    old = outages.one_daemon(scene)
    for number in range(6):
        scene.machine.run("holdfast-client takeover" + (" nbd0" if number % 2 else ""), timeout=PATIENCE)
        new = outages.one_daemon(scene)
        lab.require(new != old, f"takeover {number}: the daemon {old} is still in charge")
        old = new
        scene.progress(2)
        if number == 2:
            _outage(scene)
    scene.log_says("taken over")
    # During an outage, too: the new daemon is the one that makes the link anew.
    scene.stop_server()
    outages.wait_for_state(scene.machine, "reconnecting")
    scene.machine.run("holdfast-client takeover nbd0", timeout=PATIENCE)
    lab.require(outages.one_daemon(scene) != old, f"takeover in an outage: the daemon {old} is still in charge")
    scene.serve()
    scene.progress()
    status = scene.status()
    lab.require(status["attached_seconds"] > 0 and status["state"] == "attached", f"afterwards: {status}")
    _interrupted(scene)
    code, text = scene.machine.run_status("holdfast-client takeover nbd7")
    lab.require(code == 3, f"takeover of a device that is not attached: status {code}: {text}")
    scene.finish()


@test("a takeover by a program that fails, or that is killed at any moment, leaves one daemon in charge, which survives an outage",
      timeout=900, long=True)
def broken_program(lab: Lab) -> None:
    scene = _ready(lab, 12)
    machine = scene.machine
    old = outages.one_daemon(scene)
    machine.run("mv /usr/sbin/holdfast-client /usr/sbin/holdfast-client.good")
    for text in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\nkill -SEGV $$\n", "this is no program\n"):
        machine.write("/usr/sbin/holdfast-client", text)
        machine.run("chmod 755 /usr/sbin/holdfast-client")
        # Both the broken program itself, and the good one, in case it is the installed one that it starts.
        for program in ("holdfast-client", "holdfast-client.good"):
            code, _ = machine.run_status(f"{program} takeover nbd0", timeout=PATIENCE)
            lab.require(code != 0 or program.endswith("good"), f"{text!r} has taken over")
    machine.run("mv /usr/sbin/holdfast-client.good /usr/sbin/holdfast-client")
    now = outages.one_daemon(scene)
    print(f"after the broken programs: daemon {now}, before {old}")
    _outage(scene)
    for moment in MOMENTS:
        # timeout kills the whole process group: the command, and its child while that has not left.
        code, _ = machine.run_status(f"timeout -s KILL {moment} holdfast-client takeover nbd0", timeout=PATIENCE)
        old, now = now, outages.one_daemon_soon(scene)
        print(f"killed after {moment} s: exit {code}, daemon {now}, before {old}")
        lab.require(code == 0 or code >= 128 or now == old, f"takeover failed with {code}, and {now} is in charge, not {old}")
        scene.progress(1)
    _outage(scene)
    scene.finish()


@test("the name of a new link is in the record before the kernel is given the link")
def recorded_first(lab: Lab) -> None:
    network = lab.network()
    machine = lab.boot("client", lab.image("server", 12), cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    disk = lab.blank_disk(16, "disk")
    server = serving.serve(lab, network, f"disk={disk}", port=10850)
    stuck = serving.serve(lab, network, f"stuck={lab.blank_disk(128, 'stuck')}", port=10851)
    machine.run(f"holdfast-client attach {HOST},10850,disk --device nbd0", timeout=PATIENCE)
    machine.run(f"nbd-client -N stuck {HOST} 10851 /dev/nbd1", timeout=PATIENCE)
    daemon = outages.status(machine)["daemon_pid"]
    # A link that the kernel was not seen to use is offered to it again and again.
    machine.run("dd if=/dev/nbd0 of=/dev/null bs=4k count=1 iflag=direct status=none", timeout=60)
    machine.wait_until("holdfast-client status nbd0 --json | grep -q '\"adopted\":1[,}]'", timeout=60)
    # To disconnect a device whose sender is stuck waits, with the lock that every command to the nbd driver needs.
    stuck.signal(signal.SIGSTOP)
    machine.start_command("dd if=/dev/zero of=/dev/nbd1 bs=64M count=1 oflag=direct 2>/dev/null")
    queued = "ss -Htn dport = 10851 | { read -r state received queued rest; echo ${queued:-0}; }"
    machine.wait_until(f"a=$({queued}); sleep 2; b=$({queued}); test $a -gt 100000 && test $a = $b", timeout=PATIENCE)
    machine.start_command("nbd-client -d /dev/nbd1 >/dev/null 2>&1")
    machine.wait_until("grep -q nbd_genl_disconnect /proc/[0-9]*/stack 2>/dev/null", timeout=60)
    server.kill()
    outages.wait_for_state(machine, "reconnecting")
    machine.run("grep -x 'link_socket none' /run/holdfast/nbd0.state")
    serving.serve(lab, network, f"disk={disk}", port=10850, name="again")
    machine.wait_until(f"grep -q genl_rcv /proc/{daemon}/stack", timeout=PATIENCE)
    record = machine.run("grep ^link_socket /run/holdfast/nbd0.state").split()
    lab.require(len(record) >= 4 and record[1].isdigit(), f"the kernel is being given a link, and the record says: {record}")
    stuck.signal(signal.SIGCONT)
    outages.wait_for_state(machine, "attached")


@test("a link by a UNIX socket that a dead daemon has left is not disconnected while requests are in flight, and the reason is said",
      long=True)
def unix_orphan(lab: Lab) -> None:
    machine = lab.boot("client", lab.image("server", 12)).login()
    machine.run("modprobe nbd && truncate -s 64M /run/disk")
    machine.start_command("exec holdfast-server --foreground --listen unix:/run/nbd.sock --export disk=/run/disk 2>/run/server.log")
    machine.wait_until("test -S /run/nbd.sock")
    machine.run("holdfast-client attach 'nbd+unix:///disk?socket=/run/nbd.sock' --device nbd0", timeout=PATIENCE)
    machine.run("grep '^link_socket unix ' /run/holdfast/nbd0.state")
    daemon = outages.status(machine)["daemon_pid"]
    machine.run("pkill -STOP holdfast-server")
    machine.start_command("dd if=/dev/zero of=/dev/nbd0 bs=16M count=1 oflag=direct 2>/dev/null; echo $? >/run/dd")
    machine.wait_until("awk '{ exit !($1 + $2) }' /sys/block/nbd0/inflight")
    machine.run(f"kill -KILL {daemon}")
    outages.wait_for_state(machine, "unattended")
    machine.run("holdfast-client takeover nbd0", timeout=PATIENCE)
    code, text = machine.run_status("holdfast-client detach --force nbd0", timeout=PATIENCE)
    lab.require(code != 0 and "a UNIX socket" in text and "requests are in flight" in text, f"detach --force: status {code}: {text}")
    machine.run("pkill -CONT holdfast-server")
    machine.wait_until("grep -x 0 /run/dd", timeout=PATIENCE)
    outages.wait_for_state(machine, "attached")
    machine.run("holdfast-client detach nbd0", timeout=PATIENCE)
    machine.poweroff()
