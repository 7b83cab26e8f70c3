"""Images with a network manager, and the words and files that choose which one has the interface."""
import time

from lab import Lab
from lab.machine import Machine

PACKAGES = ("ifupdown", "isc-dhcp-client")
FILES = {
    "/etc/network/interfaces": "auto lo\niface lo inet loopback\n\nauto eth0\nallow-hotplug eth0\niface eth0 inet dhcp\n",
    "/etc/systemd/network/50-dhcp.network": "[Match]\nName=e*\n\n[Network]\nDHCP=yes\n",
    # Reports whether the client survived the end of all other processes: systemd runs this last of all, sysvinit after sendsigs.
    "/usr/lib/systemd/system-shutdown/lab-survivor": "#!/bin/sh\necho \"survivor: $(holdfast-client status nbd0 --json)\" >/dev/console\n",
    "/etc/init.d/lab-survivor": "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: lab-survivor\n# Required-Start:\n# Required-Stop: umountroot\n"
                                "# X-Stop-After: sendsigs\n# Default-Start:\n# Default-Stop: 0 6\n### END INIT INFO\n"
                                "exec /usr/lib/systemd/system-shutdown/lab-survivor\n",
}
# For a test of what happens if nothing keeps the network: ends the process that would restore it, at the end of the initramfs.
UNGUARDED = {
    "/etc/initramfs-tools/scripts/init-bottom/lab-unguarded":
        "#!/bin/sh\n[ \"$1\" != prereqs ] || exit 0\nfor p in /proc/[0-9]*; do\n\tread -r name <$p/comm\n"
        "\t[ \"$name\" != holdfast-net ] || kill -KILL \"${p#/proc/}\"\ndone\n",
}
# Units of each manager: the kernel command line masks those of the managers that a test is not about.
UNITS = {
    "ifupdown": ("networking.service", "ifup@eth0.service", "ifupdown-pre.service"),
    "systemd-networkd": ("systemd-networkd.service", "systemd-networkd.socket"),
    "NetworkManager": ("NetworkManager.service",),
}


def words_for(manager: str) -> str:
    return " ".join(f"systemd.mask={unit}" for other, units in UNITS.items() if other != manager for unit in units)


def hangs(lab: Lab, machine: Machine, seconds: float = 60) -> None:
    """It is neither up nor off after a time in which it would be."""
    time.sleep(seconds)
    lab.require(machine.running(), "the machine has come to its end all the same")
    lab.require(not machine.said(r"reboot: Power down"), "the machine goes on all the same")
