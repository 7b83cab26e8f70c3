"""The init script of holdfast-netboot, which publishes boot files without systemd, in folders of the test's own."""
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench import Bench, wait_for
from harness.registry import test

SCRIPT = Path(__file__).resolve().parents[2] / "sysvinit/holdfast-netboot.in"


class Watch:
    """The script as `start` runs it, with programs in the place of holdfast-netboot and logger that note how they were called."""

    def __init__(self, bench: Bench, trees: str, interrupted: bool = False) -> None:
        self.calls, self.log, self.mark, self.status = (bench.folder / name for name in ("calls", "log", "spool/.committed", "status"))
        self.taking = self.mark.with_name(".taking")
        self.mark.parent.mkdir()
        self.status.write_text("0")
        if interrupted:
            self.taking.touch()
        programs = bench.folder / "programs"
        programs.mkdir()
        self._write(programs / "holdfast-netboot", f"#!/bin/sh\nstatus=$(cat {self.status})\nrm -f {self.mark} {self.taking}\n"
                    f"echo \"$*\" >>{self.calls}\necho published\nexit $status\n")
        self._write(programs / "logger", f"#!/bin/sh\necho \"$*\" >>{self.log}\n")
        # The script's seconds are short: a retry comes after 300 of them.
        self._write(programs / "sleep", "#!/bin/sh\nexec /bin/sleep 0.01\n")
        text = SCRIPT.read_text().replace("@SBINDIR@", str(programs)).replace("PATH=/usr/sbin", f"PATH={programs}:/usr/sbin")
        self.pid_file = bench.folder / "pid"
        messages = "log_daemon_msg() { :; }; log_end_msg() { :; }"
        for line, value in (("SPOOL=", self.mark.parent), ("TREES=", f"'{trees}'"), ("PIDFILE=", self.pid_file), ("LOCK=", bench.folder / "lock"),
                            (". /lib/lsb/init-functions", "")):
            before = next(each for each in text.splitlines() if each.startswith(line))
            text = text.replace(f"\n{before}\n", f"\n{line}{value}\n" if value else f"\n{messages}\n")
        self.script = bench.folder / "script"
        self._write(self.script, text)
        self.process = subprocess.Popen(["/bin/sh", self.script, "watch"], stdin=subprocess.DEVNULL)

    def run(self, action: str) -> int:
        return subprocess.run(["/bin/sh", self.script, action], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def wait(self, look: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60  # only ends a failing test
        while not look():
            assert time.monotonic() < deadline and self.process.poll() is None, (self.called(), self.process.poll())
            time.sleep(0.02)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == -signal.SIGTERM


@test("the init script of the boot server takes the boot files of all trees once for each commit, logs what was said, and tries again after a failure")
def commits_are_taken(bench: Bench) -> None:
    watch = Watch(bench, "/srv/tftp /srv/boot")
    try:
        both = [f"take --all --spool {watch.mark.parent} --tree /srv/tftp --tree /srv/boot"]
        watch.mark.touch()
        watch.wait(lambda: watch.called() == both and not watch.mark.exists())
        watch.wait(lambda: watch.log.exists() and watch.log.read_text().count("-t holdfast-netboot -p daemon.notice published\n") == 1)
        # Refused files are no reason to try again; another commit is.
        watch.status.write_text("4")
        watch.mark.touch()
        watch.wait(lambda: watch.called() == 2 * both)
        # A failure of this machine: again after 300 of the script's seconds, with no commit.
        watch.status.write_text("1")
        watch.mark.touch()
        watch.wait(lambda: len(watch.called()) >= 3)
        # Killed, for want of memory for example: again.
        watch.status.write_text("137")
        watch.wait(lambda: len(watch.called()) >= 5)
        watch.status.write_text("0")
        called = len(watch.called())
        watch.wait(lambda: len(watch.called()) > called)
        assert set(watch.called()) == set(both)
    finally:
        watch.end()
    assert not os.path.exists(watch.mark)


@test("the init script of the boot server takes files of a commit whose take was interrupted, by the end of the machine for example")
def interrupted_takes_are_repeated(bench: Bench) -> None:
    watch = Watch(bench, "/srv/tftp", interrupted=True)
    try:
        watch.wait(lambda: len(watch.called()) == 1 and not watch.taking.exists())
    finally:
        watch.end()


@test("the init script of the boot server takes no other process for its watch, whatever number is left in its pid file")
def strangers_live(bench: Bench) -> None:
    watch = Watch(bench, "/srv/tftp")
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            watch.wait(lambda: watch.run("status") == 0)
            watch.process.kill()
            watch.process.wait()
            watch.pid_file.write_text(f"{stranger.pid}\n")
            # A child that the script was about to start still has the lock for a moment.
            wait_for(lambda: watch.run("status") == 3, "the end of the watch to be known")
            assert watch.run("stop") == 0 and stranger.poll() is None
            assert watch.run("start") == 0
            wait_for(lambda: watch.run("status") == 0, "the new watch to run")
            assert watch.run("start") == 0 and watch.run("stop") == 0 and stranger.poll() is None
            wait_for(lambda: watch.run("status") == 3, "the end of the new watch to be known")
        finally:
            watch.run("stop")
            stranger.kill()
