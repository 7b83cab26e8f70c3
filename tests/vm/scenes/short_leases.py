"""A DHCP server on the host that grants one address for a short time, or does as a test says (dhcp_server.py)."""

import pathlib
import re
import sys
import time

from lab import Lab
from lab.failure import Failure
from lab.network import BRIDGE_HOST, Network
from lab.process import Service
from scenes.outages import PATIENCE

ADDRESS = "10.77.0.100"


class DhcpServer:
    """Grants ADDRESS for so many seconds, or does as it is told; see dhcp_server.py."""

    def __init__(self, lab: Lab, network: Network, seconds: int) -> None:
        self._file = lab.scratch / "dhcp-mode"
        self.does("grant")
        self._service: Service = network.spawn(
            [sys.executable, pathlib.Path(__file__).with_name("dhcp_server.py"), "br0", BRIDGE_HOST, ADDRESS, str(seconds),
             self._file],
            name="dhcp-server", ready="ready")

    def does(self, what: str) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(what)
        new.rename(self._file)

    def lines(self, *states: str) -> list[str]:
        """What it was asked in these states of a client."""
        return [line for line in self._service.text().splitlines() if re.search(rf"\b({'|'.join(states)}) from", line)]

    def wait_for(self, count: int, *states: str, what: str = "", timeout: float = PATIENCE) -> list[str]:
        deadline = time.monotonic() + timeout
        while len(lines := [line for line in self.lines(*states) if line.endswith(what)]) < count:
            if time.monotonic() > deadline:
                raise Failure(f"the DHCP server was asked {len(lines)} times, not {count} ({states}, {what!r})")
            time.sleep(0.2)
        return lines
