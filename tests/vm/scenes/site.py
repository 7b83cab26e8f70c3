"""The services of a site on the host, for a machine on the bridge: dnsmasq gives the machine ADDRESS for two minutes, and the names of
the domain lab.test."""

import re
import signal
import time

from lab import Lab
from lab.failure import Failure
from lab.machine import Machine
from lab.network import BRIDGE_HOST, Network

ADDRESS = "10.77.0.100"
# Waits for network-online.target at boot.
ONLINE = {"/etc/systemd/system/lab-online.service":
          "[Unit]\nWants=network-online.target\nAfter=network-online.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
          "ExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"}
# Facts from DHCP besides the address.
OPTIONS = f"option:dns-server,{BRIDGE_HOST}\noption:domain-search,lab.test\n"


class Site:
    def __init__(self, lab: Lab, network: Network) -> None:
        network.bridge_card()  # makes the bridge, so that dnsmasq can listen on it
        self._options = lab.scratch / "dhcp-options"
        self._options.write_text(OPTIONS)
        self._dnsmasq = network.spawn(
            ["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--user=root", "--interface=br0",
             "--bind-interfaces", f"--dhcp-leasefile={lab.scratch}/leases", "--pid-file=", "--log-dhcp", "--no-resolv", "--no-hosts",
             f"--dhcp-optsfile={self._options}", f"--host-record=files.lab.test,{BRIDGE_HOST}",
             "--host-record=files.eng.lab.test,10.77.0.7", f"--dhcp-range={ADDRESS},{ADDRESS},255.255.255.0,2m"], ready="DHCP")

    def says(self, options: str) -> None:
        """Change the options for the next request of a client."""
        self._options.write_text(options)
        self._dnsmasq.signal(signal.SIGHUP)

    def granted(self) -> int:
        """How often dnsmasq has granted the address."""
        return len(re.findall(rf"DHCPACK\(br0\) {ADDRESS}", self._dnsmasq.text()))


def names_work(machine: Machine, name: str = "files", address: str = BRIDGE_HOST, timeout: float = 60) -> None:
    """The name, which only the site's server knows, and only with the domain to search."""
    machine.wait_until(f"getent hosts {name} | grep -w {address}", timeout=timeout)


def online_after(machine: Machine) -> float:
    """Seconds from the first units to network-online.target, which a unit of the image waits for (ONLINE)."""
    deadline = time.monotonic() + 60
    while machine.run("systemctl is-active lab-online.service || :").strip() != "active":
        if time.monotonic() > deadline:
            raise Failure("network-online.target is not reached: " + machine.run("systemctl list-jobs"))
        time.sleep(1)
    begin, end = (int(machine.run(f"systemctl show --value -p ActiveEnterTimestampMonotonic {unit}"))
                  for unit in ("sysinit.target", "network-online.target"))
    return (end - begin) / 1e6
