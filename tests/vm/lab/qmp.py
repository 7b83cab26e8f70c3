"""Control channel of QEMU: one command, one answer."""

import json
import socket

from lab.failure import Failure


class Qmp:
    """Connected QMP socket. Events are discarded."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rwb")
        self._ready = False

    def __call__(self, command: str, **arguments: object) -> object:
        """Run a command and return QEMU's answer."""
        if not self._ready:
            self._file.readline()  # the greeting
            self._ready = True
            self("qmp_capabilities")
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self._file.write(json.dumps(request).encode() + b"\n")
        self._file.flush()
        while line := self._file.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise Failure(f"QEMU refuses {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise Failure(f"QEMU has ended during {command}")
