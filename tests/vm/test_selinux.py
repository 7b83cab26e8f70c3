"""Hosts where SELinux enforces: each program in its domain, no denial that is not meant, and a client that nobody ends.

What saves the client when System V init's scripts end everything (`what_saves_the_client`), the entry in /run/sendsigs.omit.d or the
protection of the policy:

    protection, entry    alive          protection alone    alive
    entry alone          alive          neither             dead
"""

import errno
import os
import pathlib
import subprocess
from collections.abc import Mapping, Sequence

from lab import Lab, cachedir, paths, test
from lab.layer import Image
from lab.machine import Machine
from lab.network import HOST, USER_IP
from scenes import outages, serving
from scenes.managed_network import FILES
from scenes.server_unit import main_process, opener_of

PACKAGES = ("selinux-policy-default", "policycoreutils", "selinux-utils")
PROTECTION = "holdfast_client_protect"
HERE = pathlib.Path(__file__).parent
PROBE = "/usr/local/sbin/from_domain"
WORDS = "security=selinux selinux=1"
# The policy of everything else is not what this is about, and has denials of its own.
DENIALS = "dmesg | grep 'avc: *denied' | grep -E 'holdfast|comm=\"nbd' || :"

SYSTEM = "system_u:system_r:{}:s0"
SYSADM = "sysadm_u:sysadm_r:sysadm_t:s0"


def image(lab: Lab, release: int, kind: str = "client", without: str = "", more_files: Mapping[str, str] | None = None,
          **options) -> Image:
    """An image with the policy and our modules, but for one of them."""
    with cachedir.locked(paths.BUILD / "selinux.lock"):  # two tests may come at once
        subprocess.run(["make", "-C", str(paths.REPOSITORY), "--no-print-directory", "selinux"], check=True)
    modules = [*sorted((paths.BUILD / "selinux").glob("*.pp")), *sorted((paths.REPOSITORY / "selinux").glob("*.cil")),
               HERE / "scenes/lab_domains.cil"]
    files = {PROBE: "#!/usr/bin/perl\n" + (HERE / "scenes/from_domain.pl").read_text(), **FILES, **(more_files or {})}
    return outages.image(lab, release, files=files, kind=kind, packages=PACKAGES,
                         modules=[path for path in modules if path.stem != without], **options)


def from_domain(machine: Machine, context: str, *words: object) -> int:
    """The errno of what was tried from within the domain."""
    status, text = machine.run_status(f"{PROBE} {context} {' '.join(map(str, words))}")
    if status == 200 or text:
        raise AssertionError(f"{context} {words}: status {status}: {text}")
    return status


def denied(machine: Machine) -> list[str]:
    """The denials that concern us, since the machine was started or rebooted."""
    return machine.run(DENIALS).splitlines()


def domain_of(machine: Machine, process: int) -> str:
    return machine.run(f"tr -d '\\0' </proc/{process}/attr/current").split(":")[2]


@test("with SELinux enforcing, Debian 12 works on its root disk, and nothing but its administrator can end the client", timeout=1500,
      long=True)
def systemd_12(lab: Lab) -> None:
    _lives(lab, image(lab, 12))


@test("with SELinux enforcing, Debian 13 works on its root disk, and nothing but its administrator can end the client", timeout=1500,
      long=True)
def systemd_13(lab: Lab) -> None:
    _lives(lab, image(lab, 13))


@test("with SELinux enforcing, Debian 12 with sysvinit works on its root disk, and nothing but its administrator can end the client",
      timeout=1500, long=True)
def sysvinit_12(lab: Lab) -> None:
    _lives(lab, image(lab, 12, "sysv"))


@test("with SELinux permissive, Debian 12 does all the same without a denial", timeout=1500, long=True)
def permissive_12(lab: Lab) -> None:
    scene = _start(lab, image(lab, 12), enforcing=False)
    _works(lab, scene)
    lab.require(not denied(scene.machine), "denials:\n" + "\n".join(denied(scene.machine)[:40]))
    scene.finish()


def _start(lab: Lab, made: Image, enforcing: bool = True) -> outages.Scene:
    scene = outages.start(lab, made=made, append=f"{WORDS} enforcing={enforcing:d}", exit_on_reboot=False)
    lab.require(scene.machine.run("cat /sys/fs/selinux/enforce") == f"{enforcing:d}", "SELinux enforces, or does not")
    return scene


def _lives(lab: Lab, made: Image) -> None:
    scene = _start(lab, made)
    machine = scene.machine
    _is_confined(lab, machine)
    _is_protected(lab, scene)
    _works(lab, scene)
    denials = denied(machine)
    (machine.console.log.parent / "denials.log").write_text("\n".join(denials) + "\n")
    kills = [line for line in denials if "tclass=process" in line and "holdfast_client_t" in line.split("tcontext=")[1]]
    others = [line for line in denials if line not in kills]
    lab.require(not others, "denials:\n" + "\n".join(others[:40]))
    lab.require(kills, "the kills were not denied by SELinux")
    acked = outages.acknowledged(machine)
    machine.reboot().login(timeout=outages.PATIENCE)
    _is_confined(lab, machine)
    outages.kernel_errors(machine)
    lab.require(not denied(machine), "denials after the reboot:\n" + "\n".join(denied(machine)[:40]))
    machine.poweroff(timeout=outages.PATIENCE)
    scene.server.stop()
    lab.check_file_system(scene.disk)
    outages.verify_on_host(lab, scene.disk, acked)


def _is_confined(lab: Lab, machine: Machine) -> None:
    machine.wait_until("holdfast-client status nbd0 --json | grep -F '\"domain\":\"'", timeout=60)
    # Under System V init the labels come with one of the last scripts of the start.
    machine.wait_until("holdfast-client status nbd0 --json | grep ':holdfast_client_t:'", timeout=outages.PATIENCE)


def _is_protected(lab: Lab, scene: outages.Scene) -> None:
    machine = scene.machine
    daemon = scene.status()["daemon_pid"]
    attempts = [("kill", signal, daemon) for signal in ("TERM", "KILL", "STOP", "CONT")] + [("ptrace", daemon), ("prlimit", daemon)]
    for domain in ("initrc_t", "init_t", "unconfined_t", "kernel_t"):
        for attempt in attempts:
            got = from_domain(machine, SYSTEM.format(domain), *attempt)
            lab.require(got == errno.EACCES, f"{domain}, {attempt}: {os.strerror(got)}")
    # To look whether it is there is not to touch it: that shows that the others failed by what they are.
    lab.require(from_domain(machine, SYSTEM.format("unconfined_t"), "kill", 0, daemon) == 0, "unconfined_t cannot see the client")
    state = f"awk '{{ print $3 }}' /proc/{daemon}/stat"
    for signal, expected in (("STOP", "T"), ("CONT", "S"), ("TERM", "S")):
        lab.require(from_domain(machine, SYSADM, "kill", signal, daemon) == 0, f"sysadm_t may not send {signal}")
        machine.wait_until(f"test $({state}) = {expected}")


def _works(lab: Lab, scene: outages.Scene) -> None:
    """An outage in which the disk grows, a takeover, another outage, all under load."""
    outages.grow_in_outage(scene, scene.stop_server)
    outages.take_over(scene)
    _is_confined(lab, scene.machine)
    outages.live_through(scene, scene.kill_server)


# When the link is cut: what the console says then, in this order.
STAGES = ("/dev/nbd0 is attached", "Begin: Running /scripts/init-bottom", "SELinux:  policy capability")
STAGES_SYSTEMD = (*STAGES, "Successfully loaded SELinux policy", "Relabell?ed /|entered its SELinux domain", "Queued start job for default target",
                  r"Reached target local-fs\.target", r"Reached target sysinit\.target")
STAGES_SYSVINIT = (*STAGES, "INIT: version", "entered its SELinux domain", "Activating swap", "Entering runlevel")
BOOTS = int(os.environ.get("HOLDFAST_BOOTS", "3"))


@test("again and again, Debian 12 boots without a denial, and with a link that dies in every stage of it", timeout=300 * BOOTS, long=True)
def boots_12(lab: Lab) -> None:
    _boots(lab, image(lab, 12), STAGES_SYSTEMD)


@test("again and again, Debian 13 boots without a denial, and with a link that dies in every stage of it", timeout=300 * BOOTS, long=True)
def boots_13(lab: Lab) -> None:
    _boots(lab, image(lab, 13), STAGES_SYSTEMD)


@test("again and again, Debian 12 with sysvinit boots without a denial, and with a link that dies in every stage of it",
      timeout=300 * BOOTS, long=True)
def boots_sysvinit(lab: Lab) -> None:
    _boots(lab, image(lab, 12, "sysv"), STAGES_SYSVINIT)


def _boots(lab: Lab, made: Image, stages: Sequence[str]) -> None:
    """HOLDFAST_BOOTS= in the environment says how many, here and in the next test; every second one is without outages."""
    network, disk = lab.network(), lab.copy(made)
    server = serving.serve(lab, network, f"root={disk}")
    machine = lab.boot("diskless", made, disks=[], cards=[network.user_card()], exit_on_reboot=False,
                       append=f"root=/dev/nbd0 nbdroot={HOST},root {USER_IP} {WORDS} enforcing=1 loglevel=7")
    for boot in range(BOOTS):
        for stage in stages if boot % 2 == 0 else ():
            machine.expect(stage, timeout=outages.PATIENCE)
            server.kill()
            server = serving.serve(lab, network, f"root={disk}", name=f"server-{boot}-{stages.index(stage)}")
        machine.login(timeout=outages.PATIENCE)
        _is_confined(lab, machine)
        outages.wait_for_state(machine, "attached")
        outages.kernel_errors(machine)
        lab.require(not denied(machine), f"denials in boot {boot + 1}:\n" + "\n".join(denied(machine)[:40]))
        print(f"boot {boot + 1}: no denial")
        machine.reset()
    machine.kill()
    server.stop()


@test("the protection saves the client from System V init's scripts as its entry for them does, and without both it is dead", timeout=1800,
      long=True)
def what_saves_the_client(lab: Lab) -> None:
    survivors = ["update-rc.d lab-survivor defaults"]
    for without in ("", PROTECTION):
        made = image(lab, 12, "sysv", without=without, commands=survivors)
        for entry in (True, False):
            alive = _is_alive_at_the_end(lab, made, entry)
            print(f"protection {'no ' if without else 'yes'}  entry {'yes' if entry else 'no '}  {'alive' if alive else 'dead'}")
            lab.require(alive == (entry or not without), "that is not what the table says")


def _is_alive_at_the_end(lab: Lab, made: Image, entry: bool) -> bool:
    network = lab.network()
    disk = lab.copy(made, f"disk-{len(lab.machines)}")
    server = serving.serve(lab, network, f"root={disk}", name=f"server-{len(lab.machines)}")
    machine = lab.boot(f"diskless-{len(lab.machines)}", made, disks=[], cards=[network.user_card()],
                       append=f"root=/dev/nbd0 nbdroot={HOST},root ip=dhcp {WORDS} enforcing=1").login()
    daemon = outages.status(machine)["daemon_pid"]
    outages.keep_in_memory(machine)
    if not entry:
        machine.run("rm /run/sendsigs.omit.d/*")
    machine.poweroff(timeout=outages.PATIENCE)
    lab.require(machine.said("survivor: "), "nobody has looked")
    server.stop()
    return bool(machine.said(rf'survivor: .*"state":"attached".*"daemon_pid":{daemon},'))


# What no rule of another module can grant.
STAY = "(constrain (process (dyntransition)) (neq t2 holdfast_server_net_t))\n"
FORBIDDEN = (("read", "/etc/shadow"), ("write", "/etc/holdfast/server.conf"), ("read", "/root/.bashrc"), ("read", "/dev/vda"),
             ("write", "/dev/vg0/other"), ("bind", 10810), ("bind", 22), ("exec", "/bin/sh"), ("exec", "/usr/bin/perl"))
SERVER_FILES = {
    "/etc/holdfast/server.conf": "[generic]\nlistenaddr = 127.0.0.1\nallowlist = true\n[root]\nexportname = /dev/vg0/workstation0\ntimeout = 600\n",
    "/etc/udev/rules.d/70-holdfast-volumes.rules": (paths.REPOSITORY / "selinux/70-holdfast-volumes.rules.example").read_text(),
}


@test("with SELinux enforcing, Debian 12's server serves its volumes from a domain that can do nothing else", timeout=900, long=True)
def server_12(lab: Lab) -> None:
    _serves(lab, 12)


@test("with SELinux enforcing, Debian 13's server serves its volumes from a domain that can do nothing else", timeout=900, long=True)
def server_13(lab: Lab) -> None:
    _serves(lab, 13)


def _serves(lab: Lab, release: int) -> None:
    made = image(lab, release, "server", more_files=SERVER_FILES, commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", made, disks=[lab.copy(made), lab.blank_disk(512)], append=f"root=/dev/vda {WORDS} enforcing=1").login()
    machine.run("modprobe nbd && ip link set lo up && vgcreate -q vg0 /dev/vdb && lvcreate -q -y -L 128M -n workstation0 vg0 && "
                "lvcreate -q -y -L 32M -n other vg0 && udevadm settle")
    labels = machine.run("ls -LZ /dev/vg0/other /dev/vg0/workstation0")
    lab.require([label.split(":")[2] for label in labels.splitlines()] == ["fixed_disk_device_t", "holdfast_volume_t"], f"the labels: {labels}")
    machine.run("systemctl start holdfast-server && holdfast-client attach 127.0.0.1,root --device nbd0 && mkfs.ext4 -q /dev/nbd0 && "
                "mount /dev/nbd0 /mnt && dd if=/dev/urandom of=/mnt/file bs=1M count=8 conv=fsync status=none", timeout=outages.PATIENCE)
    server = main_process(machine)
    domains = [domain_of(machine, process) for process in (server, opener_of(machine, server))]
    lab.require(domains == ["holdfast_server_net_t", "holdfast_server_t"], f"the domains of the server and its opener: {domains}")
    client = outages.status(machine)["daemon_pid"]
    lab.require(domain_of(machine, client) == "holdfast_client_t", f"the client's domain: {domain_of(machine, client)}")
    machine.run("systemctl reload holdfast-server && systemctl restart holdfast-server && md5sum /mnt/file && echo 3 >/proc/sys/vm/drop_caches && "
                "cat /mnt/file >/dev/null", timeout=outages.PATIENCE)
    machine.run("umount /mnt && holdfast-client detach nbd0 && systemctl stop holdfast-server", timeout=outages.PATIENCE)
    # By a socket of systemd's.
    machine.write("/etc/systemd/system/holdfast-server.socket.d/here.conf", "[Socket]\nListenStream=\nListenStream=127.0.0.1:10809\n")
    machine.run("systemctl daemon-reload && systemctl start holdfast-server.socket && holdfast-client attach 127.0.0.1,root --device nbd0 && "
                "dd if=/dev/nbd0 of=/dev/null bs=64k count=4 iflag=direct status=none && holdfast-client detach nbd0", timeout=outages.PATIENCE)
    lab.require(domain_of(machine, main_process(machine)) == "holdfast_server_net_t", "its domain when a socket has started it")
    machine.run("systemctl stop holdfast-server.socket holdfast-server")
    lab.require(not denied(machine), "denials:\n" + "\n".join(denied(machine)[:40]))
    _can_do_nothing_else(lab, machine)
    outages.kernel_errors(machine)
    if release == 12:
        _refuses_to_stay(lab, machine)
    machine.poweroff(timeout=outages.PATIENCE)


def _refuses_to_stay(lab: Lab, machine: Machine) -> None:
    """Where the policy does not let it out of its opener's domain, the server does not face the network in that."""
    machine.write("/root/lab_stay.cil", STAY)
    machine.run("semodule -i /root/lab_stay.cil", timeout=outages.PATIENCE)
    status, text = machine.run_status("timeout 20 systemctl start holdfast-server; systemctl is-active holdfast-server")
    lab.require("\nactive" not in f"\n{text}", f"it runs: {status}: {text}")
    machine.run("journalctl -u holdfast-server | grep 'SELinux denied the transition to the serving domain.*holdfast_server_net_t.*Permission denied'")
    machine.run("systemctl stop holdfast-server; semodule -r lab_stay && systemctl start holdfast-server", timeout=outages.PATIENCE)
    lab.require(domain_of(machine, main_process(machine)) == "holdfast_server_net_t", "it is not in its domain again")


def _can_do_nothing_else(lab: Lab, machine: Machine) -> None:
    """Root's rights and the server's domains, the opener's and that which faces the network: what succeeds, and what is denied."""
    for attempt, opener, facing in ((("write", "/dev/vg0/workstation0"), 0, errno.EACCES),
                                    (("read", "/dev/vg0/workstation0"), 0, errno.EACCES),
                                    (("read", "/etc/holdfast/server.conf"), 0, errno.EACCES),
                                    (("bind", 10809), 0, errno.EACCES),
                                    (("read", "/etc/passwd"), 0, errno.EACCES),
                                    (("read", "/dev/null"), 0, 0),
                                    *(((what, path), errno.EACCES, errno.EACCES) for what, path in FORBIDDEN)):
        for domain, expected in (("holdfast_server_t", opener), ("holdfast_server_net_t", facing)):
            got = from_domain(machine, SYSTEM.format(domain), *attempt)
            lab.require(got == expected, f"{domain}, {attempt}: {os.strerror(got)}, and not {os.strerror(expected)}")
