"""Answers IPv6 router solicitations on an interface with "no router", so that firmware does not wait for a router.

iPXE asks for an IPv6 router beside DHCP and starts nothing before it has an answer or 14 s have gone by. The answer names
no prefix and no route, so a booted system takes nothing from it. Run as a program, inside the network's namespace.
"""

import socket
import struct
import sys

ETHERTYPE_IPV6 = 0x86DD
ICMPV6 = 58
SOLICITATION, ADVERTISEMENT = 133, 134
SOL_PACKET, ADD_MEMBERSHIP, PROMISCUOUS = 263, 1, 1
OUR_ADDRESS = socket.inet_pton(socket.AF_INET6, "fe80::77")
ALL_NODES = socket.inet_pton(socket.AF_INET6, "ff02::1")


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def advertisement(hardware_address: bytes) -> bytes:
    """Complete frame: lifetime 0, no flags, no options."""
    message = struct.pack(">BBHBBHII", ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0)
    pseudo_header = OUR_ADDRESS + ALL_NODES + struct.pack(">II", len(message), ICMPV6)
    message = message[:2] + struct.pack(">H", checksum(pseudo_header + message)) + message[4:]
    packet = struct.pack(">IHBB", 6 << 28, len(message), ICMPV6, 255) + OUR_ADDRESS + ALL_NODES + message
    return b"\x33\x33\x00\x00\x00\x01" + hardware_address + struct.pack(">H", ETHERTYPE_IPV6) + packet


def main(interface: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_IPV6)) as link:
        link.bind((interface, ETHERTYPE_IPV6))
        request = struct.pack("iHH8s", socket.if_nametoindex(interface), PROMISCUOUS, 0, b"")
        link.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, request)
        answer = advertisement(link.getsockname()[4])
        print("ready", flush=True)
        while frame := link.recv(2048):
            if len(frame) > 54 and frame[20] == ICMPV6 and frame[54] == SOLICITATION:
                link.send(answer)


if __name__ == "__main__":
    main(sys.argv[1])
