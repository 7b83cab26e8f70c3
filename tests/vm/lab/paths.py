"""Where things are: the repository, its build folder, and the user's cache."""

import os
import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
TESTS = REPOSITORY / "tests" / "vm"
BUILD = REPOSITORY / "build"


def cache() -> pathlib.Path:
    """The user's cache folder for images; made when first asked for."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = pathlib.Path(home) / "holdfast"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
