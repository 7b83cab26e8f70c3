"""A root disk on hosts where SELinux enforces: the client in its domain, no denial, and nobody who ends it."""

import pathlib
import subprocess

import outages
from lab import Lab, paths, test
from lab.layer import Image
from lab.machine import Machine

PACKAGES = ("selinux-policy-default", "policycoreutils", "selinux-utils")
DOMAIN = "system_u:system_r:holdfast_client_t:s0"
# The policy of everything else is not what this is about, and has denials of its own.
DENIALS = "dmesg | grep 'avc: *denied' | grep -E 'holdfast|comm=\"nbd' || :"


def _modules() -> list[pathlib.Path]:
    subprocess.run(["make", "-C", str(paths.REPOSITORY), "--no-print-directory", "selinux"], check=True)
    found = sorted((paths.BUILD / "selinux").glob("*.pp")) + sorted((paths.REPOSITORY / "selinux").glob("*.cil"))
    return found


def _image(lab: Lab, release: int, kind: str = "client") -> Image:
    return outages.image(lab, release, kind=kind, packages=PACKAGES, modules=_modules())


@test("with SELinux enforcing, Debian 12 works on its root disk, and nothing but its administrator can end the client", timeout=900,
      long=True)
def systemd_12(lab: Lab) -> None:
    _lives(lab, _image(lab, 12))


@test("with SELinux enforcing, Debian 13 works on its root disk, and nothing but its administrator can end the client", timeout=900,
      long=True)
def systemd_13(lab: Lab) -> None:
    _lives(lab, _image(lab, 13))


@test("with SELinux enforcing, Debian 12 with sysvinit works on its root disk, and nothing but its administrator can end the client",
      timeout=900, long=True)
def sysvinit_12(lab: Lab) -> None:
    _lives(lab, _image(lab, 12, "sysv"))


def _lives(lab: Lab, image: Image) -> None:
    scene = outages.start(lab, made=image, append="security=selinux selinux=1 enforcing=1")
    machine = scene.machine
    lab.require(machine.run("cat /sys/fs/selinux/enforce") == "1", "SELinux does not enforce")
    _is_confined(lab, machine)
    daemon = scene.status()["daemon_pid"]
    for signal in ("TERM", "KILL", "STOP", "CONT"):
        said = machine.run_status(f"kill -{signal} {daemon}")
        lab.require(said[0] and "ermission denied" in said[1], f"kill -{signal} from {machine.run('cat /proc/self/attr/current')}: {said}")
    scene.stop_server()
    outages.wait_for_state(machine, "reconnecting")
    scene.serve()
    scene.progress()
    machine.run("holdfast-client takeover nbd0", timeout=outages.PATIENCE)
    lab.require(scene.status()["daemon_pid"] != daemon, "no takeover")
    _is_confined(lab, machine)
    scene.kill_server()
    outages.wait_for_state(machine, "reconnecting")
    scene.serve()
    scene.progress()
    denials = machine.run(DENIALS)
    (machine.console.log.parent / "denials.log").write_text(denials)
    kills = [line for line in denials.splitlines() if "tclass=process" in line and "holdfast_client_t" in line.split("tcontext=")[1]]
    others = [line for line in denials.splitlines() if line not in kills]
    lab.require(not others, "denials:\n" + "\n".join(others[:40]))
    lab.require(kills, "the kills were not denied by SELinux")
    scene.finish()


def _is_confined(lab: Lab, machine: Machine) -> None:
    machine.wait_until(f"holdfast-client status nbd0 --json | grep -F '\"domain\":\"'", timeout=60)
    status = outages.status(machine)
    lab.require(status["domain"].split(":")[2:3] == ["holdfast_client_t"], f"the daemon's context: {status['domain']}")
