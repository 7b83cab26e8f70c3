"""The servers that are compared, each started so as to be as fast as it can be and still answer to flushes truly."""
import shlex
from pathlib import Path

from figures import OURS, PEERS
from bench import Bench, Server, free_port, nbd_server

# So many clients at once must be let in by all of them.
CLIENTS = 1100


def start(name: str, place: Bench, disk: Path, variants: dict[str, str], readonly: bool = False) -> Server:
    """With the file as export "disk" on a port of its own. What is no known name is a variant: a program and its words that
    stand where `holdfast-server` would."""
    port = free_port()
    match name:
        case "nbd-server":
            config = place.file("nbd.conf", content=f"[generic]\nport = {port}\nlistenaddr = 127.0.0.1\n[disk]\nexportname = {disk}\n"
                                                    f"flush = true\nfua = true\nreadonly = {str(readonly).lower()}\n".encode())
            return place.start(port, *nbd_server(config))
        case "nbdkit":
            return place.start(port, "nbdkit", "-f", "-i", "127.0.0.1", "-p", str(port), *(["-r"] if readonly else []), "file", disk)
        case "qemu-nbd":
            return place.start(port, "qemu-nbd", "-t", "-e", str(CLIENTS), "-f", "raw", "-b", "127.0.0.1", "-p", str(port), "-x", "disk",
                               *(["-r"] if readonly else []), disk)
    config = place.file("holdfast.conf", content=f"[generic]\nport = {port}\nlistenaddr = 127.0.0.1\nmaxconnections = {CLIENTS}\n"
                                                 f"[disk]\nexportname = {disk}\nreadonly = {str(readonly).lower()}\n".encode())
    program = shlex.split(variants[name]) if name in variants else [str(place.server_program)]
    return place.start(port, *program, "--foreground", "--config", config)


class Serving:
    """One of them, while it is entered."""

    def __init__(self, *how) -> None:
        self._how = how

    def __enter__(self) -> Server:
        self._server = start(*self._how)
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.process.kill()
        self._server.process.wait()


def known(variants: dict[str, str]) -> list[str]:
    """In the order of the columns."""
    return [OURS, *variants, *PEERS]
