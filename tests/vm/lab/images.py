"""Root file systems of Debian, built by mmdebstrap from packages and kept in the cache as plain trees.

A tree holds Debian alone; layer.py puts our programs and a test's own files on top and makes a disk image of it.
No initramfs is made here (INITRD=No), because every layer makes its own.
"""

import dataclasses
import os
import pathlib
import shlex

from lab import cachedir, debian, paths, process, progress

KEEP = 10  # trees, of some 300 MB each

BASE = ("udev", "kmod", "iproute2", "dbus", "zstd", "procps")
# The cloud kernel is small, and cannot be the first domain of Xen.
KERNEL = "linux-image-cloud-amd64"
KERNELS = {"xen": "linux-image-amd64"}
INITRAMFS_TOOLS = ("initramfs-tools",)
# Without recommended packages, which include stock nbd-client. dracut's network modules need systemd-networkd (Debian 13) or
# isc-dhcp-client (Debian 12), which come with systemd and dracut-network.
DRACUT = ("dracut", "dracut-network")
SYSTEMD = ("systemd-sysv",)
SYSVINIT = ("sysvinit-core", "initscripts", "insserv", "orphan-sysvinit-scripts", "ifupdown", "isc-dhcp-client",
            "systemd-standalone-sysusers")
# Dependencies of our packages, which are installed without a network.
OUR_LIBRARIES = ("libnl-3-200", "libnl-genl-3-200", "libcap-ng0", "libseccomp2")
KINDS: dict[str, tuple[str, ...]] = {
    "client": (*INITRAMFS_TOOLS, *SYSTEMD),
    "dracut": (*DRACUT, *SYSTEMD),
    "sysv": (*INITRAMFS_TOOLS, *SYSVINIT),
    "server": (*INITRAMFS_TOOLS, *SYSTEMD, "lvm2", "thin-provisioning-tools", "e2fsprogs", "fdisk", "dnsmasq-base", "pxelinux",
               "syslinux-common", "nbd-client", "psmisc"),
    "xen": (*INITRAMFS_TOOLS, *SYSTEMD, "xen-hypervisor-4.17-amd64", "xen-utils-4.17", "ifupdown", "bridge-utils", "isc-dhcp-client"),
}

# Run inside each tree: BEGIN, the part for the tree's initramfs, and REST.
BEGIN = r"""
passwd --quiet --delete root
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >/etc/hosts
echo 'LABEL=holdfast-root / ext4 errors=remount-ro 0 1' >/etc/fstab
rm -f /etc/resolv.conf && : >/etc/resolv.conf

"""
FOR_INITRAMFS_TOOLS = r"""# The initramfs: quick to make, able to check the root file system.
sed -i -e 's/^COMPRESS=.*/COMPRESS=zstd\nCOMPRESSLEVEL=1/' -e 's/^FSTYPE=.*/FSTYPE=ext4/' \
    /etc/initramfs-tools/initramfs.conf

"""
FOR_DRACUT = r"""# The same for dracut; not only for this host.
printf 'hostonly=no\ncompress="zstd -1"\n' >/etc/dracut.conf.d/lab.conf

"""
REST = r"""# A root login on the first serial port, for people and for expect().
mkdir -p /etc/systemd/system/serial-getty@ttyS0.service.d
cat >/etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf <<'EOF'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 ttyS0 linux
EOF
echo 'set enable-bracketed-paste off' >/etc/inputrc

# A shell for run() on the second one, where no kernel message and no echo comes in between.
cat >/usr/local/sbin/lab-shell <<'EOF'
#!/bin/sh
# Reads commands from the test runner and answers it; see serial.py of the lab.
stty -F /dev/ttyS1 raw -echo
exec </dev/null >/dev/ttyS1 2>/dev/null
cd /root && export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
echo lab-shell-"ready"
exec sh /dev/ttyS1  # as a script: an interactive shell would ignore SIGTERM and hold up every shutdown
EOF
chmod 755 /usr/local/sbin/lab-shell
cat >/etc/systemd/system/lab-shell.service <<'EOF'
[Unit]
Description=Shell of the test runner on ttyS1
After=systemd-user-sessions.service
[Service]
ExecStart=/usr/local/sbin/lab-shell
# The kernel may end a test's program; the shell is to go on.
OOMPolicy=continue
Restart=always
RestartSec=0
[Install]
WantedBy=multi-user.target
EOF
if [ -d /run/systemd ] || [ -x /lib/systemd/systemd ]; then
    systemctl enable --quiet lab-shell.service
    # Nothing that wakes up by itself, and nothing on a screen that is not there.
    systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer getty@tty1.service systemd-pstore.service
fi
if [ -e /etc/inittab ]; then
    sed -i -e '/^[1-6]:/d' /etc/inittab
    echo 'T0:2345:respawn:/sbin/agetty --autologin root --noclear --keep-baud 115200 ttyS0 linux' >>/etc/inittab
    echo 'T1:2345:respawn:/usr/local/sbin/lab-shell' >>/etc/inittab
fi

# Services that a test starts when it wants them.
for unit in dnsmasq nbd-server; do
    [ ! -e /lib/systemd/system/$unit.service ] || systemctl disable --quiet $unit.service
done
"""


@dataclasses.dataclass(frozen=True)
class Base:
    """Version of Debian: all inputs of its tree."""

    kind: str
    release: int
    packages: tuple[str, ...]
    customise: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.release}"

    @property
    def key(self) -> str:
        return cachedir.digest(self.name, sorted(self.packages), self._script() + self.customise)

    def tree(self) -> pathlib.Path:
        """Folder of the root file system. Shared by all tests, and read-only."""
        return cachedir.entry("trees", self.name, self.key, self._build, KEEP) / "root"

    def _script(self) -> str:
        """Script for all trees of the kind."""
        return BEGIN + (FOR_DRACUT if self.kind == "dracut" else FOR_INITRAMFS_TOOLS) + REST

    def _build(self, folder: pathlib.Path) -> None:
        debian.check_keys(self.release)
        archives = paths.cache() / "archives"
        archives.mkdir(exist_ok=True)
        script = folder / "customise.sh"
        script.write_text(f"set -eu\necho {self.kind} >/etc/hostname\n{self._script()}{self.customise}")
        with progress.step(f"Debian {self.release} {self.kind}: {len(self.packages)} packages and what they need"):
            process.output_of(self._command(folder / "root", archives, script), log=folder / "build.log",
                              env={**os.environ, "INITRD": "No", "LC_ALL": "C.UTF-8"}, cwd=folder)

    def _command(self, target: pathlib.Path, archives: pathlib.Path, script: pathlib.Path) -> list[str]:
        """Run mmdebstrap in a mount namespace, so that no mounts remain; .deb files are linked in and out."""
        cached, inside = shlex.quote(str(archives)), '"$1"/var/cache/apt/archives'
        hooks = {
            "setup": f"mkdir -p {inside} && find {cached} -name '*.deb' -exec cp -l -t {inside} {{}} +",
            "customize": f"find {inside} -name '*.deb' -exec cp -n -l -t {cached} {{}} + && "
                         f"chroot \"$1\" sh < {shlex.quote(str(script))}",
        }
        excluded = [f"path-exclude=/usr/share/{what}/*" for what in ("doc", "locale", "man", "info")]
        # apt keeps the linked files alone (no /download/empty, no /essential/unlink); the machine-id stays, because
        # without it systemd takes the boot for the first one and enables what its presets name.
        skipped = "cleanup/reproducible,download/empty,essential/unlink"
        return ["unshare", "--mount", "--propagation", "private", "mmdebstrap", "--mode=root", "--variant=minbase",
                "--format=directory", f"--include={','.join(self.packages)}", f"--skip={skipped}",
                "--dpkgopt=force-unsafe-io", *(f"--dpkgopt={path}" for path in excluded),
                "--aptopt=Acquire::Languages \"none\"", *(f"--aptopt={line}" for line in debian.apt_options()),
                *(f"--{when}-hook={what}" for when, what in hooks.items()),
                debian.SUITES[self.release], str(target), *debian.sources(self.release).strip().split("\n")]


def base(kind: str, release: int = 12, packages: tuple[str, ...] = (), customise: str = "") -> Base:
    """Kind of machine ("client", "dracut", "sysv", "server", "xen"), optionally with further packages and a shell script run inside."""
    return Base(kind, release, (*BASE, KERNELS.get(kind, KERNEL), *OUR_LIBRARIES, *KINDS[kind], *packages), customise)
