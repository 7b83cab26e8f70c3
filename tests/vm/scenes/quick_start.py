#!/usr/bin/python3
"""The quick start of holdfast(7): the commands as a new user would copy them, and the same with other addresses.

    tests/vm/scenes/quick_start.py [--replace OLD=NEW]...

prints the commands, with a blank line between two. The page has them between '.\\" BEGIN quick start' and '.\\" END quick start',
in a display whose blank lines separate commands. None of them asks a question.
"""

import argparse
import pathlib
import re
import sys

PAGE = pathlib.Path(__file__).resolve().parents[3] / "manual/holdfast.7"
BEGIN, END = '.\\" BEGIN quick start\n', '.\\" END quick start\n'

# The addresses of the page. A network of a test has others; the longest are replaced first.
SERVER = "192.0.2.1"
RANGE = "192.0.2.100,192.0.2.199"
PACKAGES = "http://192.0.2.10/holdfast"
DEBIAN = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
ADDRESSES = (SERVER, RANGE, PACKAGES, DEBIAN, SECURITY)
# Volume and password of the machine that the commands make.
VOLUME = "/dev/vg0/workstation0"
PASSWORD = "holdfast"

ESCAPES = {"\\(aq": "'", "\\(dq": '"', "\\(ga": "`", "\\e": "\\", "\\-": "-", "\\&": ""}


def shown(line: str) -> str:
    """A line of the source, as the page shows it."""
    return re.sub("|".join(map(re.escape, ESCAPES)), lambda match: ESCAPES[match[0]], line)


def commands(page: pathlib.Path = PAGE) -> list[str]:
    """Each may have several lines."""
    _, begin, rest = page.read_text().partition(BEGIN)
    block, end, _ = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: the marks of the quick start are missing")
    lines = [shown(line) for line in block.splitlines() if not line.startswith(".")]
    return [command for command in "\n".join(lines).split("\n\n") if command.strip()]


def with_addresses(text: str, replacements: dict[str, str]) -> str:
    """All addresses at once, so that no replacement is replaced again. An address ends where no further digit or letter follows."""
    longest_first = sorted(replacements, key=len, reverse=True)
    pattern = "|".join(rf"{re.escape(old)}(?![\w-])" for old in longest_first)
    return re.sub(pattern, lambda match: replacements[match[0]], text) if replacements else text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replace", metavar="OLD=NEW", action="append", default=[])
    options = parser.parse_args()
    replacements = dict(each.split("=", 1) for each in options.replace)
    print("\n\n".join(with_addresses(command, replacements) for command in commands()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
