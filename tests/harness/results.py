"""Results of a suite: a line on standard output for each test, and a line in a file that tests/check sums up."""
from pathlib import Path


class Results:
    """`path`: the file, with a line `pass<TAB>sentence` or `fail<TAB>sentence` for each test. `prefix` is put before the
    sentences."""

    def __init__(self, path: Path | None, prefix: str = "") -> None:
        self._file = path.open("a") if path else None
        self._prefix = prefix
        self.passed = 0
        self.failed = 0

    def note(self, sentence: str, good: bool, seconds: float) -> None:
        self.passed += good
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {seconds:6.1f}s  {sentence}", flush=True)
        if self._file:
            print(f"{'pass' if good else 'fail'}\t{self._prefix}{sentence}", file=self._file, flush=True)

    def end(self) -> int:
        """Print the totals. Return the exit status: 0 if at least one test passed and none failed."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.passed and not self.failed else 1
