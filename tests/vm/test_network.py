"""The root disk's network and the managers of networks that Debian ships: with each of them in charge of the same interface by
DHCP, a diskless machine boots, works, reboots, works, and powers off, cleanly. It reaches network-online.target without a wait, and
resolves names by the server that DHCP named. Beside the administrator's own configuration, netplan and cloud-init have theirs.

    system                none   ifupdown   systemd-networkd   NetworkManager
    Debian 12, sysvinit    long     long           -                 long
    Debian 12, systemd     long     long              x                 long
    Debian 13, systemd     long     long           long              long

And ifupdown-ng, in the place of ifupdown, on Debian 12 with systemd (long).

The field with an x is for `make check`, those with "long" for `make check-long`.
"""

import json

from lab import Lab, test
from lab.layer import Image
from lab.machine import Machine
from lab.network import BRIDGE_HOST, HOST
from scenes import outages, serving, site
from scenes.managed_network import FILES, PACKAGES, UNGUARDED, UNITS, hangs, words_for

# Files as netplan and cloud-init generate them, at each boot or once.
_NETPLAN = """#!/bin/sh
# As netplan's own generator.
mkdir -p /run/systemd/network /run/NetworkManager/conf.d /run/NetworkManager/system-connections
printf '[Match]\\nName=eth0\\n\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=ipv6\\n\\n[DHCP]\\nRouteMetric=100\\nUseMTU=true\\n' \\
    >/run/systemd/network/10-netplan-eth0.network
printf '[device-netplan.ethernets.all]\\nmatch-device=type:ethernet\\nmanaged=1\\n' >/run/NetworkManager/conf.d/netplan.conf
printf '[connection]\\nid=netplan-eth0\\ntype=ethernet\\ninterface-name=eth0\\n\\n[ipv4]\\nmethod=auto\\n' \\
    >/run/NetworkManager/system-connections/netplan-eth0.nmconnection
chmod 600 /run/NetworkManager/system-connections/netplan-eth0.nmconnection
"""
GENERATED = {
    "/etc/systemd/system-generators/lab-netplan": _NETPLAN,
    "/etc/systemd/network/10-cloud-init-eth0.network": "[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n",
    "/etc/network/interfaces": "auto lo\niface lo inet loopback\n\nsource /etc/network/interfaces.d/*\n",
    "/etc/network/interfaces.d/50-cloud-init": "auto eth0\nallow-hotplug eth0\niface eth0 inet dhcp\n",
}

SYSV_COMMANDS = {
    "none": ["update-rc.d lab-survivor defaults", "rm /etc/network/interfaces"],
    "ifupdown": ["update-rc.d lab-survivor defaults"],
    "NetworkManager": ["update-rc.d lab-survivor defaults", "rm /etc/network/interfaces"],
}


def packages_for(manager: str) -> tuple[str, ...]:
    """NetworkManager brings a lot with it, so it is only where it is needed."""
    return (*PACKAGES, "network-manager") if manager == "NetworkManager" else PACKAGES


def systemd_image(lab: Lab, release: int, manager: str) -> Image:
    return lab.image("client", release, packages=packages_for(manager), files={**FILES, **GENERATED, **site.ONLINE},
                     commands=["systemctl enable systemd-networkd.service lab-online.service"])


def sysv_image(lab: Lab, manager: str) -> Image:
    packages = packages_for(manager)[len(PACKAGES):]
    return lab.image("sysv", 12, packages=packages, files={**FILES, **GENERATED}, commands=SYSV_COMMANDS[manager])


def lives(lab: Lab, image: Image, manager: str, words: str = "", systemd: bool = True) -> None:
    """The whole life of a diskless machine: two boots and their ends."""
    disk = lab.copy(image)
    network = lab.network()
    site.Site(lab, network)
    server = serving.serve(lab, network, f"root={disk}", address=BRIDGE_HOST)
    machine = lab.boot("diskless", image, disks=[], cards=[network.bridge_card()], exit_on_reboot=False,
                       append=f"root=/dev/nbd0 nbdroot={BRIDGE_HOST},root ip=dhcp {words}").login()
    works(lab, machine, manager, systemd)
    daemon_survives(machine, systemd)
    machine.reboot()
    machine.login()
    machine.run("test -s /root/work && rm /root/work")
    works(lab, machine, manager, systemd)
    daemon = outages.status(machine)["daemon_pid"]
    took = machine.poweroff(timeout=outages.PATIENCE)
    print(f"powered off in {took:.1f} s")
    lab.require(machine.said(rf'survivor: .*"state":"attached".*"daemon_pid":{daemon},'),
                f"the daemon {daemon} was not seen alive after everything else had been ended")
    server.stop()
    lab.check_file_system(disk)


# systemd-networkd-wait-online gives up after 120 s.
NETWORK_ONLINE_WITHIN = 60


def works(lab: Lab, machine: Machine, manager: str, systemd: bool) -> None:
    machine.run("findmnt -n -o SOURCE / | grep -x /dev/nbd0")
    if systemd:
        machine.run("systemctl is-system-running --wait | grep -x running || { systemctl --failed; exit 1; }", timeout=outages.PATIENCE)
        running = machine.run("systemctl is-active " + " ".join(units[0] for units in UNITS.values()) + " || :").splitlines()
        waited = site.online_after(machine)
        print(f"network-online.target {waited:.1f} s after sysinit.target")
        lab.require(waited < NETWORK_ONLINE_WITHIN, f"network-online.target was reached only after {waited:.1f} s")
        lab.require([word == "active" for word in running] == [manager == other for other in UNITS],
                    f"active are not {manager}, but {dict(zip(UNITS, running))}")
    machine.run("dd if=/dev/urandom of=/root/work bs=1M count=4 conv=fsync status=none && sync && echo 3 >/proc/sys/vm/drop_caches && "
                "cat /root/work >/dev/null")
    addresses = json.loads(machine.run("ip -json -4 address show eth0"))[0]["addr_info"]
    lab.require([each["local"] for each in addresses] == [site.ADDRESS], f"the addresses of eth0: {addresses}")
    status = outages.status(machine)
    lab.require(status["state"] == "attached" and status["reconnects"] == 0, f"the disk's link was touched: {status}")
    owners = "ifupdown, systemd-networkd, NetworkManager" if systemd else "ifupdown, NetworkManager"
    lab.require(f"eth0 ({site.ADDRESS}), kept from {owners}" == status["network"], f"status: {status}")
    machine.run("ip route | grep -q ^default")
    # Under System V init nothing notices that NetworkManager has emptied resolv.conf.
    if systemd or manager != "NetworkManager":
        site.names_work(machine)
    machine.run("test -e /run/systemd/system" if systemd else "test ! -e /run/systemd/system")
    machine.run("dmesg | grep -F 'configures eth0, which the root disk uses'" if manager == "ifupdown" else ":")
    outages.kernel_errors(machine)


def daemon_survives(machine: Machine, systemd: bool) -> None:
    """The network's managers may be restarted by hand, too."""
    if systemd:
        machine.run("for unit in networking systemd-networkd NetworkManager; do "
                    "! systemctl -q is-active $unit || systemctl restart $unit; done", timeout=outages.PATIENCE)
    machine.run("sync && holdfast-client status nbd0", timeout=outages.PATIENCE)


IN_CHECK = {("Debian 12 systemd", "systemd-networkd")}


def declare(system: str, manager: str, body) -> None:
    """One field of the table."""
    body.__name__ = f"{system} {manager}".lower().replace(" ", "_").replace("-", "_")
    test(f"{system} with {manager} boots, works, reboots and powers off with its network untouched", timeout=900,
         long=(system, manager) not in IN_CHECK)(body)


for _release in (12, 13):
    for _manager in ("none", *UNITS):
        declare(f"Debian {_release} systemd", _manager, lambda lab, release=_release, manager=_manager:
                lives(lab, systemd_image(lab, release, manager), manager, words_for(manager)))
for _manager in SYSV_COMMANDS:
    declare("Debian 12 sysvinit", _manager, lambda lab, manager=_manager:
            lives(lab, sysv_image(lab, manager), manager, systemd=False))


def resolved_image(lab: Lab, release: int) -> Image:
    return lab.image("client", release, packages=(*PACKAGES, "systemd-resolved"), files={**FILES, **GENERATED, **site.ONLINE},
                     commands=["ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
                               "systemctl enable systemd-networkd.service systemd-resolved.service lab-online.service"])


def declare_resolved(release: int, body) -> None:
    body.__name__ = f"debian_{release}_resolved"
    test(f"Debian {release} with systemd-networkd and systemd-resolved boots, resolves names, reboots and powers off", timeout=900,
         long=True)(body)


for _release in (12, 13):
    declare_resolved(_release, lambda lab, release=_release:
                     lives(lab, resolved_image(lab, release), "systemd-networkd", words_for("systemd-networkd")))


@test("Debian 12 systemd with ifupdown-ng boots, works, reboots and powers off with its network untouched", timeout=900, long=True)
def ifupdown_ng(lab: Lab) -> None:
    image = lab.image("client", 12, packages=("ifupdown-ng",), files=FILES, commands=["systemctl enable systemd-networkd.service"])
    lives(lab, image, "ifupdown", words_for("ifupdown"))


# More than the same system takes from a disk of its own.
SLOWER_AT_MOST = 5


def goes_down_as_soon(lab: Lab, image: Image, words: str = "") -> None:
    """Powers off from the network, and from a virtual disk, one after the other, so that the host is as busy for both."""
    network = lab.network()
    local = lab.boot(f"local-{len(lab.machines)}", image, cards=[network.user_card()], append=f"root=/dev/vda {words}").login()
    local.run("sync")
    baseline = local.poweroff(timeout=outages.PATIENCE)
    disk = lab.copy(image)
    server = serving.serve(lab, network, f"root={disk}")
    diskless = lab.boot(f"diskless-{len(lab.machines)}", image, disks=[], cards=[network.user_card()],
                        append=f"root=/dev/nbd0 nbdroot={HOST},root ip=dhcp {words}").login()
    diskless.run("sync")
    took = diskless.poweroff(timeout=outages.PATIENCE)
    server.stop()
    print(f"off after {took:.1f} s, and from a virtual disk after {baseline:.1f} s")
    lab.require(took <= baseline + SLOWER_AT_MOST, f"off after {took:.1f} s, and from a virtual disk after {baseline:.1f} s")


def declare_as_soon(system: str, manager: str, body) -> None:
    body.__name__ = f"as_soon_{system}_{manager}".lower().replace(" ", "_").replace("-", "_")
    test(f"{system} with {manager} powers off as soon as from a virtual disk", timeout=900, long=True)(body)


for _release in (12, 13):
    for _manager in ("none", *UNITS):
        declare_as_soon(f"Debian {_release} systemd", _manager, lambda lab, release=_release, manager=_manager:
                        goes_down_as_soon(lab, systemd_image(lab, release, manager), words_for(manager)))
for _manager in SYSV_COMMANDS:
    declare_as_soon("Debian 12 sysvinit", _manager, lambda lab, manager=_manager: goes_down_as_soon(lab, sysv_image(lab, manager)))


def leave(lab: Lab, release: int, key: str) -> Image:
    """The same machine, on which one of the managers is not kept from the interface."""
    return lab.image("client", release, packages=PACKAGES, commands=["systemctl enable systemd-networkd.service"],
                     files={**FILES, **UNGUARDED, "/etc/holdfast/client.conf": f"[network]\n{key} = leave\n"})


def loses_its_network(lab: Lab, manager: str, key: str, at_boot: bool) -> None:
    """What this file is about happens where it is not prevented, and nothing restores the network: the machine is cut off from its root disk, and hangs."""
    image = leave(lab, 12, key)
    disk = lab.copy(image)
    network = lab.network()
    server = serving.serve(lab, network, f"root={disk}")
    # Without its bound the daemon would end the shutdown in the end, with what was not flushed lost.
    machine = lab.boot("left", image, disks=[], cards=[network.user_card()], exit_on_reboot=False,
                       append=f"root=/dev/nbd0 nbdroot={HOST},root,nbd0,shutdown-timeout=0 ip=dhcp {words_for(manager)}")
    if not at_boot:
        machine.login()
        machine.run(f"holdfast-client status nbd0 --json | grep -F network | grep -vF {manager}")
        machine.start_command("poweroff")
    machine.expect(r"nbd0: the link to \S+ is (down|dropped)", timeout=outages.PATIENCE)
    # It tries for ever, and nothing brings the address back.
    machine.expect(r"nbd0: .*(unreachable|timed out|not stand)", timeout=outages.PATIENCE)
    hangs(lab, machine)
    machine.kill()
    server.stop()


@test("a machine whose interface is left to ifupdown hangs when it powers off", long=True)
def left_to_ifupdown(lab: Lab) -> None:
    loses_its_network(lab, "ifupdown", "ifupdown", at_boot=False)


@test("a machine whose interface is left to systemd-networkd hangs while it boots", long=True)
def left_to_networkd(lab: Lab) -> None:
    loses_its_network(lab, "systemd-networkd", "networkd", at_boot=True)
