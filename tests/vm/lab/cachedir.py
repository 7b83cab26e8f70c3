"""Cached results named by a hash of their inputs: built once, in a temporary folder, and renamed when complete."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

from lab import paths

UNTOUCHED = 3600  # seconds without use before an entry may be pruned


def digest(*parts: object) -> str:
    """Short hash of any JSON value."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    """Hold an exclusive lock; a second run waits until the first has built the shared result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove(folder: pathlib.Path) -> None:
    """Remove a tree without following mounts (a killed build may have left one)."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)


def entry(kind: str, name: str, key: str, build: Callable[[pathlib.Path], None], keep: int) -> pathlib.Path:
    """Folder of the cached result; calls build(folder) to create it if it is missing.

    keep: how many of the same kind stay; older ones that nobody has used for a while are removed after a build.
    """
    kinds = paths.cache() / kind
    folder = kinds / f"{name}-{key}"
    with locked(kinds / f".{name}-{key}.lock"):
        if not folder.exists():
            building = kinds / f".{name}-{key}.new"
            remove(building)
            building.mkdir(parents=True)
            try:
                build(building)
            except BaseException:
                remove(building)
                raise
            building.rename(folder)
            _prune(kinds, keep, folder)
        os.utime(folder)
    return folder


def _prune(kinds: pathlib.Path, keep: int, fresh: pathlib.Path) -> None:
    entries = [path for path in kinds.iterdir() if path.is_dir() and not path.name.startswith(".")]
    entries.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in entries[keep:]:
        if path != fresh and time.time() - path.stat().st_mtime > UNTOUCHED:
            remove(path)
            with contextlib.suppress(FileNotFoundError):
                (kinds / f".{path.name}.lock").unlink()


def copy_sparse(source: pathlib.Path, target: pathlib.Path) -> None:
    """Private copy of an image; shares blocks if the file system supports it, otherwise skips holes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "--reflink=auto", "--sparse=always", str(source), str(target)], check=True)


def free_space(folder: pathlib.Path) -> int:
    return shutil.disk_usage(folder).free
