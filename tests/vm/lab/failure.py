"""Exception of a failed test. Its text is read by a person, so it states the expectation."""


class Failure(Exception):
    """An expected event did not occur."""


def require(condition: object, message: str) -> None:
    """Fail with the message unless the condition holds; unlike assert, cannot be disabled."""
    if not condition:
        raise Failure(message)
