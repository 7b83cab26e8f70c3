"""Hosts where AppArmor enforces our profiles: both programs in theirs, and no denial of theirs from boot to shutdown.

Debian enables AppArmor in its kernels; the package apparmor loads the profiles that the packages have installed.
"""

from lab import Lab, test
from lab.layer import Image
from lab.machine import Machine
from scenes import outages
from scenes.server_unit import main_process, opener_of

PACKAGES = ("apparmor",)
DENIALS = "dmesg | grep 'apparmor=\"DENIED\"' | grep holdfast || :"
# A program with a profile that has no network rules.
READER = """abi <abi/3.0>,
profile lab-reader {
  file,
}
"""
SERVER_CONF = "[generic]\nlistenaddr = 127.0.0.1\nallowlist = true\n[root]\nexportname = /dev/vg0/workstation0\ntimeout = 600\n[file]\nexportname = /srv/file\n"


# The other profiles of the package take an emulated processor minutes to compile.
PROFILES = "find /etc/apparmor.d -maxdepth 1 -type f ! -name 'holdfast-*' ! -name lab-reader -delete"


def image(lab: Lab, release: int, kind: str = "client") -> Image:
    return outages.image(lab, release, kind=kind, packages=PACKAGES, files={"/etc/apparmor.d/lab-reader": READER}, commands=[PROFILES])


def no_denial(lab: Lab, machine: Machine) -> None:
    denied = machine.run(DENIALS, timeout=outages.PATIENCE)
    lab.require(not denied, f"denials:\n{denied[:4000]}")


def profile_of(machine: Machine, process: int) -> str:
    return machine.run(f"cat /proc/{process}/attr/apparmor/current", timeout=outages.PATIENCE)


def _is_confined(lab: Lab, machine: Machine) -> None:
    """The daemon and its helper process are in the profile, and status says so."""
    machine.wait_until("holdfast-client status nbd0 --json | grep '\"profile\":\"holdfast-client\"'", timeout=outages.PATIENCE)
    profiles = [profile_of(machine, outages.status(machine)["daemon_pid"])]
    profiles += [profile_of(machine, int(pid)) for pid in machine.run("cd /proc; grep -lsx holdfast-timer [0-9]*/comm | cut -d/ -f1").split()]
    lab.require(profiles == ["holdfast-client (enforce)"] * 2, f"the daemon and its helper: {profiles}")


@test("with AppArmor enforcing, Debian 13 works on its root disk, over outages, a takeover and a reboot, without a denial", timeout=1500, long=True)
def client_13(lab: Lab) -> None:
    _lives(lab, 13, "client")


@test("with AppArmor enforcing, Debian 12 works on its root disk, over outages, a takeover and a reboot, without a denial", timeout=1500, long=True)
def client_12(lab: Lab) -> None:
    _lives(lab, 12, "client")


@test("with AppArmor enforcing, Debian 12 with sysvinit works on its root disk, over outages, a takeover and a reboot, without a denial",
      timeout=1500, long=True)
def client_sysvinit(lab: Lab) -> None:
    _lives(lab, 12, "sysv")


def _lives(lab: Lab, release: int, kind: str) -> None:
    scene = outages.start(lab, made=image(lab, release, kind), exit_on_reboot=False)
    machine = scene.machine
    _is_confined(lab, machine)
    outages.grow_in_outage(scene, scene.kill_server)
    outages.take_over(scene)
    _is_confined(lab, machine)
    outages.live_through(scene, scene.stop_server)
    _reads_without_network_rules(lab, scene)
    no_denial(lab, machine)
    machine.reboot().login(timeout=outages.PATIENCE)
    _is_confined(lab, machine)
    outages.kernel_errors(machine)
    no_denial(lab, machine)
    machine.poweroff(timeout=outages.PATIENCE)
    lab.require(not [line for line in machine.console.text.splitlines() if 'apparmor="DENIED"' in line and "holdfast" in line],
                "denials at the end, on the console")
    scene.server.stop()
    lab.check_file_system(scene.disk)


def _reads_without_network_rules(lab: Lab, scene: outages.Scene) -> None:
    """A confined program reads from the disk and writes to it, past the page cache: the link stays."""
    machine, before = scene.machine, scene.status()["reconnects"]
    machine.run("aa-exec -p lab-reader -- cat /proc/self/attr/apparmor/current | grep -x 'lab-reader (enforce)'")
    status, text = machine.run_status("aa-exec -p lab-reader -- dd if=/dev/nbd0 of=/dev/null bs=64k count=64 iflag=direct status=none && "
                                      "aa-exec -p lab-reader -- dd if=/dev/zero of=/root/direct bs=64k count=16 oflag=direct conv=fsync status=none",
                                      timeout=outages.PATIENCE)
    after = scene.status()["reconnects"]
    print(f"kernel {machine.run('uname -r')}: a program without network rules reads and writes with status {status}; reconnects: {after - before}")
    lab.require(status == 0 and after == before, f"the program has killed the link {after - before} times: {text}")
    scene.progress()


@test("with AppArmor enforcing, Debian 12's server and a client on the same machine serve, restart and detach without a denial", timeout=900,
      long=True)
def server_12(lab: Lab) -> None:
    _serves(lab, 12)


@test("with AppArmor enforcing, Debian 13's server and a client on the same machine serve, restart and detach without a denial", timeout=900,
      long=True)
def server_13(lab: Lab) -> None:
    _serves(lab, 13)


def _serves(lab: Lab, release: int) -> None:
    made = lab.image("server", release, packages=PACKAGES, files={"/etc/holdfast/server.conf": SERVER_CONF}, commands=[PROFILES])
    machine = lab.boot("server", made, disks=[lab.copy(made), lab.blank_disk(512)]).login(timeout=600)
    machine.run("modprobe nbd && ip link set lo up && vgcreate -q vg0 /dev/vdb && lvcreate -q -y -L 128M -n workstation0 vg0 && "
                "truncate -s 64M /srv/file && udevadm settle && holdfast-server --check && systemctl restart holdfast-server",
                timeout=outages.PATIENCE)
    machine.run("holdfast-client attach 127.0.0.1,root --device nbd0 && holdfast-client attach 127.0.0.1,file --device nbd1 && "
                "mkfs.ext4 -q /dev/nbd1 && mkfs.ext4 -q /dev/nbd0 && "
                "mount /dev/nbd0 /mnt && dd if=/dev/urandom of=/mnt/file bs=1M count=8 conv=fsync status=none", timeout=outages.PATIENCE)
    server = main_process(machine)
    profiles = [profile_of(machine, process) for process in (server, opener_of(machine, server))]
    lab.require(profiles == ["holdfast-server (enforce)"] * 2, f"the server and its opener: {profiles}")
    _is_confined_here(lab, machine)
    machine.run("systemctl reload holdfast-server && systemctl restart holdfast-server && md5sum /mnt/file && echo 3 >/proc/sys/vm/drop_caches && "
                "cat /mnt/file >/dev/null && holdfast-server status && holdfast-client list 127.0.0.1 && "
                "holdfast-server volumes | grep -q '^root .* vg0/workstation0 '", timeout=outages.PATIENCE)
    machine.run("umount /mnt && holdfast-client detach nbd0 && holdfast-client detach nbd1 && systemctl stop holdfast-server", timeout=outages.PATIENCE)
    # By a socket of systemd's, and without systemd's restrictions.
    machine.write("/etc/systemd/system/holdfast-server.socket.d/here.conf", "[Socket]\nListenStream=\nListenStream=127.0.0.1:10809\n")
    machine.run("systemctl daemon-reload && systemctl start holdfast-server.socket && holdfast-client attach 127.0.0.1,root --device nbd0 && "
                "dd if=/dev/nbd0 of=/dev/null bs=64k count=4 iflag=direct status=none && holdfast-client detach nbd0 && "
                "systemctl stop holdfast-server.socket holdfast-server && holdfast-server && "
                "holdfast-client attach 127.0.0.1,root --device nbd0 && holdfast-client detach nbd0 && pkill -TERM holdfast-server",
                timeout=outages.PATIENCE)
    no_denial(lab, machine)
    # The profile confines: a file of the system is not served for writing.
    machine.run("cp /srv/file /etc/image && printf '[image]\\nexportname = /etc/image\\n' >>/etc/holdfast/server.conf && holdfast-server && "
                "! holdfast-client attach 127.0.0.1,image --device nbd0 && pkill -TERM holdfast-server", timeout=outages.PATIENCE)
    lab.require("/etc/image" in machine.run(DENIALS), "no denial of /etc/image")
    machine.poweroff(timeout=outages.PATIENCE)


def _is_confined_here(lab: Lab, machine: Machine) -> None:
    pids = machine.run("for n in 0 1; do holdfast-client status nbd$n --json; done | grep -o '\"daemon_pid\":[0-9]*' | cut -d: -f2").split()
    profiles = [profile_of(machine, int(pid)) for pid in pids]
    lab.require(profiles == ["holdfast-client (enforce)"] * 2, f"the daemons: {profiles}")
