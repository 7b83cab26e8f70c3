"""Installation, upgrade, removal and purge in a chroot. No kernel with NBD is asked: where a device matters, the kernel's and the
daemon's files are put in place, and a script stands for the client."""
import hashlib
import re
from pathlib import Path

from building import NAMES, later_version, repository, version
from chroot import Chroot, chroot, give_repository
from harness.registry import test

# State of dpkg and apt, caches and logs; the database of users, since a system user stays after a purge; the folder that
# semodule makes for all modules of administrators and packages; and insserv's cache.
PASSING = re.compile(r"/(?:var/(?:lib/(?:dpkg|apt)|cache|log|tmp)|proc|run|mnt|tmp|sys|dev|root)/|/etc/(?:passwd|group|shadow|gshadow)-?$|"
                     r"/etc/ld.so.cache$|/etc/init.d/.depend|/var/lib/selinux/default/active/modules/400/$")
# Files that semodule rewrites with every change of the policy.
REBUILT = re.compile(r"/(?:etc/selinux|var/lib/selinux)/")


def state_of(system: Chroot) -> dict[str, str]:
    """Path -> content's hash, of all files and folders that an installation may not change for ever."""
    found = {}
    for path in system.run("find / -xdev -mindepth 1 -printf '%y %p\\n'").splitlines():
        kind, name = path.split(" ", 1)
        if PASSING.search(name + ("/" if kind == "d" else "")):
            continue
        file = system.root / name.lstrip("/")
        found[name] = hashlib.sha256(file.read_bytes()).hexdigest() if kind == "f" and not REBUILT.search(name) else kind
    return found


def divert(system: Chroot, program: str, script: str) -> None:
    """Put a script in a program's place, also across its package's upgrades."""
    system.run(f"dpkg-divert --local --rename --divert {program}.real --add {program}")
    system.write(program, f"#!/bin/sh\n{script}\n", 0o755)


def attach(system: Chroot, device: str, *, root: bool) -> None:
    """Files that tell of an attached device."""
    system.write(f"/sys/block/{device}/pid", "1\n")
    system.write(f"/run/holdfast/{device}.state", f"carries_root {int(root)}\n")


def pid_of_server(system: Chroot) -> str:
    return system.read("/run/holdfast-server.pid").strip()


def serve_a_file(system: Chroot) -> None:
    system.run("mkdir -p /srv && truncate -s 1M /srv/disk")
    system.write("/etc/holdfast/server.conf", "[generic]\nlistenaddr = 127.0.0.1\n[disk]\nexportname = /srv/disk\n")


def whole_life(folder: Path, kind: str) -> None:
    with chroot(folder, kind) as system:
        give_repository(system, repository(folder))
        before = state_of(system)
        # Counts only: without a kernel there is no initramfs to build.
        divert(system, "/usr/sbin/update-initramfs", 'echo "$@" >>/run/initramfs-updates')

        system.run(f"apt-get -q install -y {' '.join(NAMES)}")
        updates = system.read("/run/initramfs-updates").splitlines()
        assert len(updates) == 1, f"the installation runs update-initramfs {len(updates)} times"
        assert system.run("holdfast-client --version && holdfast-server --version").count(version()) == 2
        modules = system.run("semodule -l").split()
        assert {"holdfast", "holdfast_client", "holdfast_server"} <= set(modules), f"modules of the policy: {modules}"
        system.run("getent passwd holdfast-server")
        assert system.run("dpkg --verify holdfast-client holdfast-server holdfast-selinux | grep -v /usr/share/ || true") == ""

        give_repository(system, repository(folder, later_version()))
        system.run("apt-get -q full-upgrade -y")
        installed = system.run("dpkg-query -W -f '${Version} ' 'holdfast-*'").split()
        assert installed == [later_version()] * len(NAMES), f"versions after the upgrade: {installed}"
        updates = system.read("/run/initramfs-updates").splitlines()
        assert len(updates) == 2, f"installation and upgrade run update-initramfs {len(updates)} times"

        system.run(f"apt-get -q remove -y {' '.join(NAMES)}")
        assert "holdfast" not in system.run("semodule -l")
        system.run(f"apt-get -q purge -y {' '.join(NAMES)}")
        system.run("rm /usr/sbin/update-initramfs && dpkg-divert --local --rename --remove /usr/sbin/update-initramfs")
        after = state_of(system)
        left = sorted(after.keys() - before.keys())
        lost = sorted(before.keys() - after.keys())
        changed = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
        assert not left and not lost and not changed, f"left: {left}\nlost: {lost}\nchanged: {changed}"


@test("with systemd, the packages are installed, upgraded, removed and purged, and nothing is left", long=True)
def life_with_systemd(folder: Path) -> None:
    whole_life(folder, "systemd")


@test("with System V init, the packages are installed, upgraded, removed and purged, and nothing is left", long=True)
def life_with_sysvinit(folder: Path) -> None:
    whole_life(folder, "sysvinit")


@test("an upgrade has attached devices taken over, and succeeds with a warning if that fails", long=True)
def upgrade_takes_over(folder: Path) -> None:
    with chroot(folder, "systemd") as system:
        divert(system, "/usr/sbin/holdfast-client", 'echo "$@" >>/run/calls; exit "$(cat /run/status)"')
        system.write("/run/status", "0")
        give_repository(system, repository(folder))
        system.run("apt-get -q install -y holdfast-client")
        assert system.read("/run/calls") == "", "a takeover without a device"

        attach(system, "nbd0", root=True)
        give_repository(system, repository(folder, later_version()))
        system.run("apt-get -q upgrade -y")
        assert system.read("/run/calls") == "takeover\n", f"calls: {system.read('/run/calls')!r}"

        system.write("/run/status", "1")
        give_repository(system, repository(folder))
        output = system.run(f"apt-get -q install -y --allow-downgrades holdfast-client={version()}")
        assert "could not take over" in output, output
        assert system.read("/run/calls") == "takeover\n" * 2
        assert system.run("dpkg-query -W -f '${db:Status-Status}' holdfast-client") == "installed"


@test("a removal is refused while a device is attached, and succeeds with the documented permission", long=True)
def removal_is_refused(folder: Path) -> None:
    with chroot(folder, "systemd") as system:
        give_repository(system, repository(folder))
        system.run("apt-get -q install -y holdfast-client")
        for device, root, reason in (("nbd0", True, "nbd0 carries the root file system"), ("nbd1", False, "nbd1 is attached")):
            attach(system, device, root=root)
            done = system.try_run("apt-get -q remove -y holdfast-client")
            assert done.returncode != 0 and reason in done.stdout and "/run/holdfast/allow-removal" in done.stdout, done.stdout
            assert system.run("dpkg-query -W -f '${db:Status-Status}' holdfast-client") == "installed"
            assert (system.root / "usr/sbin/holdfast-client").exists()
        # A chroot that shares these folders has no devices of its own.
        system.run("mkdir /inner && mount --rbind / /inner && chroot /inner sh /var/lib/dpkg/info/holdfast-client.prerm remove")
        system.run("umount -l /inner")

        system.run("touch /run/holdfast/allow-removal && apt-get -q remove -y holdfast-client")
        assert not (system.root / "usr/sbin/holdfast-client").exists()
        assert not (system.root / "run/holdfast/allow-removal").exists(), "the permission is for one removal"


@test("under systemd, the installation starts the sockets that announce a shutdown, and no server", long=True)
def sockets_are_started(folder: Path) -> None:
    with chroot(folder, "systemd") as system:
        divert(system, "/bin/systemctl", 'echo "$@" >>/run/calls; case " $* " in *" is-"*) echo disabled; exit 1 ;; esac')
        system.run("mkdir -p /run/systemd/system")
        give_repository(system, repository(folder))
        system.run("apt-get -q install -y holdfast-client holdfast-server")
        started = [call.split()[-1] for call in system.read("/run/calls").splitlines() if "start" in call.split()]
        assert sorted(started) == [f"holdfast-until@{target}.socket" for target in ("halt", "kexec", "poweroff", "reboot", "shutdown")], started


@test("an upgrade restarts a running server, and a removal stops it", long=True)
def server_is_restarted(folder: Path) -> None:
    with chroot(folder, "sysvinit") as system:
        divert(system, "/sbin/runlevel", "echo N 2")
        give_repository(system, repository(folder))
        system.run("apt-get -q install -y holdfast-server")
        assert not pid_of_server(system), "a server without a configuration"
        serve_a_file(system)
        system.run("invoke-rc.d holdfast-server start")
        first = pid_of_server(system)

        give_repository(system, repository(folder, later_version()))
        system.run("apt-get -q upgrade -y")
        second = pid_of_server(system)
        assert second and second != first, f"process {first} before the upgrade, {second} after"
        assert system.run(f"readlink /proc/{second}/exe").strip() == "/usr/sbin/holdfast-server"

        system.run("apt-get -q purge -y holdfast-server")
        assert system.try_run("pgrep holdfast-server").returncode == 1
        assert (system.root / "etc/holdfast/server.conf").exists(), "the administrator's file is gone"
