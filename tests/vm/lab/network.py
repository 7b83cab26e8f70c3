"""Networks confined to this host.

A Network is a network namespace of its own: nothing but loopback, and a bridge once a card asks for it. A machine's
card joins it in one of two ways:
- user_card(): QEMU's user network. The namespace's 127.0.0.1 (and ::1) is 10.0.2.2 (and fec0::2) to the guest. It has
  DHCP and TFTP, and is enough for one machine and servers that run on the host.
- bridge_card(): a tap on the bridge, for machines that talk to each other. The host's side is 10.77.0.1 (fd77::1).
  Its cable can be pulled and plugged in again. A Host is a further computer on the bridge, without a machine: its own
  address, and programs of ours.
The namespace belongs to a sleeping process, so it is gone with everything in it when that ends, however it ends.
"""

import dataclasses
import os
import pathlib
import time
from collections.abc import Sequence

from lab import process
from lab.failure import Failure

HOST = "10.0.2.2"  # the namespace's loopback, to a guest on a user network
HOST6 = "fec0::2"
BRIDGE_HOST = "10.77.0.1"
BRIDGE_HOST6 = "fd77::1"
# An address from the kernel command line for the user network: quicker than klibc's DHCP, which can lose 10 s.
USER_IP = "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off"


_ROUTER = pathlib.Path(__file__).with_name("router.py")


@dataclasses.dataclass(frozen=True)
class Card:
    """Network card of a machine."""

    network: "Network"
    netdev: str
    mac: str
    tap: str = ""  # the host's end of a card on the bridge

    def arguments(self, name: str, with_boot_rom: bool) -> list[str]:
        rom = "" if with_boot_rom else ",romfile="
        return ["-netdev", f"{self.netdev},id={name}", "-device", f"virtio-net-pci,netdev={name},mac={self.mac}{rom}"]


class Namespace:
    """Network namespace with loopback, in which programs of the host can run."""

    def __init__(self, logs: pathlib.Path) -> None:
        self._logs = logs
        self._services: list[process.Service] = []
        self._holder = process.start(["unshare", "--net", "--", "sleep", "infinity"], stdin=process.DEVNULL)
        self.holder = self._holder.pid
        self.prefix = ["nsenter", f"--net=/proc/{self.holder}/ns/net", "--"]
        self._wait_for_namespace()
        self.run(["ip", "link", "set", "lo", "up"])

    def run(self, command: Sequence[str]) -> str:
        """Run a program of the host inside, to its end; return its output."""
        return process.output_of([*self.prefix, *map(str, command)])

    def spawn(self, command: Sequence[str], name: str | None = None, ready: str | None = None,
              timeout: float = 10) -> process.Service:
        """Start a program of the host inside. Its output goes to a log with its name; `ready` is a pattern in that log
        to wait for."""
        name = name or pathlib.Path(str(command[0])).name
        service = process.Service([*self.prefix, *map(str, command)], self._logs / f"{name}.log", shown_as=command)
        self._services.append(service)
        if ready:
            service.expect(ready, timeout)
        return service

    def wait_for_port(self, port: int, timeout: float = 10) -> None:
        """Wait until a program listens on the TCP port inside."""
        deadline = time.monotonic() + timeout
        while not self.run(["ss", "-Hltn", f"sport = :{port}"]).strip():
            if time.monotonic() > deadline:
                raise Failure(f"nothing listens on port {port} after {timeout} s")
            time.sleep(0.05)

    def close(self) -> None:
        for service in reversed(self._services):
            service.stop()
        process.end(self._holder)

    def without_ipv6(self) -> None:
        self.run(["sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"])

    def _wait_for_namespace(self) -> None:
        """Wait until the holder has entered its namespace, shortly after its start."""
        ours = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + 10
        while os.readlink(f"/proc/{self._holder.pid}/ns/net") == ours:
            if time.monotonic() > deadline or self._holder.poll() is not None:
                raise Failure("no network namespace could be made (`unshare --net`)")
            time.sleep(0.005)


class Host(Namespace):
    """Computer on the bridge of a network, for tests with several servers. Created by Network.host()."""

    def __init__(self, logs: pathlib.Path, name: str) -> None:
        super().__init__(logs)
        self.name = name

    def prepare(self) -> None:
        """Configure the card. With arp_notify, the kernel announces an address like cluster software."""
        self.without_ipv6()
        self.run(["sysctl", "-q", "-w", "net.ipv4.conf.eth0.arp_notify=1"])

    def take(self, address: str) -> None:
        """Take the address and announce it on the bridge."""
        self.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
        self.run(["ip", "link", "set", "eth0", "up"])

    def leave(self) -> None:
        """Leave the network without notice; its programs keep running."""
        self.run(["ip", "link", "set", "eth0", "down"])
        self.run(["ip", "address", "flush", "dev", "eth0"])


class Network(Namespace):
    """See the module. ipv6=False disables IPv6 inside, so that no resolver considers a link-local address a network."""

    def __init__(self, logs: pathlib.Path, ipv6: bool = False) -> None:
        super().__init__(logs)
        self.ipv6 = ipv6
        self._cards = 0
        self._taps = 0
        self._has_bridge = False
        self._hosts: list[Host] = []
        if not ipv6:
            self.without_ipv6()

    def user_card(self, *, tftp: pathlib.Path | None = None, bootfile: str = "", mac: str | None = None) -> Card:
        """Card on QEMU's user network; bootfile is a path inside the tftp folder."""
        ipv6 = self.ipv6 or bootfile  # firmware waits 14 s for an IPv6 router
        netdev = f"user,ipv4=on,ipv6={'on' if ipv6 else 'off'}"
        netdev += f",tftp={tftp}" if tftp else ""
        netdev += f",bootfile={bootfile}" if bootfile else ""
        return Card(self, netdev, mac or self._next_mac())

    def bridge_card(self, mac: str | None = None) -> Card:
        """Card on the bridge of the namespace, which is created with the first card."""
        if not self._has_bridge:
            self._make_bridge()
        self._taps += 1
        tap = f"tap{self._taps}"
        self.run(["ip", "tuntap", "add", tap, "mode", "tap"])
        self.run(["ip", "link", "set", tap, "master", "br0", "up"])
        return Card(self, f"tap,ifname={tap},script=no,downscript=no", mac or self._next_mac(), tap)

    def pull(self, card: Card) -> None:
        """Silently drop all packets between a bridge_card() and the bridge: the card keeps its carrier, as behind a
        switch."""
        self.run(["ip", "link", "set", card.tap, "down"])

    def plug(self, card: Card) -> None:
        """Undo pull()."""
        self.run(["ip", "link", "set", card.tap, "up"])

    def host(self, name: str) -> "Host":
        """Add a computer to the bridge, without an address; it ends with the network."""
        if not self._has_bridge:
            self._make_bridge()
        host = Host(self._logs, name)
        self._hosts.append(host)
        self.run(["ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", host.holder])
        self.run(["ip", "link", "set", f"to-{name}", "master", "br0", "up"])
        host.prepare()
        return host

    def close(self) -> None:
        for host in self._hosts:
            host.close()
        super().close()

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_bridge(self) -> None:
        self._has_bridge = True
        self.run(["ip", "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0"])
        self.run(["ip", "address", "add", f"{BRIDGE_HOST}/24", "dev", "br0"])
        if self.ipv6:
            self.run(["ip", "address", "add", f"{BRIDGE_HOST6}/64", "dev", "br0", "nodad"])
        self.run(["ip", "link", "set", "br0", "up"])
        self.spawn(["/usr/bin/python3", _ROUTER, "br0"], name="router", ready="ready")

    def _next_mac(self) -> str:
        self._cards += 1
        return f"52:54:00:77:00:{self._cards:02x}"

