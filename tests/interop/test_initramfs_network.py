"""The script that configures the network in the initramfs, with interfaces of a namespace and a DHCP client that does as a test says.

Its real parts are the shell, ip, the interfaces, and `holdfast-client boot --network`.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench import Bench
from harness.registry import test

SCRIPT = Path(__file__).resolve().parents[2] / "initramfs-hooks/network"

# Begins in network and mount namespaces of its own, so that /run, /etc and /sys are those of a machine with eth0 and eth1.
# FOLDER/answers/CARD has the address that DHCP grants; FOLDER/good names the card that reaches the server.
PRELUDE = r"""
set -u
mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /etc || exit 1
for old in $(ip -o link | sed 's/^[0-9]*: //; s/[:@].*//'); do [ "$old" = lo ] || ip link delete "$old"; done
unshare --net -- sleep 120 &
switch=$!
trap 'kill $switch' EXIT
while [ "$(readlink /proc/$switch/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
for number in 0 1; do
	ip link add eth$number address 52:54:00:00:00:0$number type veth peer name peer$number netns $switch
	nsenter --net=/proc/$switch/ns/net ip link set peer$number up
done
ipconfig() {
	for card in "$@"; do :; done
	case "$card" in
	*:*)
		echo "word $card"
		card="${card#*:*:*:*:*:}" && card="${card%%:*}"
		;;
	esac
	echo "asked $card"
	ip link set "$card" up
	sleep 0.3
	[ -s "$FOLDER/answers/$card" ] || return 1
	ip address replace "$(cat "$FOLDER/answers/$card")/24" dev "$card"
	echo "DEVICE='$card'" >"/run/net-$card.conf"
}
configure_networking() {
	echo "configured with ip=$IP"
	ipconfig "$DEVICE"
}
# The time is over once the file OVER is there.
time_elapsed() {
	read -r up _ </proc/uptime
	[ ! -e "${OVER-/none}" ] || up=$((${up%%.*} + 1000))
	echo "${up%%.*}"
}
DEVICE= BOOTIF= ROOTDELAY=
# Programs that neither klibc nor our hook brings.
for missing in rm cp sed grep awk cut head tail tr; do eval "$missing() { echo \"no $missing\"; return 127; }"; done
"""

CLIENT = r"""#!/bin/sh
case "$*" in
*--network) exec "$CLIENT" boot --network --cmdline "$FOLDER/cmdline" ;;
esac
shift
echo "boot with $(cd /run && echo net-*.conf)${*:+ $*}"
: >/run/tried
[ -z "$(ip -4 -o address show dev "$(cat "$FOLDER/good")")" ] || exit 0
[ ! -e "$FOLDER/late" ] || mv "$FOLDER/late" "$FOLDER/answers/$(cat "$FOLDER/good")"
exit "${STATUS:-4}"
"""


def run(bench: Bench, words: str, answers: dict[str, str], good: str, late: str = "", before: str = "",
        variables: dict[str, str] | None = None) -> str:
    """The script's output, and the addresses at its end. The lines "before" are run before the script."""
    (bench.folder / "answers").mkdir(exist_ok=True)
    for card, address in answers.items():
        bench.file(f"answers/{card}", content=address.encode())
    bench.file("good", content=good.encode())
    bench.file("cmdline", content=f"{'' if 'nbdroot=' in words or variables and 'NBDROOT' in variables else 'nbdroot=10.0.0.1/root '}{words}\n".encode())
    if late:
        bench.file("late", content=late.encode())
    text = (PRELUDE + before + f"\n. {SCRIPT}\n"
            + 'attach_through_cards; echo "status $?"; ip -4 -o address show scope global; ip -6 -o address show\n')
    (bench.folder / "bin").mkdir(exist_ok=True)
    bench.file("bin/holdfast-client", content=CLIENT.encode()).chmod(0o755)
    program = bench.file("script", content=text.encode())
    ip_word = next((word[3:] for word in words.split() if word.startswith("ip=")), "")
    done = subprocess.run(["unshare", "--net", "--mount", "dash", str(program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, check=False, stdin=subprocess.DEVNULL,
                          env={"PATH": f"{bench.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "FOLDER": str(bench.folder), "CLIENT": str(bench.client_program),
                               "IP": ip_word, **(variables or {})})
    return done.stdout


def asked(output: str) -> set[str]:
    return {line.split()[1] for line in output.splitlines() if line.startswith("asked ")}


def check(output: str, lines: Iterable[str], missing: Iterable[str] = ()) -> None:
    for line in lines:
        assert line in output, f"no {line!r} in:\n{output}"
    for line in missing:
        assert line not in output, f"{line!r} in:\n{output}"


@test("in the initramfs, a card that does not reach the server gives its address up, and another card is tried")
def wrong_card_first(bench: Bench) -> None:
    output = run(bench, "ip=dhcp", {"eth0": "10.9.0.5"}, good="eth1", late="10.8.0.5")
    check(output, ["not reached through eth0; trying the other network cards", "boot with net-eth1.conf", "status 0", "eth1    inet 10.8.0.5/24"],
          ["inet 10.9.0.5"])


@test("in the initramfs, BOOTIF= chooses the card, and no other asks DHCP")
def boot_interface(bench: Bench) -> None:
    output = run(bench, "BOOTIF=01-52-54-00-00-00-01", {"eth0": "10.9.0.5", "eth1": "10.8.0.5"}, good="eth1")
    assert asked(output) == {"eth1"}, output
    check(output, ["status 0", "eth1    inet 10.8.0.5/24"], ["trying the other"])


@test("in the initramfs, a card of ip= or a single one is tried once, with the whole time")
def single_card(bench: Bench) -> None:
    output = run(bench, "ip=:::::eth0:dhcp", {"eth0": "10.9.0.5", "eth1": "10.8.0.5"}, good="eth1")
    assert asked(output) == {"eth0"}, output
    check(output, ["status 4"], ["trying the other"])


@test("in the initramfs, an address without a device is given to the card of BOOTIF=")
def address_without_device(bench: Bench) -> None:
    output = run(bench, "ip=10.8.0.5::10.8.0.1:255.255.255.0 BOOTIF=01-52-54-00-00-00-01", {"eth1": "10.8.0.5"}, good="eth1")
    check(output, ["configured with ip=10.8.0.5::10.8.0.1:255.255.255.0::eth1\n", "status 0"], ["asked eth0"])


@test("in the initramfs, an address without a device is tried on each card")
def address_on_each_card(bench: Bench) -> None:
    output = run(bench, "ip=10.8.0.5::10.8.0.1:255.255.255.0:host::off:10.8.0.9", {"eth0": "10.8.0.5", "eth1": "10.8.0.5"}, good="eth1")
    check(output, ["configured with ip=10.8.0.5::10.8.0.1:255.255.255.0:host:eth0:off:10.8.0.9\n", "trying the other network cards",
                   "configured with ip=10.8.0.5::10.8.0.1:255.255.255.0:host:eth1:off:10.8.0.9\n", "status 0", "eth1    inet 10.8.0.5/24"])


@test("in the initramfs, ip= with colons that asks DHCP and names no device asks it on each card")
def settings_for_each_card(bench: Bench) -> None:
    for word in ("::::diskless::dhcp", "::::diskless::", "::::diskless::any:10.8.0.9"):
        output = run(bench, f"ip={word}", {"eth1": "10.8.0.5"}, good="eth1")
        protocol = word.removeprefix("::::diskless::")
        given = "::::diskless:{}" + (f":{protocol}" if protocol else "")
        check(output, [f"word {given.format('eth0')}\n", f"word {given.format('eth1')}\n", "status 0", "eth1    inet 10.8.0.5/24"],
              ["configured with"])


@test("in the initramfs, the device all of ip= is each card, for DHCP and for an address")
def all_cards(bench: Bench) -> None:
    output = run(bench, "ip=::::diskless:all:dhcp", {"eth1": "10.8.0.5"}, good="eth1")
    check(output, ["word ::::diskless:eth0:dhcp\n", "word ::::diskless:eth1:dhcp\n", "status 0", "eth1    inet 10.8.0.5/24"], ["asked all"])
    output = run(bench, "ip=10.8.0.5::10.8.0.1:255.255.255.0:host:all:off", {"eth0": "10.8.0.5", "eth1": "10.8.0.5"}, good="eth1")
    check(output, ["configured with ip=10.8.0.5::10.8.0.1:255.255.255.0:host:eth0:off\n", "trying the other network cards",
                   "configured with ip=10.8.0.5::10.8.0.1:255.255.255.0:host:eth1:off\n", "status 0"], ["asked all"])


@test("in the initramfs, a card that does not reach the server keeps its IPv6 addresses, except those of DHCPv6")
def wrong_card_keeps_ipv6(bench: Bench) -> None:
    addresses = "".join(f"ip -6 address add {address}/64 dev eth0 nodad\n" for address in ("fe80::5", "fd00::5"))
    for before, kept in (("", True), (": >/run/net6-eth0.conf\n", False)):
        output = run(bench, "ip=dhcp", {"eth0": "10.9.0.5"}, good="eth1", late="10.8.0.5",
                     before="ip link set eth0 up\n" + addresses + before)
        check(output, ["not reached through eth0", "status 0", "eth0    inet6 fe80::5/64"], ["inet 10.9.0.5"])
        assert ("inet6 fd00::5/64" in output) == kept, output
        bench.file("answers/eth1", content=b"")


@test("in the initramfs, the last attempt of several cards takes the time of wait=, whenever the time for the network ends")
def last_attempt(bench: Bench) -> None:
    for status, over in (("4", "/run/tried"), ("5", "/run/tried"), ("5", "/run/holdfast-answers")):
        output = run(bench, "ip=dhcp", {"eth0": "10.9.0.5"}, good="eth1", variables={"STATUS": status, "OVER": over})
        assert [line for line in output.splitlines() if line.startswith(("boot", "status"))] == [
            "boot with net-eth0.conf --limit 10", "boot with net-eth0.conf", f"status {status}"], output


@test("in the initramfs, wait= of nbdroot= and rootdelay= lengthen the time for the network, also where DHCP has the rest")
def longer_time(bench: Bench) -> None:
    for words, variables in (("nbdroot=10.0.0.1,root,nbd0,wait=3000", {}), ("root=dhcp rootdelay=3000", {"NBDROOT": "dhcp"}),
                             ("root=/dev/nbd0", {"NBDROOT": "10.0.0.1,root,nbd0,wait=3000"})):
        output = run(bench, f"{words} ip=dhcp", {"eth0": "10.9.0.5"}, good="eth1", late="10.8.0.5",
                     variables={"OVER": "/run/tried", **variables})
        check(output, ["not reached through eth0; trying the other network cards", "status 0", "eth1    inet 10.8.0.5/24"])
        bench.file("answers/eth1", content=b"")


@test("in the initramfs, no other card is tried after a failure that another card does not mend")
def local_failure(bench: Bench) -> None:
    for status in ("1", "3", "6"):
        for over in ("/none", "/run/tried"):
            output = run(bench, "ip=dhcp", {"eth0": "10.9.0.5"}, good="eth1", late="10.8.0.5", variables={"STATUS": status, "OVER": over})
            check(output, ["boot with net-eth0.conf --limit 10\n", f"status {status}\n"], ["trying the other", "boot with net-eth0.conf\n"])
            bench.file("answers/eth1", content=b"")


# Calls make_links with a /sys of plain files, in which eth0 and eth1 are, and the bond that the kernel would add.
LINKS = r"""
set -u
mkdir -p "$FOLDER/sys/class/net/bond0/bonding"
for card in eth0 eth1; do mkdir "$FOLDER/sys/class/net/$card"; done
for file in bonding_masters bond0/mtu bond0/bonding/slaves bond0/bonding/mode bond0/bonding/miimon bond0/bonding/arp_ip_target; do
	: >"$FOLDER/sys/class/net/$file"
done
mount --bind "$FOLDER/sys" /sys && mount -t tmpfs tmpfs /run || exit 1
ip() { echo "ip $*"; }
modprobe() { :; }
DEVICE=
"""


@test("in the initramfs, a bond gets its options before its ports, and VLANs are made above it")
def links(bench: Bench) -> None:
    bench.file("cmdline", content=b"vlan=bond0.7:bond0 bond=bond0:eth0,eth1:arp_ip_target=10.0.0.1;10.0.0.2,mode=active-backup:9000\n")
    (bench.folder / "bin").mkdir()
    bench.file("bin/holdfast-client", content=CLIENT.encode()).chmod(0o755)
    # The first port comes late: it is added by the second call, which changes nothing else.
    text = (LINKS + f". {SCRIPT}\nmv /sys/class/net/eth0 /sys/eth0\nmake_links\n" + 'cat /sys/class/net/bond0/bonding/slaves\n'
            + "mkdir /sys/class/net/eth1/master /sys/class/net/bond0.7\necho stays >/sys/class/net/bond0/bonding/mode\n"
            + 'mv /sys/eth0 /sys/class/net/eth0\necho again\nmake_links\necho "card $network_card"\n')
    done = subprocess.run(["unshare", "--net", "--mount", "dash", str(bench.file("script", content=text.encode()))], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
                          env={"PATH": f"{bench.folder}/bin:/usr/sbin:/usr/bin", "FOLDER": str(bench.folder), "CLIENT": str(bench.client_program)})
    bond = bench.folder / "sys/class/net/bond0"
    assert done.stdout.splitlines() == [
        "ip link set dev eth1 down", "ip link set dev bond0 up", "ip link add link bond0 name bond0.7 type vlan id 7", "+eth1", "again",
        "ip link set dev eth0 down", "card bond0.7"], done.stdout
    assert (bond / "mtu").read_text() == "9000\n"
    assert (bond / "bonding/arp_ip_target").read_text() == "+10.0.0.2\n"
    assert (bond / "bonding/mode").read_text() == "stays\n"
    assert (bond / "bonding/slaves").read_text() == "+eth0\n"
