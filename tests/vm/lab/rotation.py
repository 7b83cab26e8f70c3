"""Chooses the long tests that a run of continuous integration has time for, among those with a time in long_times.txt: a test
gets its line there when it has passed once.

Each commit starts at another place of the list, drawn from its number in the history, so that the runs of some weeks cover
all tests without a memory; the same commit chooses the same tests again. A machine that keeps the cache of the images also
keeps the time of each test's last run; there the test that waits longest comes first.
"""

import os
import pathlib
import random
import subprocess
import time
from collections.abc import Iterable

from harness.registry import Test
from lab import paths

SLACK = 1.5  # of another machine's time
IMAGES = 240  # seconds for an image that no earlier test of the run has built; no test's time includes them
# Seconds since the start of the whole run: no test starts after the first, each is expected to end before the second.
LAST_START = 54 * 60
LAST_END = 62 * 60

TIMES = pathlib.Path(__file__).resolve().parent.parent / "long_times.txt"


def known_times(text: str) -> dict[str, float]:
    """Seconds of each test, by its slug."""
    rows = (line.split() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {slug: float(seconds) for seconds, slug in rows}


def commit_number() -> int:
    counted = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=TIMES.parent, capture_output=True, text=True)
    return int(counted.stdout) if counted.returncode == 0 else int(time.time() // 3600)


def order(slugs: Iterable[str], number: int, last_runs: dict[str, float]) -> list[str]:
    """All slugs, the next ones to run first. `last_runs`: when a test ran last on this machine; others come first."""
    listed = sorted(slugs)
    start = random.Random(number).randrange(len(listed)) if listed else 0
    return sorted(listed[start:] + listed[:start], key=lambda slug: last_runs.get(slug, 0.0))


def expected(seconds: float) -> float:
    """Seconds that a test may take here, by its time in the list."""
    return SLACK * seconds + IMAGES


class Rotation:
    """Gives out the tests one by one, as long as there is time. `started`: seconds since 1970 at the start of the whole run."""

    def __init__(self, tests: list[Test], started: float, now=time.time) -> None:
        self._started = started
        self._now = now
        self._times = known_times(TIMES.read_text())
        self._notes = paths.cache() / "long-tests"
        by_slug = {test.slug: test for test in tests if test.slug in self._times}
        last_runs = {file.name: file.stat().st_mtime for file in self._notes.glob("*")} if self._notes.is_dir() else {}
        self._waiting = [by_slug[slug] for slug in order(by_slug, commit_number(), last_runs)]

    def next(self) -> Test | None:
        """The next test that can end in time, if there is any."""
        elapsed = self._now() - self._started
        if elapsed > LAST_START:
            return None
        for test in self._waiting:
            if elapsed + expected(self._times[test.slug]) < LAST_END:
                self._waiting.remove(test)
                return test
        return None

    def ran(self, test: Test) -> None:
        self._notes.mkdir(parents=True, exist_ok=True)
        (self._notes / test.slug).touch()
        os.utime(self._notes / test.slug)
