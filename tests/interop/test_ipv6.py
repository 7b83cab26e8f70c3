"""IPv6 as networks without IPv4 have it: link-local addresses, each with its interface."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench import MIB, Bench, Server, free_port, output, wait_for
from harness.registry import test


class Link:
    """Network namespace with two interfaces on one wire, that have link-local addresses only."""

    def __init__(self, holder: int) -> None:
        self.prefix = ("nsenter", f"--net=/proc/{holder}/ns/net", "--")

    def run(self, *command: str) -> str:
        return output(*self.prefix, *command)

    def serve(self, bench: Bench, config: str) -> Server:
        path = bench.file("server.conf", content=config.encode())
        log_file = bench.folder / "server.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen([*self.prefix, bench.server_program, "--foreground", "--config", path], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        server = Server(process, 0, log_file)
        bench.servers.append(server)
        wait_for(lambda: " serves " in server.log() or process.poll() is not None, "the server")
        return server


@contextmanager
def link() -> Iterator[Link]:
    holder = subprocess.Popen(["unshare", "--net", "--", "sh", "-c", "echo ready && exec sleep infinity"], stdout=subprocess.PIPE)
    try:
        assert holder.stdout and holder.stdout.readline() == b"ready\n"
        made = Link(holder.pid)
        made.run("ip", "link", "set", "lo", "up")
        made.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        for name, address in (("eth0", "fe80::1"), ("eth1", "fe80::2")):
            made.run("ip", "link", "set", name, "addrgenmode", "none", "up")
            made.run("ip", "address", "add", f"{address}/64", "dev", name, "nodad")
        yield made
    finally:
        holder.kill()
        holder.wait()


@test("the server listens on a link-local address, and clients name it with their interface")
def link_local(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    port = free_port()
    with link() as wire:
        server = wire.serve(bench, f"[generic]\nport = {port}\nallowlist = true\nlistenaddr = [fe80::1%eth0], fe80::2%eth1\n[disk]\nexportname = {disk}\n")
        assert server.process.poll() is None, server.log()
        addresses = wire.run("ss", "-Hltn")
        assert f"[fe80::1]%eth0:{port}" in addresses and f"[fe80::2]%eth1:{port}" in addresses, addresses
        for place in ("fe80::1%eth0", "fe80::2%eth1"):
            assert "disk" in wire.run(str(bench.client_program), "list", f"[{place}]:{port}"), place
            assert wire.run("nbdinfo", "--size", f"nbd://[{place.replace('%', '%25')}]:{port}/disk").strip() == str(MIB)


@test("a link-local address without its interface is refused with what to write")
def without_interface(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    with link() as wire:
        server = wire.serve(bench, f"[generic]\nport = {free_port()}\nlistenaddr = fe80::1\n[disk]\nexportname = {disk}\n")
        assert server.process.wait(10) != 0
        assert "the address is link-local; add its interface: fe80::1%eth0" in server.log(), server.log()
