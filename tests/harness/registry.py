"""Declarations of tests, independent of the suites that run them."""
import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Test:
    """A test: a sentence, the function that verifies it, and a time limit (in virtual machines, without the time to build
    images)."""

    sentence: str
    function: Callable
    timeout: float
    module: str
    long: bool = False  # for `make check-long`: takes over five minutes, or says little that is new

    @property
    def slug(self) -> str:
        """A name that is valid for a folder."""
        return f"{self.module}.{self.function.__name__}"

    def matches(self, text: str) -> bool:
        return text.lower() in f"{self.slug} {self.sentence}".lower()


tests: list[Test] = []


def test(sentence: str, timeout: float = 600, long: bool = False) -> Callable[[Callable], Callable]:
    """Declare a test. The function takes one argument, provided by its suite, and fails by raising any exception."""

    def declare(function: Callable) -> Callable:
        tests.append(Test(sentence, function, timeout, function.__module__, long))
        return function

    return declare
