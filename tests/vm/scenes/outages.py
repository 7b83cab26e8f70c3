"""A machine on its network root disk, a load on it that verifies its own data (load.pl), and what must be true at the end.

    scene = outages.start(lab, 12)      # booted, its load has run for a while
    scene.stop_server(); scene.serve()  # an outage, by whatever means
    scene.progress()                    # the load goes on
    scene.finish()                      # no kernel error; power off; the data and the file system are whole
"""

import dataclasses
import json
import os
import pathlib
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence

from scenes import serving
from lab import Lab, process
from lab.layer import Image
from lab.machine import Machine
from lab.network import BRIDGE_HOST, HOST, USER_IP, Card, Namespace, Network
from lab.process import Service

LOAD = "/usr/local/sbin/lab-load"
FOLDER = "/var/lib/lab-load"
NOTES = "/run/lab-load"
FILES = {LOAD: (pathlib.Path(__file__).with_name("load.pl")).read_text()}
BRIDGE_IP = f"ip=10.77.0.10::{BRIDGE_HOST}:255.255.255.0::eth0:off"
WORKERS = 3

# With a load on it an emulated machine is slow: a wait is only there so that a failure ends.
PATIENCE = 300

_KERNEL_ERRORS = ("I/O error|EXT4-fs (error|warning)|JBD2:.*(rror|abort)|Remounting filesystem|Aborting journal|"
                  "[Bb]uffer I/O|critical .* error|BUG:|Oops|general protection|Kernel panic")


def image(lab: Lab, release: int, files: Mapping[str, str] | None = None, kind: str = "client", **options) -> Image:
    """The client's image with the load in it."""
    return lab.image(kind, release, files={**FILES, **(files or {})}, **options)


def kernel_errors(machine: Machine) -> None:
    """Fails when the kernel has complained of the disk or of itself. Hung tasks are in the nature of an outage: noted."""
    log = machine.run("dmesg", timeout=PATIENCE)
    (machine.console.log.parent / f"{machine.name}.dmesg.log").write_text(log)
    errors = [line for line in log.splitlines() if re.search(_KERNEL_ERRORS, line)]
    if errors:
        raise process.Failure("the kernel complained:\n" + "\n".join(errors[:20]))
    for what in ("blocked for more than", "Possible stuck request"):
        if count := log.count(what):
            print(f"noted: {machine.name}'s kernel says {what!r} {count} times")


def start_load(machine: Machine, pause: float = 0) -> None:
    """pause: seconds after each round of a worker, which leave the processor to others."""
    machine.start_command(f"exec {LOAD} run {FOLDER} {NOTES} {pause}")
    for worker in range(WORKERS):
        machine.wait_until(f"test -s {NOTES}/{worker}.acked", timeout=PATIENCE)


def acknowledged(machine: Machine) -> list[dict[str, int]]:
    """What each worker has noted. Read by the shell itself, so that no program is needed from a disk that is away."""
    text = machine.run(f"for n in {NOTES}/*.acked; do read -r line <$n && echo \"$line\"; done", timeout=PATIENCE)
    lines = [[int(word) for word in line.split()] for line in text.splitlines()]
    return [dict(zip(("number", "kept", "longest_ms", "rounds"), line)) for line in lines]


def check_load(machine: Machine) -> None:
    """Fails when a worker has stopped with an error."""
    status, text = machine.run_status(f"test ! -e {NOTES}/error || {{ cat {NOTES}/error; exit 1; }}", timeout=PATIENCE)
    if status:
        raise process.Failure(f"the load has failed: {text}")


def progress(machine: Machine, rounds: int = 3, timeout: float = PATIENCE) -> None:
    """Waits until every worker has done so many more rounds of writes, fsync and a read."""
    check_load(machine)
    reads = "; ".join(f"read -r a b c r <{NOTES}/{worker}.acked; test $r -ge {each['rounds'] + rounds} || exit 1"
                      for worker, each in enumerate(acknowledged(machine)))
    machine.wait_until(f"test -e {NOTES}/error && exit 0; {reads}", timeout=timeout)
    check_load(machine)


def verify_on_host(lab: Lab, disk: pathlib.Path, acked: list[dict[str, int]]) -> None:
    """Everything that was acknowledged is in the file system on the disk, which nobody uses now."""
    folder, notes = lab.scratch / "load", lab.scratch / "notes"
    for path in (folder, notes):
        path.mkdir(exist_ok=True)
    for worker, each in enumerate(acked):
        (notes / f"{worker}.acked").write_text(f"{each['number']} {each['kept']}\n")
    process.output_of(["debugfs", "-R", f"rdump {FOLDER} {folder}", disk])
    said = process.output_of(["perl", pathlib.Path(__file__).with_name("load.pl"), "verify",
                              folder / pathlib.Path(FOLDER).name, notes])
    longest = max(each["longest_ms"] for each in acked)
    print(f"load: {said.strip()}; {sum(each['rounds'] for each in acked)} fsyncs, the longest round took {longest} ms")


def status(machine: Machine, device: str = "nbd0") -> dict:
    """What `holdfast-client status --json` says; 7 is its exit status while the link is down, 8 where
    nobody knows."""
    code, text = machine.run_status(f"holdfast-client status {device} --json", timeout=PATIENCE)
    if code not in (0, 7, 8):
        raise process.Failure(f"holdfast-client status exited with {code}: {text}")
    return json.loads(text)


def wait_for_state(machine: Machine, state: str, timeout: float = PATIENCE, device: str = "nbd0") -> dict:
    """Waits until the device is attached, reconnecting, ..."""
    machine.wait_until(f"holdfast-client status {device} --json | grep -q '\"state\":\"{state}\"'", timeout=timeout)
    return status(machine, device)


def keep_in_memory(machine: Machine) -> None:
    """Reads what `run` and our program need while the root disk is away into the page cache, as its owner would who
    has used them before."""
    machine.run("cd /; for p in holdfast-client cat grep sh dmesg mv cp timeout sleep setsid pkill dd; do p=$(command -v $p) && "
                "[ -f \"$p\" ] && { cat \"$p\"; cat $(ldd \"$p\" | grep -o '/[^ ]*'); } >/dev/null; done; "
                "holdfast-client status >/dev/null; holdfast-client status nbd0 --json | grep -q attached; "
                "timeout 5 true; dmesg | grep -c nbd; :", timeout=PATIENCE)


@dataclasses.dataclass
class Scene:
    """One machine, its disk on the host, and the server of it."""

    lab: Lab
    image: Image
    network: Network
    host: Namespace  # where the server runs
    address: str     # ... and listens
    port: int
    disk: pathlib.Path
    machine: Machine
    card: Card
    server: Service
    servers: int = 1
    loaded: bool = False

    def stop_server(self) -> None:
        self.server.stop()

    def kill_server(self) -> None:
        self.server.kill()

    def serve(self, *exports: str) -> Service:
        """Starts the server again; exports instead of the disk as `root`."""
        self.servers += 1
        self.server = serving.serve(self.lab, self.host, *(exports or [f"root={self.disk}"]), port=self.port,
                                    address=self.address, name=f"{self.machine.name}-server-{self.servers}")
        return self.server

    def load(self, pause: float = 0) -> None:
        start_load(self.machine, pause)
        self.loaded = True
        progress(self.machine)

    def progress(self, rounds: int = 3, timeout: float = PATIENCE) -> None:
        progress(self.machine, rounds, timeout)

    def status(self) -> dict:
        return status(self.machine)

    def log_says(self, text: str, timeout: float = PATIENCE) -> None:
        """Waits until the daemon has said it, in the kernel's log."""
        self.machine.wait_until(f"dmesg | grep -F {shlex.quote(text)}", timeout=timeout)

    def finish(self) -> None:
        """The end of every test that expects no loss. The load runs on into the shutdown."""
        acked = []
        if self.loaded:
            self.progress()
            acked = acknowledged(self.machine)
        kernel_errors(self.machine)
        self.machine.poweroff(timeout=PATIENCE)
        self.server.stop()
        self.lab.check_file_system(self.disk)
        if acked:
            verify_on_host(self.lab, self.disk, acked)


def start(lab: Lab, release: int = 12, *, kind: str = "client", network: Network | None = None, bridge: bool = False, load: bool = True,
          options: str = "", servers: str = "", append: str = "", ip: str = "", grow: int = 0, disk: pathlib.Path | None = None,
          host: Namespace | None = None, address: str = "", memory: int = 512, packages: tuple[str, ...] = (),
          made: Image | None = None, exit_on_reboot: bool = True, further: Sequence[pathlib.Path] = ()) -> Scene:
    """Boots a machine on a root disk that the host serves, and starts its load.

    bridge: a card whose cable can be pulled; else QEMU's user network. options: further words of nbdroot=, after its
    device; servers: all of nbdroot=, in its place. ip: in the place of an address from the command line. grow: the disk
    has so many MiB beyond its file system. host, address: another place for the server. made: an image of the test's own, from image(). further: disks of the
    machine itself, /dev/vda first.
    """
    made = made or image(lab, release, kind=kind, packages=packages)
    disk = disk or lab.copy(made)
    if grow:
        with disk.open("r+b") as file:
            file.truncate(disk.stat().st_size + (grow << 20))
    network = network or lab.network()
    card = network.bridge_card() if bridge else network.user_card()
    listen = address or (BRIDGE_HOST if bridge else "127.0.0.1")
    server = serving.serve(lab, host or network, f"root={disk}", address=listen,
                           name=f"diskless-{len(lab.machines) + 1}-server-1")
    seen_as = address or (BRIDGE_HOST if bridge else HOST)
    words = servers or f"nbdroot={seen_as},root,nbd0{',' + options if options else ''}"
    machine = lab.boot(f"diskless-{len(lab.machines) + 1}", made, disks=further, cards=[card], memory=memory, exit_on_reboot=exit_on_reboot,
                       append=f"root=/dev/nbd0 {words} {ip or (BRIDGE_IP if bridge else USER_IP)} {append}").login()
    machine.run("findmnt -n -o SOURCE / | grep -x /dev/nbd0")
    scene = Scene(lab, made, network, host or network, listen, serving.PORT, disk, machine, card, server)
    if load:
        scene.load()
    keep_in_memory(machine)
    return scene


def live_through(scene: Scene, end_server: Callable[[], None], meanwhile: Callable[[], None] = lambda: None) -> None:
    """An outage under load, begun by one of the scene's ways to end its server."""
    end_server()
    wait_for_state(scene.machine, "reconnecting")
    meanwhile()
    scene.serve()
    scene.progress()


def grow_in_outage(scene: Scene, end_server: Callable[[], None]) -> None:
    """The disk grows while the server is away, and its device afterwards."""
    size = scene.disk.stat().st_size + (64 << 20)
    live_through(scene, end_server, lambda: os.truncate(scene.disk, size))
    scene.machine.wait_until(f"test $(blockdev --getsize64 /dev/nbd0) -eq {size}", timeout=PATIENCE)


def take_over(scene: Scene) -> None:
    """Another daemon is in charge afterwards."""
    daemon = scene.status()["daemon_pid"]
    scene.machine.run("holdfast-client takeover nbd0", timeout=PATIENCE)
    scene.lab.require(scene.status()["daemon_pid"] != daemon, "no takeover")


def one_daemon(scene: Scene) -> int:
    """The process in charge of nbd0, which is the only one."""
    status = scene.status()
    pid = status["daemon_pid"]
    scene.machine.run(f"kill -0 {pid}")
    scene.machine.run(f"grep -qw {pid} /run/sendsigs.omit.d/*")
    # argv[0] of a daemon begins with '@'; a command of ours that still runs would too if it had stayed behind.
    daemons = scene.machine.run("for p in /proc/[0-9]*; do line=; read -r line <$p/cmdline; case $line in @holdfast-client*) "
                                "echo ${p#/proc/};; esac; done 2>/dev/null; :").split()
    scene.lab.require(daemons == [str(pid)], f"status names the daemon {pid}, and there are {daemons}")
    timers = scene.machine.run("cd /proc; for p in [0-9]*; do read -r name <$p/comm && [ \"$name\" = holdfast-timer ] && "
                               "grep -E '^(SigBlk|Cap)' $p/status; done 2>/dev/null; :").split()
    scene.lab.require(timers[1::2] == ["0" * 16] * 6, f"the one holdfast-timer has no capabilities, and ends by any signal: {timers}")
    return pid


def one_daemon_soon(scene: Scene) -> int:
    """When both the old and the new one have been there for a moment, one of them leaves."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return one_daemon(scene)
        except process.Failure:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
