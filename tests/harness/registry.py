"""Declarations of tests. Knows nothing of how a suite runs them."""
import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Test:
    """One test: a sentence, the function that proves it, and how long it may take (of the virtual machines', building images
    not counted)."""

    sentence: str
    function: Callable
    timeout: float
    module: str
    long: bool = False  # for `make check-long`: takes over five minutes, or says little that is new

    @property
    def slug(self) -> str:
        """A name that can be a folder's."""
        return f"{self.module}.{self.function.__name__}"

    def matches(self, text: str) -> bool:
        return text.lower() in f"{self.slug} {self.sentence}".lower()


tests: list[Test] = []


def test(sentence: str, timeout: float = 600, long: bool = False) -> Callable[[Callable], Callable]:
    """Declares a test. The function takes one argument, what its suite gives it; it fails by raising anything."""

    def declare(function: Callable) -> Callable:
        tests.append(Test(sentence, function, timeout, function.__module__, long))
        return function

    return declare
