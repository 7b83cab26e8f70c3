"""Our packages beside Debian's nbd-client, on one system."""
import json
from pathlib import Path

from building import repository
from chroot import WITH_NBD_CLIENT, Chroot, chroot, give_repository
from harness.registry import test


def initramfs(system: Chroot) -> Path:
    """Folder with the content of an initramfs, made now."""
    system.write("/etc/initramfs-tools/conf.d/modules", "MODULES=list\n")  # quick: the scripts matter here
    system.run("rm -rf /srv/tree && mkinitramfs -o /srv/initrd $(ls /lib/modules) && unmkinitramfs /srv/initrd /srv/tree")
    tree = system.root / "srv/tree"
    return tree / "main" if (tree / "main").exists() else tree


@test("beside nbd-client, the initramfs has our boot script alone, and a device has a unit of one of the two", long=True)
def beside_nbd_client(folder: Path) -> None:
    with chroot(folder, WITH_NBD_CLIENT) as system:
        theirs = initramfs(system)
        assert "/scripts/local-top/nbd " in (theirs / "scripts/local-top/ORDER").read_text(), "nbd-client no longer has a boot script"

        give_repository(system, repository(folder))
        # Counts for nothing here, and takes long.
        system.write("/usr/local/sbin/update-initramfs", "#!/bin/sh\n", 0o755)
        system.run("PATH=/usr/local/sbin:$PATH apt-get -q install -y --no-install-recommends holdfast-client")
        installed = system.run("dpkg-query -W -f '${db:Status-Status} ' nbd-client holdfast-client")
        assert installed.split() == ["installed"] * 2, installed
        ours = initramfs(system)
        order = (ours / "scripts/local-top/ORDER").read_text()
        assert "/scripts/local-top/holdfast " in order and "local-top/nbd" not in order, order
        runs_theirs = system.try_run(f"grep -rlE '^[^#]*(/sbin/nbd-client|NBDCLIENT)' /{ours.relative_to(system.root)}/scripts").stdout
        assert not runs_theirs, f"these run nbd-client: {runs_theirs}"

        # Imports two devices; the unit of nbd-client stays enabled for the first.
        system.write("/etc/nbdtab", "nbd1 192.0.2.1 one\nnbd2 192.0.2.1 two persist\n")
        assert json.loads(system.run("holdfast-client import-config --json"))["written"] is False
        assert not (system.root / "etc/holdfast/devices").exists()
        system.run("holdfast-client import-config --write && holdfast-client devices --check && systemctl enable nbd@nbd1")
        system.run("rm -f /dev/kmsg && mkdir /srv/units && $(dpkg -L holdfast-client | grep generators/) /srv/units /srv/units /srv/units")
        units = system.run("cd /srv/units && find . ! -type d | sort").split()
        assert units == ["./dev-nbd2.device.d/50-holdfast.conf", "./remote-fs.target.wants/holdfast@nbd2.service"], units
        said = system.read("/dev/kmsg")
        assert "nbd1: nbd@nbd1.service of nbd-client is enabled" in said and "systemctl disable nbd@nbd1.service" in said, said

        system.run("systemctl disable nbd@nbd1 && rm -r /srv/units && mkdir /srv/units && "
                   "$(dpkg -L holdfast-client | grep generators/) /srv/units /srv/units /srv/units")
        assert "holdfast@nbd1.service" in system.run("find /srv/units"), "the device is left without a unit"
        assert system.read("/etc/nbdtab").startswith("nbd1 192.0.2.1 one")
