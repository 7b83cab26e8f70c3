#!/usr/bin/python3
"""First connections of many hosts at the same time: each from an address of its own.

    many_hosts.py SERVER EXPORT ADDRESS...

Each reads the first 16 bytes of the export, writes its address there, and flushes. Prints a JSON object: of each address what it
read, or the refusal.
"""

import json
import socket
import struct
import sys
import threading

OPTION, REQUEST = struct.Struct(">QII"), struct.Struct(">IHHQQI")
PATIENCE = 3600


def receive(link: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = link.recv(count - len(got))
        if not more:
            raise EOFError(f"{len(got)} of {count} bytes")
        got += more
    return got


def use(server: str, export: str, address: str) -> str:
    with socket.create_connection((server, 10809), timeout=PATIENCE, source_address=(address, 0)) as link:
        receive(link, 18)
        name = export.encode()
        link.sendall(struct.pack(">I", 3) + OPTION.pack(0x49484156454F5054, 7, len(name) + 6) +
                     struct.pack(">I", len(name)) + name + struct.pack(">H", 0))
        kind = 3
        while kind == 3:
            _, _, kind, length = struct.unpack(">QIII", receive(link, 20))
            data = receive(link, length)
        if kind != 1:
            return "refused: " + data.decode()
        link.sendall(REQUEST.pack(0x25609513, 0, 0, 1, 0, 4096))
        found = receive(link, 16 + 4096)[16:32]
        link.sendall(REQUEST.pack(0x25609513, 0, 1, 2, 0, 4096) + address.encode().ljust(4096, b"."))
        link.sendall(REQUEST.pack(0x25609513, 0, 3, 3, 0, 0))
        for reply in range(2):
            _, error, _ = struct.unpack(">IIQ", receive(link, 16))
            if error:
                return f"error {error} of request {reply}"
        link.sendall(REQUEST.pack(0x25609513, 0, 2, 4, 0, 0))
    return found.decode()


def main() -> None:
    server, export, *addresses = sys.argv[1:]
    results: dict[str, str] = {}

    def note(address: str) -> None:
        try:
            results[address] = use(server, export, address)
        except (OSError, EOFError) as error:
            results[address] = f"failed: {error!r}"

    threads = [threading.Thread(target=note, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(results))


main()
