"""Paths: the repository, its build folder, and the user's cache."""

import os
import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
TESTS = REPOSITORY / "tests" / "vm"
BUILD = REPOSITORY / "build"


def cache() -> pathlib.Path:
    """Cache folder of the user for images; created on first use."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = pathlib.Path(home) / "holdfast"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
