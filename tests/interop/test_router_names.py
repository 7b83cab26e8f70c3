"""Name servers of an IPv6 network, from router advertisements alone: dnsmasq is router and name server."""
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import Bench, output, wait_for
from harness.registry import test

ADDRESS = "fd77::1"
# In a mount namespace of its own, whose /run and resolv.conf are those of an initramfs.
BOOT = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0"/run /run && mount --bind "$0"/resolv.conf /etc/resolv.conf && exec "$@"')


def spawn(*command: str) -> subprocess.Popen[bytes]:
    """A process that says when it is ready, with its first line."""
    made = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert made.stdout and made.stdout.readline()
    return made


class Site:
    """Two network namespaces with a wire between them: the machine, whose network is not configured, and the router."""

    def __init__(self, machine: int, router: int) -> None:
        self.machine, self.router = (("nsenter", f"--net=/proc/{pid}/ns/net", "--") for pid in (machine, router))
        output(*self.machine, "ip", "link", "set", "lo", "up")
        output(*self.machine, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1", "netns", str(router))
        output(*self.router, "ip", "link", "set", "lo", "up")
        output(*self.router, "ip", "link", "set", "eth1", "up")
        output(*self.router, "ip", "address", "add", f"{ADDRESS}/64", "dev", "eth1", "nodad")
        output(*self.machine, "ip", "link", "set", "eth0", "up")


@contextmanager
def site() -> Iterator[Site]:
    holders = [spawn("unshare", "--net", "--", "sh", "-c", "echo ready && exec sleep infinity") for _ in range(2)]
    try:
        yield Site(*(holder.pid for holder in holders))
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()


def command(bench: Bench, place: Site, words: str, *options: str) -> list[str]:
    command_line = bench.file("cmdline", content=f"{words}\n".encode())
    (bench.folder / "run").mkdir(exist_ok=True)
    bench.file("resolv.conf")
    return [*place.machine, *BOOT, str(bench.folder), str(bench.client_program), "boot", "--cmdline", str(command_line), *options]


def boot(bench: Bench, place: Site, words: str, limit: int = 4) -> str:
    """Output of the boot's command, which attaches nothing: there is no server, or no driver."""
    done = subprocess.run(command(bench, place, words, "--limit", str(limit)), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode != 0
    return done.stderr


@contextmanager
def begun(bench: Bench, place: Site, words: str) -> Iterator[Path]:
    """The boot's command, which is ended at the end; its output."""
    said = bench.file("said")
    with said.open("wb") as out:
        running = subprocess.Popen(command(bench, place, words), stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            yield said
        finally:
            running.kill()
            running.wait()


@contextmanager
def dnsmasq(bench: Bench, place: Site, *options: str) -> Iterator[None]:
    log = bench.folder / "dnsmasq.log"
    with log.open("wb") as out:
        server = subprocess.Popen([*place.router, "dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--no-resolv",
                                   "--no-hosts", "--user=root", "--pid-file=", "--interface=eth1", "--bind-interfaces", f"--dhcp-leasefile={bench.folder}/leases",
                                   *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            wait_for(lambda: "started" in log.read_text(), "dnsmasq")
            yield
        finally:
            server.kill()
            server.wait()


@test("on a network of IPv6 only, the server's name is looked up with the name server of a router's advertisement")
def names(bench: Bench) -> None:
    with site() as place:
        options = ("--enable-ra", "--dhcp-range=::,constructor:eth1,ra-only", f"--dhcp-option=option6:dns-server,[{ADDRESS}]", "--dhcp-option=option6:domain-search,example.test",
                   f"--host-record=files.example.test,{ADDRESS}")
        with dnsmasq(bench, place, *options):
            text = boot(bench, place, "root=/dev/nbd0 nbdroot=files.example.test,root ip=off")
            found = output(*place.machine, *BOOT, bench.folder, "getent", "ahosts", "files.example.test")
    assert "asking IPv6 routers" in text and "no name server is known" not in text, text
    assert ADDRESS in found, found
    resolver = (bench.folder / "resolv.conf").read_text()
    assert f"nameserver {ADDRESS}\n" in resolver and "search example.test\n" in resolver, resolver
    answer = (bench.folder / "run/net6-eth0.conf").read_text()
    assert "IPV6ADDR='fd77:" in answer, answer


@test("without a router that names name servers, the boot says how to name the server; an address asks nobody")
def no_router(bench: Bench) -> None:
    with site() as place:
        text = boot(bench, place, "root=/dev/nbd0 nbdroot=files.example.test,root ip=off")
        assert "name the server by its address" in text, text
        text = boot(bench, place, f"root=/dev/nbd0 nbdroot=[{ADDRESS}]/root ip=off")
        assert "routers" not in text, text
        text = boot(bench, place, f"root=/dev/nbd0 nbdroot=[{ADDRESS}]/root holdfast.disk=nbd1=files.example.test,data ip=off")
        assert "asking IPv6 routers" in text, text
        # The name of a further disk does not hold up a root disk that needs no name server.
        with begun(bench, place, f"root=/dev/nbd0 nbdroot=[{ADDRESS}],10809,root,wait=600 holdfast.disk=nbd1=files.example.test,data ip=off") as said:
            try:
                wait_for(lambda: "no name server is known" in said.read_text(), "the end of the question")
            except AssertionError as error:
                raise AssertionError(f"{error}: {said.read_text()}") from None
        # With DHCP asked for, the fault is its missing answer, which is not hidden behind a long wait for routers.
        began = time.monotonic()
        text = boot(bench, place, "root=/dev/nbd0 nbdroot=files.example.test,10809,root,nbd0,wait=60 ip=dhcp", limit=60)
        assert "got no address from DHCP" in text and "no name server is known" not in text, text
        assert time.monotonic() - began < 30, text
    assert not list(Path(bench.folder, "run").glob("net6-*"))
