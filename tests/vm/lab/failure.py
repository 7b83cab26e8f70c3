"""The one exception that a test fails with: its text is what a person reads, so it says what was expected."""


class Failure(Exception):
    """Something that should have been seen was not."""


def require(condition: object, message: str) -> None:
    """Fails with the message unless the condition holds; unlike assert, it cannot be switched off."""
    if not condition:
        raise Failure(message)
