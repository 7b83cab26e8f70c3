"""A Debian system in a chroot with process, mount and network namespaces of its own; nothing of the host is changed."""
import contextlib
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from lab.images import Base, base

# Dependencies of our packages, so that apt needs no network, and programs that the tests use.
NEEDED = ("initramfs-tools", "kmod", "udev", "iproute2", "procps", "libcap-ng0", "libnl-3-200", "libnl-genl-3-200", "libseccomp2",
          "policycoreutils", "selinux-policy-default")
KINDS = {"systemd": ("systemd-sysv",), "sysvinit": ("sysvinit-core", "systemd-standalone-sysusers")}
# The file server of the virtual machines: with nbd-client, a kernel and systemd.
WITH_NBD_CLIENT = "server"

MOUNT = """
set -eu
mount -t overlay overlay -o lowerdir="$1",upperdir="$2/upper",workdir="$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount -t tmpfs tmpfs "$2/root/run"
mount --bind "$2/share" "$2/root/mnt"
ip link set lo up
: >"$2/share/.ready"
# The shell reaps the daemons that the tests start.
exec chroot "$2/root" sh -c 'sleep infinity & wait'
"""


class Chroot:
    """`root`: its file system; `share`: a folder of the host that the system has as /mnt."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        # The mounts are visible only inside.
        self.root = Path(f"/proc/{pid}/root")
        self.share = folder / "share"

    def try_run(self, script: str) -> subprocess.CompletedProcess[str]:
        # dpkg may start daemons, which must not keep a pipe open: hence a file.
        output = self.share / ".output"
        with output.open("w+") as file:
            done = subprocess.run(["nsenter", "-t", str(self._pid), "-m", "-p", "-n", "-r", "-w", "env", "-i", "DEBIAN_FRONTEND=noninteractive",
                                   "LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=file,
                                  stderr=file)
        return subprocess.CompletedProcess(script, done.returncode, output.read_text())

    def run(self, script: str) -> str:
        done = self.try_run(script)
        assert done.returncode == 0, f"{script}: ended with {done.returncode}:\n{done.stdout[-4000:]}"
        return done.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def read(self, path: str) -> str:
        file = self.root / path.lstrip("/")
        return file.read_text() if file.exists() else ""


def wait_until_ready(holder: subprocess.Popen[bytes]) -> int:
    """The process whose root is the chroot, once that is so."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and holder.poll() is None:
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/root/mnt/.ready").exists():
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError("the chroot could not be mounted")


@contextlib.contextmanager
def chroot(folder: Path, kind: str) -> Iterator[Chroot]:
    """A fresh Debian of the host's release, for which the packages are built, with this kind of init; not booted."""
    release = int(platform.freedesktop_os_release()["VERSION_ID"])
    wanted = base(kind, release) if kind == WITH_NBD_CLIENT else Base(f"packages-{kind}", release, (*NEEDED, *KINDS[kind]))
    tree = wanted.tree()
    own = folder / f"chroot-{kind}-{time.monotonic_ns()}"
    for name in ("upper", "work", "root", "share"):
        (own / name).mkdir(parents=True)
    holder = subprocess.Popen(["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", MOUNT, "sh", str(tree), str(own)])
    try:
        yield Chroot(wait_until_ready(holder), own)
    finally:
        holder.kill()  # unshare ignores SIGTERM; --kill-child ends the rest
        holder.wait()
        subprocess.run(["rm", "-rf", "--one-file-system", str(own)], check=True)


def give_repository(system: Chroot, source: Path) -> None:
    """apt's only source from now on."""
    shutil.rmtree(system.share / "repository", ignore_errors=True)
    shutil.copytree(source, system.share / "repository")
    system.run("rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*")
    suite = next((source / "dists").iterdir()).name
    system.write("/etc/apt/sources.list", f"deb [trusted=yes] file:/mnt/repository {suite} main\n")
    system.run("apt-get -q update")
