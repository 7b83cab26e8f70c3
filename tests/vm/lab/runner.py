"""Finds the tests, runs each in a separate process, two at a time, and reports the results.

A test's process has its time limit as an alarm, so that a test that hangs ends as a failure with its place in the
code; the runner ends it itself only when that has not helped.
"""

import argparse
import importlib
import os
import pathlib
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable

from harness.registry import Test, tests
from harness.results import Results
from lab import packaging, paths, process, requirements, rotation
from lab.context import Lab

GRACE = 30  # seconds to clean up after the time limit


class TimeLimit(Exception):
    """Handler for the time limit of a test."""


def main() -> int:
    options = _parse()
    load()
    named = [test for test in tests if all(test.matches(text) for text in options.only)]
    if options.list:
        for test in named:
            print(f"{test.slug:45} {test.sentence}{' (long)' if test.long else ''}")
        return 0
    chosen = [test for test in named if test.long == (options.long or options.rotation is not None)]
    if problems := requirements.missing(paths.cache()):
        print("The virtual-machine tests cannot run here:", *(f"  {text}" for text in problems), sep="\n")
        return 1
    if not chosen:
        print(f"No test {'with' if options.long else 'without'} --long is called {' '.join(options.only)!r}; --list names all.")
        return 1
    _clean_up_on_signals()
    os.environ["HOLDFAST_LAB_RUN"] = f"{os.getpid()}"
    try:
        results = Results(options.results, "vm: ")
        if options.rotation is not None:
            Runner(options, results).run_rotation(rotation.Rotation(chosen, options.rotation))
        else:
            Runner(options, results).run(chosen)
    except KeyboardInterrupt:
        print("interrupted")
        return 130
    finally:
        packaging.forget()
    if options.rotation is not None and results.passed + results.failed == 0:
        print("no long test fits into the time that is left")
        return 0
    return results.end()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/vm/run", description="Tests in virtual machines.")
    parser.add_argument("only", nargs="*", metavar="SUBSTRING", help="only tests whose name or sentence has this in it "
                                                                     "(also T=SUBSTRING)")
    parser.add_argument("--only", dest="more", action="append", default=[], metavar="SUBSTRING")
    parser.add_argument("--long", action="store_true", help="run the tests that take long, instead of the others")
    parser.add_argument("--rotation", type=float, metavar="STARTED", help="run the long tests whose turn it is, as many as end within "
                        "62 minutes after STARTED, seconds since 1970")
    parser.add_argument("--list", action="store_true", help="name the tests and run none")
    parser.add_argument("--jobs", "-j", type=int, default=2, help="how many tests at the same time (2)")
    parser.add_argument("--log-dir", type=pathlib.Path, default=paths.BUILD / "vm-logs")
    parser.add_argument("--results", type=pathlib.Path, help="a file to add pass/fail lines to")
    parser.add_argument("--keep", action="store_true", help="keep the disks of the tests beside their logs")
    options = parser.parse_args()
    options.only = [text.removeprefix("T=") for text in options.only + options.more if text.removeprefix("T=")]
    options.log_dir = options.log_dir.resolve()
    return options


def load() -> None:
    """Reads all tests into the registry."""
    sys.path.insert(0, str(paths.TESTS))
    for path in sorted(paths.TESTS.glob("test_*.py")):
        importlib.import_module(path.stem)


class Runner:
    """Runs tests as child processes. The result of a child is its exit status and its log."""

    def __init__(self, options: argparse.Namespace, results: Results) -> None:
        self._options = options
        self._results = results
        self._running: dict[int, tuple[Test, float]] = {}

    def run(self, waiting: list[Test]) -> None:
        """Run all tests, longest first (by their limits), so that no long test remains at the end."""
        waiting = sorted(waiting, key=lambda test: -test.timeout)
        self._run_all(lambda: waiting.pop(0) if waiting else None, lambda test: None)

    def run_rotation(self, turns: rotation.Rotation) -> None:
        """Runs those whose turn it is."""
        self._run_all(turns.next, turns.ran)

    def _run_all(self, next_test: Callable[[], Test | None], ran: Callable[[Test], None]) -> None:
        try:
            while True:
                while len(self._running) < self._options.jobs and (test := next_test()):
                    self._start(test)
                if not self._running:
                    break
                pid, status = os.wait()
                if pid in self._running:
                    test, started = self._running.pop(pid)
                    self._report(test, started, os.waitstatus_to_exitcode(status))
                    ran(test)
        finally:
            self._end_all()

    def _logs(self, test: Test) -> pathlib.Path:
        return self._options.log_dir / test.slug

    def _start(self, test: Test) -> None:
        logs = self._logs(test)
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os._exit(_run_here(test, logs, self._options.keep))
        self._running[pid] = (test, time.monotonic())

    def _report(self, test: Test, started: float, status: int) -> None:
        self._results.note(test.sentence, status == 0, time.monotonic() - started)
        if status:
            print(_explain(self._logs(test), status), flush=True)

    def _end_all(self) -> None:
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while self._running and time.monotonic() < deadline:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            self._running.pop(pid, None)
            time.sleep(0.05)
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)


def _run_here(test: Test, logs: pathlib.Path, keep: bool) -> int:
    """Run a test in its process; return the exit status. Output goes to test.log."""
    output = os.open(logs / "test.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _clean_up_on_signals()
    process.end_with_parent()
    signal.signal(signal.SIGALRM, _alarm(test.timeout))
    lab = Lab(logs)
    try:
        signal.setitimer(signal.ITIMER_REAL, test.timeout)
        test.function(lab)
        return 0
    except KeyboardInterrupt:
        print("interrupted")
        return 130
    except BaseException as problem:
        print("".join(traceback.format_exception(problem)))
        print(f"{type(problem).__name__}: {problem}" if type(problem).__name__ != "Failure" else str(problem))
        return 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        lab.close()
        if not keep:
            shutil.rmtree(lab.scratch, ignore_errors=True)
        sys.stdout.flush()


def _clean_up_on_signals() -> None:
    """Make SIGTERM act like Ctrl-C, and Ctrl-C work even if the shell ignored SIGINT."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _alarm(limit: float):
    def ring(*_: object) -> None:
        raise TimeLimit(f"the test has not ended in its {limit:g} s")
    return ring


def _explain(logs: pathlib.Path, status: int) -> str:
    """Report the reason of a failure, the logs, and the end of each machine's console."""
    said = (logs / "test.log").read_text(errors="replace") if (logs / "test.log").exists() else ""
    places = re.findall(r'File ".*/(test_\w+\.py|demo\w*\.py)", line (\d+)', said)
    reason = said.strip().rsplit("\n\n", 1)[-1].strip() if said.strip() else f"its process ended with {status}"
    lines = [f"at {place}:{line}" for place, line in places[-1:]] + reason.splitlines()
    for console in sorted(logs.glob("*.console.log"), key=lambda path: path.stat().st_mtime):
        lines += [f"--- end of {console.name}", *console.read_text(errors="replace").splitlines()[-30:]]
    lines += ["--- logs:", *(str(path) for path in sorted(logs.iterdir()) if path.is_file())]
    return "\n".join(f"     {line}" for line in lines)
