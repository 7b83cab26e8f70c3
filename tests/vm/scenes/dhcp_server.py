"""A DHCP server for one address, with leases as short as asked for (dnsmasq grants no less than two minutes), which does as a
file says: `grant`, `silent`, `refuse` (DHCPNAK) or `other` (another address). Every request is a line of its log.

Run as a program, inside the network's namespace: INTERFACE OWN-ADDRESS ADDRESS SECONDS FILE
"""

import pathlib
import socket
import struct
import sys

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
COOKIE = bytes((99, 130, 83, 99))
IP_PKTINFO = 8


def options_of(packet: bytes) -> dict[int, bytes]:
    options, at = {}, 240
    while at + 1 < len(packet) and packet[at] != 255:
        if packet[at] == 0:
            at += 1
            continue
        length = packet[at + 1]
        options[packet[at]] = packet[at + 2:at + 2 + length]
        at += 2 + length
    return options


def reply(packet: bytes, kind: int, address: bytes, own: bytes, seconds: int) -> bytes:
    head = bytearray(packet[:236])
    head[0] = 2
    head[16:20] = address
    if kind == NAK:
        head[12:16] = bytes(4)
    options = bytes((53, 1, kind, 54, 4)) + own
    if kind != NAK:
        options += bytes((51, 4)) + struct.pack(">I", seconds) + bytes((1, 4, 255, 255, 255, 0))
    return bytes(head) + COOKIE + options + bytes((255,)) + bytes(60)


def state_of(packet: bytes, options: dict[int, bytes], destination: str) -> str:
    """The client's state, by what its request looks like (RFC 2131, 4.3.2)."""
    if packet[12:16] == bytes(4):
        return "selecting" if 54 in options else "init-reboot"
    if 54 in options or 50 in options:
        return "wrong"
    return "rebinding" if destination == "255.255.255.255" else "renewing"


def main(interface: str, own: str, address: str, seconds: str, file: str) -> None:
    own_bytes, address_bytes = socket.inet_aton(own), socket.inet_aton(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        server.bind(("", 67))
        print("ready", flush=True)
        while True:
            packet, control, _, sender = server.recvmsg(2048, 256)
            destination = socket.inet_ntoa(control[0][2][8:12])
            options = options_of(packet)
            kind = options.get(53, b"\0")[0]
            state = "discover" if kind == DISCOVER else state_of(packet, options, destination)
            mode = pathlib.Path(file).read_text().strip()
            print(f"{state} from {sender[0]} hardware {packet[28:34].hex()} class {options.get(60)} client {options.get(61)} "
                  f"name {options.get(12)}: {mode}", flush=True)
            if kind not in (DISCOVER, REQUEST) or mode == "silent" or state == "wrong":
                continue
            granted = address_bytes if mode != "other" else address_bytes[:3] + bytes((address_bytes[3] + 1,))
            answer = OFFER if kind == DISCOVER else NAK if mode == "refuse" else ACK
            to_all = packet[12:16] == bytes(4) or answer == NAK
            server.sendto(reply(packet, answer, bytes(4) if answer == NAK else granted, own_bytes, int(seconds)),
                          ("255.255.255.255" if to_all else socket.inet_ntoa(packet[12:16]), 68))


if __name__ == "__main__":
    main(*sys.argv[1:])
