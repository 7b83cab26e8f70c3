"""Serial line of a machine: its output, time-stamped into a log, and a dialogue on top.

A thread reads all the time, because a guest that writes to a full socket stands still. The dialogue waits on a
condition that the machine's lines share, so that waiting for one can also see what happens on the other.
"""

import codecs
import pathlib
import re
import shlex
import socket
import threading
import time

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78cM])|[\r\x00\x07]")
_BEGUN_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*|\][^\x07\x1b]*|[()])?$")
_KERNEL_LINE = re.compile(r"^\[ *\d+\.\d{6}\] .*\n?", re.MULTILINE)


class Line:
    """Serial line. `text` is the output so far, without carriage returns and terminal escapes."""

    def __init__(self, connection: socket.socket, log: pathlib.Path, changed: threading.Condition) -> None:
        self.log = log
        self.text = ""
        self.closed = False
        self.seen = 0  # how far expect() has read
        self._connection = connection
        self._changed = changed
        self._commands = 0
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._read, name=log.name, daemon=True)
        self._thread.start()

    def send(self, text: str) -> None:
        """Type the text unchanged."""
        try:
            self._connection.sendall(text.encode())
        except OSError:
            pass  # the machine has ended; whoever waits for an answer is told so

    def close(self) -> None:
        """Call after the machine has ended; returns when all its output is in the log."""
        self._thread.join(5)
        self._connection.close()

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.text.rstrip().splitlines()[-lines:])

    def send_command(self, command: str) -> re.Pattern[str]:
        """Type a shell command; return the pattern of its answer: group 1 the output, group 2 the status.

        The quotes keep the echo of what we type from looking like the answer. The command is a shell of its own, so
        that its syntax errors are its own too, and reads nothing of what we type after it.
        """
        self._commands += 1
        mark = f"{self._commands}"
        self.send(f"echo lab-\"begin\"-{mark}; sh -c {shlex.quote(command)} </dev/null 2>&1; "
                  f"set -- $?; echo; echo lab-\"end\"-{mark} $1\n")
        return re.compile(rf"lab-begin-{mark}\n(.*?)\n?lab-end-{mark} (\d+)\n", re.DOTALL)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        pending = ""
        at_line_start = True
        with self.log.open("a", errors="replace") as log:
            while data := self._receive():
                pending += decoder.decode(data)
                cut = _BEGUN_ESCAPE.search(pending)
                whole, pending = (pending[:cut.start()], pending[cut.start():]) if cut else (pending, "")
                whole = _ESCAPES.sub("", whole)
                stamp = f"[{time.monotonic() - self._started:8.3f}] "
                for piece in whole.splitlines(keepends=True):
                    log.write((stamp if at_line_start else "") + piece)
                    at_line_start = piece.endswith("\n")
                log.flush()
                with self._changed:
                    self.text += whole
                    self._changed.notify_all()
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(65536)
        except OSError:
            return b""


def without_kernel_messages(text: str) -> str:
    """Remove whole lines that the kernel inserted into the output of a command."""
    return _KERNEL_LINE.sub("", text)
