"""Requirements of the host for running tests, and remedies if they are missing."""

import os
import shutil

# program: the Debian package that has it
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "sysctl": "procps",
}
# ... and to build our packages, if they are not given (packaging.py)
FOR_PACKAGES = {
    "make": "make",
    "dpkg-buildpackage": "dpkg-dev",
    "dh": "debhelper",
    "mandoc": "mandoc",
    "apt-ftparchive": "apt-utils",
}
SPACE = 6  # GiB for images in the cache


def missing(cache: os.PathLike[str]) -> list[str]:
    """One sentence for each missing requirement; empty if the tests can run."""
    found = []
    if os.geteuid() != 0:
        found.append("the tests build root file systems and make network namespaces: run them as root")
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    programs = PROGRAMS if "HOLDFAST_PACKAGES" in os.environ else PROGRAMS | FOR_PACKAGES
    packages = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if packages:
        found.append(f"these packages are missing: {' '.join(packages)}; `make deps` installs them")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        found.append("/dev/net/tun cannot be opened: load the module tun, or allow it in this container")
    free = shutil.disk_usage(cache).free >> 30
    if free < SPACE:
        found.append(f"{cache} has {free} GiB free and the images need {SPACE}")
    return found
