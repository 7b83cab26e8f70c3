"""holdfast-client attach, as far as it goes without a device of the kernel."""
import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

from bench import ENVIRONMENT, MIB, Bench, output
from harness.registry import test
from nbd_wire import ACK, HOST, SESSION, receive

GREETING = b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 3)


class DroppingServer:
    """Takes the claim of each client, and then closes the connection."""

    def __init__(self) -> None:
        self.claims: list[tuple[bytes, bytes]] = []  # session; host identity, boot and attachment number
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> "DroppingServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _serve(self) -> None:
        while True:
            try:
                link = self.socket.accept()[0]
            except OSError:
                return
            with link:
                self._take_claim(link)

    def _take_claim(self, link: socket.socket) -> None:
        link.sendall(GREETING)
        receive(link, 4)
        host = b""
        while len(head := receive(link, 16)) == 16:
            number, length = struct.unpack(">8xII", head)
            data = receive(link, length)
            if number == SESSION:
                self.claims.append((data[:16], host))
                return
            if number == HOST:
                host = data[:40]
            link.sendall(struct.pack(">QIII", 0x3E889045565A9, number, ACK, 0))


def without_kernel(bench: Bench) -> dict[str, str]:
    """The environment of a client that believes in a kernel with the nbd module."""
    library = bench.folder / "nbd_netlink.so"
    output("cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("nbd_netlink.c"))
    asan = os.environ.get("ASAN_OPTIONS", "")
    return ENVIRONMENT | {"LD_PRELOAD": str(library), "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0".lstrip(":")}


# Has a /run of its own.
PRIVATE_RUN = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")


@test("an attach that names a device opens a new session at each attempt, all of the same host identity and ever later attachments")
def sessions_of_a_named_device(bench: Bench) -> None:
    environment = without_kernel(bench)
    with DroppingServer() as server:
        def attach(device: str) -> list[tuple[bytes, bytes]]:
            before = len(server.claims)
            # Two servers, each of which is tried once.
            command = [*PRIVATE_RUN, str(bench.client_program), "attach", "--wait", "0", "--device", device, *(f"nbd://127.0.0.1:{server.port}/{name}" for name in "ab")]
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
            said = done.stdout + done.stderr
            assert done.returncode != 0 and "closed" in said, said
            claims = server.claims[before:]
            assert len(claims) == 2, f"{len(claims)} claims:\n{said}"
            return claims

        claims = attach("nbd1") + attach("nbd1")
        assert len({session for session, _ in claims}) == 4, f"a session was claimed twice: {claims}"
        assert len({host[:32] for _, host in claims}) == 1, f"one device of this boot, several hosts: {claims}"
        numbers = [struct.unpack_from(">Q", host, 32)[0] for _, host in claims]
        assert numbers == sorted(set(numbers)), f"the attachment numbers do not increase: {numbers}"
        assert attach("nbd2")[0][1][:16] != claims[0][1][:16], "another device has the same host identity"


@test("attach says that the server has made the device read-only, unless that was asked for")
def read_only_export(bench: Bench) -> None:
    environment = without_kernel(bench)
    disk = bench.file("disk", MIB)
    server = bench.serve(f"ro={disk},readonly", f"rw={disk}")
    for words, wanted in ((["ro"], True), (["ro", "--read-only"], False), (["ro", "--quiet"], False), (["rw"], False)):
        command = [*PRIVATE_RUN, str(bench.client_program), "attach", "--wait", "0", "--device", "nbd1", server.uri(words[0]), *words[1:]]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        note = f"{server.uri('ro')}: the server permits no writing; the device is read-only"
        assert done.returncode == 1 and (note in done.stderr) == wanted, (words, done.stderr)
