"""Programs on the host started by a test; they end with the test in all cases.

Each runs under `setpriv --pdeathsig`: the kernel kills it when the thread that started it is gone, so start them from
the main thread. Each has a session of its own, so that Ctrl-C reaches the runner alone, which then ends them in order.
"""

import ctypes
import pathlib
import re
import signal
import subprocess
import time
from collections.abc import Sequence

from lab.failure import Failure

DEVNULL = subprocess.DEVNULL
_PR_SET_PDEATHSIG = 1


def start(command: Sequence[str], **options) -> subprocess.Popen:
    """Popen for a program that must end with this process."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)], start_new_session=True,
                            **options)


def end_with_parent() -> None:
    """Request SIGTERM at the end of the parent, for a forked process that does not exec."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def end(process: subprocess.Popen, patience: float = 5) -> None:
    """Send SIGTERM, then SIGKILL if it has not ended in time. Harmless if it has already ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def output_of(command: Sequence[str], log: pathlib.Path | None = None, **options) -> str:
    """Run a program to its end and return its output; a failure names the program and shows its last lines."""
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if log:
        log.write_text(done.stdout)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise Failure(f"`{' '.join(map(str, command))}` exited with {done.returncode}:\n{tail}")
    return done.stdout


class Service:
    """Program of the host that runs beside the machines (usually a server), with its output in a log."""

    def __init__(self, command: Sequence[str], log: pathlib.Path, shown_as: Sequence[str] = ()) -> None:
        self.log = log
        self._shown_as = " ".join(map(str, shown_as or command))
        with log.open("ab") as output:
            self._process = start(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        self.pid = self._process.pid

    def text(self) -> str:
        """Output so far."""
        return self.log.read_text(errors="replace")

    def running(self) -> bool:
        return self._process.poll() is None

    def expect(self, pattern: str, timeout: float = 10) -> re.Match[str]:
        """Wait for a line with the pattern in the log."""
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.text(), re.MULTILINE)):
            if not self.running():
                raise Failure(f"`{self._shown_as}` ended with {self._process.returncode} before {pattern!r}:\n"
                              f"{self.text()[-2000:]}")
            if time.monotonic() > deadline:
                raise Failure(f"`{self._shown_as}` did not print {pattern!r} in {timeout} s:\n{self.text()[-2000:]}")
            time.sleep(0.05)
        return found

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float = 10) -> int:
        """Exit status, once the program has ended by itself."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"`{self._shown_as}` has not ended in {timeout} s") from None

    def stop(self) -> None:
        """Send SIGTERM and, if necessary, SIGKILL."""
        self._process.send_signal(signal.SIGCONT)
        end(self._process)

    def kill(self) -> None:
        """Kill it at once, like a crash."""
        self._process.kill()
        self._process.wait()
