"""The programs that stand between the root disk's network and the running system (network-hooks), in folders of the test's own."""
import os
import subprocess
import xml.etree.ElementTree
from collections.abc import Mapping
from pathlib import Path

from bench import Bench
from harness.registry import test

SOURCE = Path(__file__).resolve().parents[2]
MARK = "# Made by holdfast-client from the network of the root disk. Remove this line to keep the file as it is."


def run(hook: str, environment: Mapping[str, str], path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a hook with nothing but these variables, and with the programs of a folder before those of the system."""
    programs = f"{path}:/usr/bin:/bin" if path else "/usr/bin:/bin"
    return subprocess.run(["/bin/sh", str(SOURCE / "network-hooks" / hook)], capture_output=True, text=True, timeout=60,
                          env={"PATH": programs, **environment})


class System:
    """A root file system of a few files, on which lease-facts works; programs that it calls only write what they were told."""

    def __init__(self, folder: Path, *programs: str) -> None:
        self.root, self.programs = folder / "root", folder / "programs"
        for name in ("etc", "run/holdfast/facts", "run/systemd/system", "usr/lib/systemd/system", "proc/sys/kernel"):
            (self.root / name).mkdir(parents=True)
        self.write("proc/sys/kernel/hostname", "image\n")
        self.programs.mkdir()
        for name in ("systemctl", *programs):
            program = self.programs / name
            program.write_text(f"#!/bin/sh\n{{ echo \"{name} $*\"; [ -t 0 ] || [ \"{name}\" = systemctl ] || cat; }} >>{folder}/calls\n")
            program.chmod(0o755)
        self._calls = folder / "calls"

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def text(self, name: str) -> str:
        path = self.root / name
        return path.read_text() if path.exists() else ""

    def apply(self, **facts: str) -> str:
        """Write the files of facts (eth0_boot=...), run the program, return what it said."""
        for name, text in facts.items():
            self.write("run/holdfast/facts/" + name.replace("_", "."), text)
        done = run("lease-facts", {"HOLDFAST_ROOT": str(self.root)}, self.programs)
        assert done.returncode == 0, done
        return done.stdout + done.stderr

    def calls(self) -> str:
        text = self._calls.read_text() if self._calls.exists() else ""
        self._calls.unlink(missing_ok=True)
        return text


@test("without a resolver of its own, a diskless system gets a resolv.conf with the name servers of the lease, and a renewal changes "
      "what it names")
def resolv_conf(bench: Bench) -> None:
    system = System(bench.folder)
    assert system.apply(eth0_boot="dns 10.0.0.1 10.0.0.2\ndomain lab.test\n") == ""
    assert system.text("etc/resolv.conf") == f"{MARK}\nsearch lab.test\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n"
    assert system.text("run/holdfast/resolv.conf") == system.text("etc/resolv.conf")
    before = os.stat(system.root / "etc/resolv.conf").st_ino
    assert system.apply() == ""
    assert os.stat(system.root / "etc/resolv.conf").st_ino == before, "written again without a change"
    assert system.apply(eth0_renewed="dns 10.0.0.3\nsearch eng.lab.test lab.test\n") == ""
    assert system.text("etc/resolv.conf") == f"{MARK}\nsearch eng.lab.test lab.test\nnameserver 10.0.0.3\n"
    assert system.apply(eth0_renewed="ntp 10.0.0.3\n") == ""
    assert "nameserver 10.0.0.1\n" in system.text("etc/resolv.conf"), "a key that a renewal does not name stays that of the boot"
    assert system.apply(eth0_boot="domain lab.test\n", eth1_boot="dns 10.1.0.1 10.0.0.9\n", eth2_boot="dns 10.0.0.9\n") == ""
    assert system.text("etc/resolv.conf") == f"{MARK}\nsearch lab.test\nnameserver 10.1.0.1\nnameserver 10.0.0.9\n"
    assert system.apply(eth1_boot="domain x\n", eth2_boot="domain x\n") == ""
    assert not (system.root / "etc/resolv.conf").exists(), "our file outlives its name servers"
    assert "systemctl" not in system.calls()


@test("name servers and domains of DHCPv6 are used besides those of IPv4, and stay when the IPv4 lease is renewed")
def dual_stack(bench: Bench) -> None:
    system = System(bench.folder)
    assert system.apply(eth0_boot6="dns fd00::53\nsearch six.test\n") == ""
    assert system.text("etc/resolv.conf") == f"{MARK}\nsearch six.test\nnameserver fd00::53\n"
    assert system.apply(eth0_boot="dns 10.0.0.1\ndomain lab.test\n") == ""
    assert system.text("etc/resolv.conf") == f"{MARK}\nsearch lab.test six.test\nnameserver 10.0.0.1\nnameserver fd00::53\n"
    assert system.apply(eth0_renewed="dns 10.0.0.3\n") == ""
    assert system.text("etc/resolv.conf") == f"{MARK}\nsearch lab.test six.test\nnameserver 10.0.0.3\nnameserver fd00::53\n"


@test("a resolv.conf that somebody else has written, or a link, is left alone and named; one that is empty is not")
def owned_resolv_conf(bench: Bench) -> None:
    system = System(bench.folder)
    for text in ("nameserver 9.9.9.9\n", "# our site\n", "# Generated by NetworkManager\nnameserver 9.9.9.9\n", "options edns0\n"):
        system.write("etc/resolv.conf", text)
        said = system.apply(eth0_boot="dns 10.0.0.1\n")
        assert "etc/resolv.conf: left alone, because another program or an administrator has written it; remove it" in said, said
        assert system.text("etc/resolv.conf") == text
    for text in ("", "# Generated by NetworkManager\n", f"{MARK}\nnameserver 9.9.9.9\n"):
        system.write("etc/resolv.conf", text)
        assert system.apply() == ""
        assert system.text("etc/resolv.conf") == f"{MARK}\nnameserver 10.0.0.1\n"
    for target, said in (("/run/resolvconf/resolv.conf", "because it is a link;"), ("/run/holdfast/resolv.conf", ""),
                         ("../run/systemd/resolve/stub-resolv.conf", "a link to systemd-resolved, which is not installed")):
        (system.root / "etc/resolv.conf").unlink()
        (system.root / "etc/resolv.conf").symlink_to(target)
        heard = system.apply()
        assert said in heard and bool(said) == bool(heard), heard
        assert os.readlink(system.root / "etc/resolv.conf") == target
    assert system.text("run/holdfast/resolv.conf") == f"{MARK}\nnameserver 10.0.0.1\n"


@test("systemd-resolved, systemd-timesyncd, chrony and resolvconf get the servers of the lease, and hear of a change once")
def services(bench: Bench) -> None:
    system = System(bench.folder, "resolvconf", "chronyc")
    for unit in ("systemd-resolved.service", "systemd-timesyncd.service"):
        system.write(f"usr/lib/systemd/system/{unit}", "")
    facts = "dns 10.0.0.1 10.0.0.2\nsearch lab.test\nntp 10.0.0.4 time.lab.test\n"
    assert system.apply(eth0_boot=facts) == ""
    assert system.text("run/systemd/resolved.conf.d/holdfast.conf") == \
        f"{MARK}\n[Resolve]\nDNS=10.0.0.1 10.0.0.2\nDomains=lab.test\n"
    assert system.text("run/systemd/timesyncd.conf.d/holdfast.conf") == f"{MARK}\n[Time]\nNTP=10.0.0.4 time.lab.test\n"
    assert system.text("run/chrony-dhcp/holdfast.sources") == "server 10.0.0.4 iburst\nserver time.lab.test iburst\n"
    calls = system.calls()
    for call in ("systemctl --no-block try-reload-or-restart systemd-resolved.service",
                 "systemctl --no-block try-reload-or-restart systemd-timesyncd.service", "chronyc reload sources",
                 f"resolvconf -a eth0.holdfast\n{MARK}\nsearch lab.test\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n"):
        assert call in calls, (call, calls)
    assert not (system.root / "etc/resolv.conf").exists(), "resolvconf owns the file"
    system.apply()
    assert "systemctl" not in system.calls() and not (system.root / "run/chrony-dhcp/holdfast.sources.holdfast").exists()
    system.apply(eth0_boot="domain lab.test\n")
    assert not (system.root / "run/systemd/resolved.conf.d/holdfast.conf").exists()
    calls = system.calls()
    assert "systemd-resolved.service" in calls and "resolvconf -d eth0.holdfast" in calls, calls


@test("resolvconf that is another name of resolvectl is not asked, and the link to systemd-resolved stays")
def resolvectl(bench: Bench) -> None:
    system = System(bench.folder, "resolvectl")
    (system.programs / "resolvconf").symlink_to("resolvectl")
    system.write("usr/lib/systemd/system/systemd-resolved.service", "")
    (system.root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    assert system.apply(eth0_boot="dns 10.0.0.1\n") == ""
    assert "DNS=10.0.0.1" in system.text("run/systemd/resolved.conf.d/holdfast.conf")
    assert "resolvectl" not in system.calls()


@test("the host name is taken only if there is one, and nothing at all is done without facts")
def host_name(bench: Bench) -> None:
    system = System(bench.folder)
    assert system.apply() == ""
    assert not (system.root / "run/holdfast/resolv.conf").exists()
    system.apply(eth0_boot="dns 10.0.0.1\n")
    assert system.text("proc/sys/kernel/hostname") == "image\n"
    system.apply(eth0_boot="hostname client7\n")
    assert system.text("proc/sys/kernel/hostname") == "client7\n"


@test("systemd-networkd-wait-online waits if systemd-networkd configures an interface, and is skipped if it leaves all alone")
def wait_online(bench: Bench) -> None:
    links, interfaces = bench.folder / "links", bench.folder / "net"
    for index, name in enumerate(("lo", "eth0", "eth1"), 1):
        (interfaces / name).mkdir(parents=True)
        (interfaces / name / "ifindex").write_text(f"{index}\n")
    links.mkdir()

    def status(limit: int = 1, **states: str) -> int:
        for name, text in states.items():
            (links / (interfaces / name / "ifindex").read_text().strip()).write_text(f"# private\n{text}\nOPER_STATE=routable\n")
        return run("wait-online", {"HOLDFAST_NETIF_LINKS": str(links), "HOLDFAST_INTERFACES": str(interfaces),
                                   "HOLDFAST_LIMIT": str(limit)}).returncode

    assert status() == 0, "no decision, so the unit itself waits"
    assert status(lo="ADMIN_STATE=unmanaged", eth0="ADMIN_STATE=unmanaged") == 0, "eth1 is undecided"
    assert status(eth1="ADMIN_STATE=pending") == 0
    assert status(eth1="ADMIN_STATE=unmanaged") == 1
    for state in ("configuring", "configured", "failed"):
        assert status(limit=600, eth1=f"ADMIN_STATE={state}\nREQUIRED_FOR_ONLINE=yes") == 0, state
    assert status(eth1="ADMIN_STATE=configuring\nREQUIRED_FOR_ONLINE=no") == 1


@test("the service of firewalld names the port of the server")
def firewalld(bench: Bench) -> None:
    service = xml.etree.ElementTree.parse(SOURCE / "server" / "firewalld.xml").getroot()
    assert service.tag == "service" and [child.tag for child in service] == ["short", "description", "port"]
    port = service.find("port")
    assert port is not None and port.attrib == {"protocol": "tcp", "port": "10809"}
