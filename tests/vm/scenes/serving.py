"""Servers on the host for the machines of a test: ours, and those of others. To the machine they are at network.HOST."""

import pathlib

from lab import Lab
from lab.network import Namespace, Network
from lab.process import Service

PORT = 10809


def serve(lab: Lab, network: Namespace, *exports: str, port: int = PORT, address: str = "127.0.0.1",
          name: str | None = None) -> Service:
    """holdfast-server with exports NAME=PATH[,readonly]; returns when it listens."""
    words = [word for export in exports for word in ("--export", export)]
    service = network.spawn([lab.build / "holdfast-server", "--foreground", "--listen", f"{address}:{port}", *words],
                            name=name or f"holdfast-server-{port}")
    network.wait_for_port(port)
    return service


def serve_configured(lab: Lab, network: Network, configuration: str, port: int = PORT) -> Service:
    """holdfast-server with a configuration file."""
    path = lab.scratch / "server.conf"
    path.write_text(configuration)
    service = network.spawn([lab.build / "holdfast-server", "--foreground", "--config", path])
    network.wait_for_port(port)
    return service


def serve_with(program: str, lab: Lab, network: Network, disk: pathlib.Path, port: int) -> str:
    """Another server with the disk; returns the name of its export."""
    command: list[str]
    match program:
        case "nbd-server":
            configuration = lab.scratch / f"nbd-server-{port}.conf"
            configuration.write_text(f"[generic]\nport = {port}\nlistenaddr = 127.0.0.1\n"
                                     f"[disk]\nexportname = {disk}\nflush = true\nfua = true\ntrim = true\n")
            # It leaves its parent by itself; this way it ends with the test all the same.
            command = ["unshare", "--pid", "--fork", "--kill-child", "--", "sh", "-c",
                       f"nbd-server -C {configuration} -p {configuration}.pid && exec sleep infinity"]
        case "nbdkit":
            command = ["nbdkit", "-f", "-i", "127.0.0.1", "-p", str(port), "file", str(disk)]
        case "qemu-nbd":
            command = ["qemu-nbd", "--persistent", "--format=raw", "--discard=unmap", "--bind=127.0.0.1",
                       f"--port={port}", "--export-name=disk", str(disk)]
        case _:
            command = [str(lab.build / "holdfast-server"), "--foreground", "--listen", f"127.0.0.1:{port}", "--export",
                       f"disk={disk}"]
    network.spawn(command, name=f"{program}-{port}")
    network.wait_for_port(port)
    return "disk"
