"""A switch port in trunk mode: joins a QEMU card to a bridge, and carries a single VLAN of it.

Frames of the card with the tag go to the bridge without it, frames of the bridge go to the card with it, and frames of the card
without the tag are dropped. The host's kernel may lack VLANs, so a program does it.
Run as a program, inside the network's namespace: BRIDGE TAG PORT-OF-SWITCH PORT-OF-CARD (UDP ports of QEMU's "socket" network)
"""

import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
TAP = "trunk0"


def main(bridge: str, tag: str, own_port: str, card_port: str) -> None:
    wanted = struct.pack(">HH", 0x8100, int(tag))
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", TAP.encode(), IFF_TAP | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", TAP, "master", bridge, "up"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as card:
        card.bind(("127.0.0.1", int(own_port)))
        print("ready", flush=True)
        while True:
            for readable in select.select([tap, card], [], [])[0]:
                if readable == tap:
                    frame = os.read(tap, 65536)
                    card.sendto(frame[:12] + wanted + frame[12:], ("127.0.0.1", int(card_port)))
                else:
                    frame = card.recv(65536)
                    if frame[12:14] == wanted[:2] and struct.unpack(">H", frame[14:16])[0] & 0xFFF == int(tag):
                        os.write(tap, frame[:12] + frame[16:])


if __name__ == "__main__":
    main(*sys.argv[1:])
