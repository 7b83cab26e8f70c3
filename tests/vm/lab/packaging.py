"""Our Debian packages, built from the programs in build/: once per test run, and again under a later version for upgrades."""

import os
import pathlib
import shutil
import time
from collections.abc import Callable

from lab import cachedir, images, paths, process, progress

LATER = "+later"  # added to the version


def packages() -> pathlib.Path:
    """Folder with the packages of client and server that all images have. HOLDFAST_PACKAGES names one that was made before."""
    if made := os.environ.get("HOLDFAST_PACKAGES"):
        return pathlib.Path(made)
    return _made("packages", lambda folder: _build(folder, []))


def later_packages() -> pathlib.Path:
    """Folder with packages of the same programs and a later version."""
    return _made("later", lambda folder: _build(folder, ["--version", f"{_version()}{LATER}"]))


def later_repository() -> pathlib.Path:
    """Apt repository of the later packages; the folder in `dists` is the suite."""
    return _made("repository", lambda folder: _index(later_packages(), folder))


def release_repository(base: images.Base) -> pathlib.Path:
    """Apt repository with all packages of a Debian tree, and with ours of the later version."""
    def build(folder: pathlib.Path) -> None:
        packages = folder / "packages"
        shutil.copytree(later_packages(), packages)
        for name in _installed(base.tree()):
            shutil.copy(paths.cache() / "archives" / name, packages)
        _index(packages, folder)
        cachedir.remove(packages)

    return _made(f"release-{base.name}", build)


def _installed(tree: pathlib.Path) -> list[str]:
    """Names of the package files from which a tree was made."""
    form = "${Package}_${Version}_${Architecture}.deb\n"
    listed = process.output_of(["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", "-f", form])
    return [name.replace(":", "%3a") for name in listed.split()]


def forget() -> None:
    """Remove the folder of this run."""
    cachedir.remove(_run())


def _run() -> pathlib.Path:
    return paths.BUILD / "vm-packages" / os.environ.get("HOLDFAST_LAB_RUN", str(os.getpid()))


def _made(name: str, build: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """Folder of this run that `build` fills the first time."""
    folder = _run() / name
    with cachedir.locked(paths.BUILD / "vm-packages" / f".{name}.lock"):
        if not folder.exists():
            _remove_forgotten()
            new = folder.with_name(folder.name + ".new")
            cachedir.remove(new)
            new.mkdir(parents=True)
            with progress.step(f"Debian packages of our programs ({name})"):
                build(new)
            new.rename(folder)
    return folder


def _version() -> str:
    return process.output_of(["dpkg-parsechangelog", "-S", "Version"], cwd=paths.REPOSITORY).strip()


def _index(packages: pathlib.Path, repository: pathlib.Path) -> None:
    process.output_of([paths.REPOSITORY / "packaging/apt-repository", "--packages", packages, "--output", repository])


def _build(output: pathlib.Path, options: list[str]) -> None:
    # The build that aborts when the client's daemon allocates, or opens a path, after its seal.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    environment |= {"SEAL_CHECK": "1", "DEB_BUILD_OPTIONS": "nocheck noautodbgsym", "DEB_BUILD_PROFILES": "nocheck"}
    # Serializes the builds, which use the same objects.
    with cachedir.locked(paths.BUILD / "vm-packages" / ".build.lock"):
        process.output_of(["make", "-C", paths.REPOSITORY, "-j2", "all", "build/sealed/holdfast-client"], env=environment)
        process.output_of([paths.REPOSITORY / "packaging/deb", "--reuse", "--arch-only", "--output", output, *options], env=environment)


def _remove_forgotten() -> None:
    """Remove leftovers of killed runs."""
    for path in (paths.BUILD / "vm-packages").iterdir():
        if path.is_dir() and path != _run() and time.time() - path.stat().st_mtime > 3600:
            cachedir.remove(path)
