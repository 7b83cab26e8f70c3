"""A virtual machine: QEMU without KVM, two serial ports, disks and network cards.

The first serial port is the console: firmware, kernel, boot messages and a root login, for expect() and for people.
The second has the shell that run() uses once the system is up; before that, and in an initramfs's rescue shell, run()
talks to the console.
"""

import pathlib
import re
import shlex
import socket
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Sequence

from lab import process, serial
from lab.failure import Failure
from lab.network import Card
from lab.qmp import Qmp

# cx16=off: Linux 6.12 has been seen to panic on cmpxchg16b under this emulation.
# One processor (cpus=1): with two, Linux 6.12 has been seen to die of its own patched code, of an int3 that was already
# taken back (this emulation's cross-modifying code). Tests run two at a time, so the second core is not idle.
# Not svm=off, although it saves a boot the kvm module: with it, mounts of systemd's have been seen to fail with EBUSY.
CPU = "max,cx16=off"
CONSOLE = "console=ttyS0 net.ifnames=0 mitigations=off random.trust_cpu=on"
_LOST = re.compile(r"Kernel panic - not syncing.*|^\(initramfs\)|Entering emergency mode", re.MULTILINE)
_READY = "lab-shell-ready\n"


class Machine:
    """Runs from construction until power-off or close(). Use in a `with` statement, or through Lab.machine()."""

    def __init__(self, name: str, logs: pathlib.Path, *, kernel: pathlib.Path | None = None,
                 initrd: pathlib.Path | None = None, append: str = "", disks: Sequence[pathlib.Path] = (),
                 cards: Sequence[Card] = (), boot_from_network: bool = False, memory: int = 512, cpus: int = 1,
                 cpu: str = CPU, exit_on_reboot: bool = True, extra: Sequence[str] = ()) -> None:
        self.name = name
        self._cards = cards
        self._changed = threading.Condition()
        self._has_shell = False  # whether run() may use the second serial port
        self._boot_began = 0  # where in the second serial port's text this boot began
        command = ["qemu-system-x86_64", "-name", name, "-nodefaults", "-no-user-config", "-display", "none",
                   "-machine", "pc,graphics=off", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", cpu,
                   "-smp", str(cpus), "-m", str(memory), "-device", "virtio-rng-pci", *extra]
        if exit_on_reboot:
            command += ["-no-reboot"]
        if kernel:
            command += ["-kernel", str(kernel), "-append", f"{CONSOLE} {append}"]
        if initrd:
            command += ["-initrd", str(initrd)]
        if boot_from_network:
            command += ["-boot", "n"]
        for number, disk in enumerate(disks):
            command += ["-drive", f"file={disk},if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap",
                        "-device", f"virtio-blk-pci,drive=disk{number},serial=disk{number}"]
        for number, card in enumerate(cards):
            command += card.arguments(f"net{number}", with_boot_rom=boot_from_network)
        self._start(command, logs)

    def _start(self, command: list[str], logs: pathlib.Path) -> None:
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)))
        for name, end in zip(("console", "shell", "qmp"), theirs):
            command += ["-chardev", f"socket,id={name},fd={end.fileno()}"]
        command += ["-serial", "chardev:console", "-serial", "chardev:shell", "-mon", "chardev=qmp,mode=control"]
        if self._cards:
            command = [*self._cards[0].network.prefix, *command]
        self._qemu_log = logs / f"{self.name}.qemu.log"
        with self._qemu_log.open("w") as output:
            output.write(" ".join(command) + "\n")
            output.flush()
            self._qemu = process.start(command, stdin=process.DEVNULL, stdout=output, stderr=output,
                                       pass_fds=[end.fileno() for end in theirs])
        for end in theirs:
            end.close()
        self.console = serial.Line(ours[0], logs / f"{self.name}.console.log", self._changed)
        self.shell = serial.Line(ours[1], logs / f"{self.name}.shell.log", self._changed)
        self.qmp = Qmp(ours[2])

    # What it says

    def expect(self, pattern: str, timeout: float = 180) -> re.Match[str]:
        """Wait for the pattern on the console, after the last expected one; fail at once if the machine ends or
        panics instead."""
        regex = re.compile(pattern, re.MULTILINE)

        def look() -> re.Match[str] | None:
            found = regex.search(self.console.text, self.console.seen)
            if not found:
                self._check_not_lost(repr(pattern))
            return found

        found = self._wait(look, timeout, f"{pattern!r} on the console")
        self.console.seen = found.end()
        return found

    def said(self, pattern: str) -> bool:
        """Test whether the console has shown the pattern so far."""
        return re.search(pattern, self.console.text, re.MULTILINE) is not None

    def login(self, timeout: float = 300) -> "Machine":
        """Wait until the system is up and its shell answers."""

        def look() -> bool:
            self._check_not_lost("a login")
            self._has_shell = _READY in self.shell.text[self._boot_began:]
            return self._has_shell

        self._wait(look, timeout, "the shell of the booted system")
        return self

    def _check_not_lost(self, wanted: str) -> None:
        """Fail at a panic or rescue shell that was not expected."""
        lost = _LOST.search(self.console.text, self.console.seen)
        if lost and not _LOST.search(self.console.text, 0, self.console.seen):
            self._fail(f"{lost.group().strip()!r} instead of {wanted}")

    # What it is told

    def run_status(self, command: str, timeout: float = 120) -> tuple[int, str]:
        """Run a shell command as root; return its exit status and output (stdout and stderr, without the last newline)."""
        line = self.shell if self._has_shell else self.console
        start = len(line.text)
        answer = line.send_command(command)
        found = self._wait(lambda: answer.search(line.text, start), timeout, f"the end of `{command}`")
        output = serial.without_kernel_messages(found[1]) if line is self.console else found[1]
        return int(found[2]), output.removesuffix("\n")

    def run(self, command: str, timeout: float = 120) -> str:
        """Run a shell command as root and return its output; fail if its status is not zero."""
        status, output = self.run_status(command, timeout)
        if status:
            raise Failure(f"{self.name}: `{command}` exited with {status}:\n{output[-3000:]}")
        return output

    def wait_until(self, command: str, timeout: float = 120) -> str:
        """Repeat a command until its status is zero; return its output."""
        deadline = time.monotonic() + timeout
        while True:
            status, output = self.run_status(command, timeout)
            if not status:
                return output
            if time.monotonic() > deadline:
                raise Failure(f"{self.name}: `{command}` still exits with {status} after {timeout} s:\n{output[-3000:]}")
            time.sleep(0.2)

    def start_command(self, command: str) -> None:
        """Start a command in the background; its output is lost unless redirected to a file."""
        self.run(f"setsid sh -c {shlex.quote(command)} </dev/null >/dev/null 2>&1 &")

    def type(self, text: str) -> None:
        """Type text and Enter at the console."""
        self.console.send(text + "\n")

    def write(self, path: str, text: str) -> None:
        """Write a file in the running system."""
        quoted = shlex.quote
        self.run(f"mkdir -p {quoted(str(pathlib.PurePosixPath(path).parent))} && : >{quoted(path)}")
        for at in range(0, len(text), 1000):  # a serial line's buffer takes 4096 bytes
            self.run(f"printf %s {quoted(text[at:at + 1000])} >>{quoted(path)}")

    def interact(self) -> None:
        """Connect the user's terminal to the console until the machine ends or Ctrl-] is typed."""
        before = termios.tcgetattr(sys.stdin)
        shown = len(self.console.text)
        typist = threading.Thread(target=self._type_for_person, daemon=True)
        try:
            tty.setraw(sys.stdin)
            self._person_left = False
            typist.start()
            while not (self._person_left or self.console.closed):
                with self._changed:
                    self._changed.wait(0.2)
                    text, shown = self.console.text[shown:], len(self.console.text)
                sys.stdout.write(text.replace("\n", "\r\n"))
                sys.stdout.flush()
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def _type_for_person(self) -> None:
        while key := sys.stdin.buffer.raw.read(1):
            if key == b"\x1d":
                self._person_left = True
                return
            self.console.send(key.decode(errors="replace"))

    def link(self, up: bool, card: int = 0) -> None:
        """Unplug or plug in a network cable."""
        self.qmp("set_link", name=f"net{card}", up=up)

    def reset(self) -> None:
        """Press the reset button: nothing is flushed. (Create the machine with exit_on_reboot=False.)"""
        self._begin_boot()
        self.qmp("system_reset")

    def reboot(self, command: str = "reboot") -> "Machine":
        """Reboot the system. The next login() waits for the new boot. (Also requires exit_on_reboot=False.)"""
        line = self.shell if self._has_shell else self.console
        self._begin_boot()
        line.send(f"{command} </dev/null >/dev/null 2>&1\n")
        return self

    def _begin_boot(self) -> None:
        """Treat later console output as part of the next boot."""
        self._has_shell = False
        self._boot_began = len(self.shell.text)
        self.console.seen = len(self.console.text)

    # How it ends

    def running(self) -> bool:
        return self._qemu.poll() is None

    def poweroff(self, timeout: float = 120) -> float:
        """Power the system off, wait for it, and return the seconds taken."""
        line = self.shell if self._has_shell else self.console
        line.send("poweroff </dev/null >/dev/null 2>&1\n")
        return self.wait_exit(timeout)

    def wait_exit(self, timeout: float = 120) -> float:
        """Wait until the machine has powered off (or rebooted); return the seconds taken."""
        start = time.monotonic()
        try:
            self._wait(lambda: self.console.closed, timeout, "its power off", may_end=True)
            status = self._qemu.wait(10)
        finally:
            if not self.running():
                self.close()
        if status:
            raise Failure(f"{self.name}: QEMU exited with {status}: {self._qemu_log.read_text()[-1000:]}")
        return time.monotonic() - start

    def kill(self) -> None:
        """Pull the power cord."""
        self._qemu.kill()
        self.close()

    def close(self) -> None:
        process.end(self._qemu)
        for line in (self.console, self.shell):
            line.close()

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self, look: Callable, timeout: float, what: str, may_end: bool = False):
        """Wait until look() returns a value; it is called again after each console output."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (found := look()):
                if self.console.closed and not may_end:
                    self._fail(f"the machine has ended before {what}. {self._qemu_log.read_text()[-1000:]}")
                if (left := deadline - time.monotonic()) <= 0:
                    self._fail(f"nothing of {what} in {timeout:g} s")
                self._changed.wait(left)
        return found

    def _fail(self, message: str) -> None:
        raise Failure(f"{self.name}: {message}")
