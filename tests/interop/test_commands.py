"""Commands of holdfast-client for attached devices, with a daemon and a /sys/block of the test's own instead of a kernel's device."""
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import ENVIRONMENT, MIB, Bench, output
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, MINE, receive

GREETING = b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 3)
IDENTIFIER = f"holdfast:{MINE.hex()}"
GIVEN_UP = f"nbd0-{MINE.hex()[:8]}.given-up"
# Has /run/holdfast and /sys/block of its own.
PRIVATE = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && mkdir /run/holdfast && mount --bind "$0"/run /run/holdfast && '
           'mount --bind "$0"/block /sys/block && exec "$@"')


def record(port: int, more: str = "") -> str:
    """The record of nbd0, whose server is at this port of loopback."""
    address = struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton("127.0.0.1") + b"\0" * 8
    text = f"127.0.0.1:{port}"
    return (f"holdfast-record 1\nindex 0\nidentifier {IDENTIFIER}\nsession {MINE.hex()}\nsize 1048576\n"
            f"target {address.hex()} {b'disk'.hex()} {text.encode().hex()} nbd://{text}/disk\n{more}")


class Machine:
    """nbd0 and its daemon, which answers each order."""

    def __init__(self, bench: Bench, state: str, answer: Callable[[str], str] | None) -> None:
        self.bench = bench
        self.run_folder = bench.folder / "run"
        self.run_folder.mkdir()
        device = bench.folder / "block/nbd0"
        (device / "queue").mkdir(parents=True)
        for name, text in (("pid", "1"), ("backend", IDENTIFIER), ("size", "2048"), ("inflight", "0 0"), ("queue/iostats", "1"), ("ro", "0")):
            (device / name).write_text(text + "\n")
        (self.run_folder / "nbd0.state").write_text(state)
        self.socket = socket.socket(socket.AF_UNIX)
        if answer:
            self.socket.bind(str(self.run_folder / "nbd0.sock"))
            self.socket.listen()
            threading.Thread(target=self._serve, args=(answer,), daemon=True).start()

    def _serve(self, answer: Callable[[str], str]) -> None:
        while True:
            try:
                link = self.socket.accept()[0]
            except OSError:
                return
            with link:
                link.sendall(answer(link.recv(64).decode().strip()).encode())

    def run(self, *words: str, environment: dict[str, str] = ENVIRONMENT) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*PRIVATE, str(self.bench.folder), str(self.bench.client_program), *words], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)


@contextmanager
def machine(bench: Bench, state: str, answer: Callable[[str], str] | None) -> Iterator[Machine]:
    made = Machine(bench, state, answer)
    try:
        yield made
    finally:
        made.socket.close()


def forced_detach(bench: Bench, state: str, keeps_record: bool = True) -> subprocess.CompletedProcess[str]:
    def detach(order: str) -> str:
        assert order == "detach forced", order
        os.remove(bench.folder / "block/nbd0/pid")
        kept = bench.folder / "run/nbd0.state"
        if keeps_record:
            kept.rename(bench.folder / "run" / GIVEN_UP)
        else:
            kept.unlink()
        return "ok\n"

    with machine(bench, state, detach) as place:
        return place.run("detach", "--force", "nbd0")


@test("detach --force of a device whose server does not confirm the fence has an exit status of its own")
def not_fenced(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        done = forced_detach(bench, record(hanging.getsockname()[1], "session_known 1\n"))
    assert done.returncode == 9 and "did not confirm that they are discarded" in done.stderr, done
    assert (bench.folder / "run" / GIVEN_UP).exists()


@test("detach --force of a device whose record was not kept is not called fenced")
def no_record(bench: Bench) -> None:
    done = forced_detach(bench, record(1, "session_known 1\n"), keeps_record=False)
    assert done.returncode == 9 and "no record was kept" in done.stderr, done


@test("detach --force of a device whose server cannot fence, or which was not written to, has nothing to confirm")
def nothing_to_fence(bench: Bench) -> None:
    done = forced_detach(bench, record(1, "session_known 0\n"), keeps_record=False)
    assert done.returncode == 0 and done.stderr == "", done


@test("detach without a daemon does not take requests that are not counted for none")
def uncounted(bench: Bench) -> None:
    library = bench.folder / "nbd_netlink.so"
    output("cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("nbd_netlink.c"))
    asan = os.environ.get("ASAN_OPTIONS", "")
    environment = ENVIRONMENT | {"LD_PRELOAD": str(library), "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0".lstrip(":")}
    with machine(bench, record(1), None) as place:
        (bench.folder / "block/nbd0/queue/iostats").write_text("0\n")
        disk = bench.file("disk", MIB)
        device = f'rm -f /dev/nbd0; touch /dev/nbd0 && mount --bind {disk} /dev/nbd0 && exec "$@"'
        done = subprocess.run([*PRIVATE, str(bench.folder), "sh", "-c", f"mount -t tmpfs none /dev && : >/dev/null; {device}", "sh",
                               str(bench.client_program), "detach", "nbd0"], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 6 and "does not count the requests in flight" in done.stderr, (done, place)


@test("status of a root disk ends in time, also while the server sends a byte now and then")
def trickling(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def trickle() -> None:
            link = listening.accept()[0]
            link.sendall(GREETING)
            receive(link, len(CLIENT_FLAGS))
            try:
                while True:
                    link.sendall(b"\0")
                    time.sleep(0.5)  # the pace of the server, not a wait for an event
            except OSError:
                return

        threading.Thread(target=trickle, daemon=True).start()
        state = record(listening.getsockname()[1], "carries_root 1\n")
        with machine(bench, state, lambda _: "index 0\nstate attached\n") as place:
            (place.run_folder / "nbd0.bootfiles-accepted").touch()
            began = time.monotonic()
            done = place.run("status", "nbd0")
        assert done.returncode == 0 and time.monotonic() - began < 8, (time.monotonic() - began, done)
