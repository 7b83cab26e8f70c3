"""A network that delivers the second half of a write much too late: a proxy between a client and its NBD server.

    stale_proxy.py LISTEN:PORT SERVER:PORT OFFSET LENGTH [hang]

The first WRITE request of OFFSET and LENGTH is held back in its middle: the server gets the header and half of the data,
the client's connection is cut, and the connection to the server stays open. All other connections pass. With `hang` the
client's connection is not cut: it waits for an answer that never comes, as with a server that hangs. At SIGUSR1 the
server gets the rest of the held write. What has happened is printed: `held`, then `delivered: ...` with what the server
made of it.
"""

import re
import select
import signal
import socket
import struct
import sys

WRITE = struct.pack(">I", 0x25609513) + b"..\x00\x01........"  # magic, flags, type, cookie
PATIENCE = 20  # seconds for the server to answer, or to hang up on, a write that comes late


def address(text: str) -> tuple[str, int]:
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Proxy:
    """One thread. Both ends of a connection are in `peers`, each with the other."""

    def __init__(self, server: tuple[str, int], offset: int, length: int, hang: bool) -> None:
        self._server = server
        self._hang = hang
        self._length = length
        self._wanted = re.compile(WRITE + re.escape(struct.pack(">QI", offset, length)), re.DOTALL)
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._kept: tuple[socket.socket, bytearray] | None = None  # the server's side, and what it is to get
        self._begun: tuple[socket.socket, bytearray] | None = None  # the client's side, and what came of the write
        self._hung: socket.socket | None = None
        self._done = False

    def run(self, listener: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([listener, *self._peers], [], [])
            for end in ready:
                if end is listener:
                    self._accept(listener.accept()[0])
                elif end in self._peers:
                    self._pass_on(end)

    def _accept(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        for end, other in ((client, server), (server, client)):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[end] = other
        self._clients.add(client)

    def _pass_on(self, end: socket.socket) -> None:
        try:
            data = end.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            return self._hang_up(end)
        if end in self._clients and not self._done:
            data = self._hold_back(end, data)
        if not data:
            return
        try:
            self._peers[end].sendall(data)
        except OSError:
            self._hang_up(end)

    def _hold_back(self, client: socket.socket, data: bytes) -> bytes:
        """What the server gets of it now. Nothing that came before the write is held back."""
        if self._begun is None:
            found = self._wanted.search(data)
            if not found:
                return data
            self._begun = (client, bytearray(data[found.start():]))
            data = data[:found.start()]
        elif self._begun[0] is client:
            self._begun[1].extend(data)
            data = b""
        else:
            return data
        whole = 28 + self._length
        if len(self._begun[1]) >= whole:
            self._cut(client, data, bytes(self._begun[1][:whole]))
            return b""
        return data

    def _cut(self, client: socket.socket, before: bytes, write: bytes) -> None:
        server = self._peers[client]
        half = 28 + self._length // 2
        server.sendall(before + write[:half])
        self._kept = (server, bytearray(write[half:]))
        self._done = True
        del self._peers[client], self._peers[server]
        if self._hang:
            self._hung = client  # its end is nobody's news
        else:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, and no more
            client.close()
        print("held", flush=True)

    def _hang_up(self, end: socket.socket) -> None:
        if end in self._peers:
            other = self._peers.pop(end)
            self._peers.pop(other, None)
            other.close()
        end.close()

    def deliver(self, *_: object) -> None:
        """The late half of the write, and what the server says to it."""
        if not self._kept:
            print("delivered: nothing was held", flush=True)
            return
        server, rest = self._kept
        server.settimeout(PATIENCE)
        answer = "the server had closed the connection"
        try:
            server.sendall(rest)
            data = server.recv(4096)
            while data and len(data) < 16:
                data += server.recv(4096)
            answer = f"the server answered {data[:16].hex()}" if data else "the server closed the connection"
        except TimeoutError:
            answer = f"the server said nothing in {PATIENCE} s"
        except OSError as error:
            answer = f"the server had closed the connection: {error}"
        print(f"delivered: {answer}", flush=True)


def main(listen: str, server: str, offset: str, length: str, hang: str = "") -> None:
    proxy = Proxy(address(server), int(offset), int(length), hang == "hang")
    signal.signal(signal.SIGUSR1, proxy.deliver)
    with socket.create_server(address(listen)) as listener:
        print("listening", flush=True)
        proxy.run(listener)


if __name__ == "__main__":
    main(*sys.argv[1:])
