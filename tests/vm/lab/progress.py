"""Progress of long operations on the screen, also from a test whose output goes to a log.

Also keeps the time spent on such work out of a test's time limit: whether an image was already in the cache must not
decide whether a test passes.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

_screen = os.dup(2)


def say(text: str) -> None:
    """Print a line in one write, so that lines of parallel tests do not mix."""
    os.write(_screen, f"{text}\n".encode())


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a long step, and its duration at the end."""
    say(f"  ...  {text}")
    start = time.monotonic()
    yield
    say(f"  done {text} ({time.monotonic() - start:.1f} s)")


@contextlib.contextmanager
def off_the_clock() -> Iterator[None]:
    """Suspend the time limit of the test (a SIGALRM timer, see runner.py) while images are prepared."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
