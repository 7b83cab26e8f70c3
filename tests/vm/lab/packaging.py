"""Our Debian packages, built from the programs in build/: once per test run, and again under a later version for upgrades."""

import os
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence

from lab import cachedir, debian, images, paths, process, progress

LATER = "+later"  # added to the version


def packages() -> pathlib.Path:
    """Folder with the packages of client and server that all images have. HOLDFAST_PACKAGES names one that was made before."""
    if made := os.environ.get("HOLDFAST_PACKAGES"):
        return pathlib.Path(made)
    return _made("packages", lambda folder: _build(folder, ["--arch-only"]))


def later_packages() -> pathlib.Path:
    """Folder with packages of the same programs and a later version."""
    return _made("later", lambda folder: _build(folder, ["--arch-only", "--version", f"{_version()}{LATER}"]))


def all_packages() -> pathlib.Path:
    """Folder with all packages of the tree, also those of Architecture: all."""
    return _made("all", lambda folder: _build(folder, []))


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


def kernel_repository(base: images.Base) -> pathlib.Path:
    """Apt repository with the kernels of a Debian tree."""
    def build(folder: pathlib.Path) -> None:
        packages = folder / "packages"
        packages.mkdir()
        for name in _installed(base.tree()):
            if name.startswith("linux-image-"):
                shutil.copy(paths.cache() / "archives" / name, packages)
        _index(packages, folder)
        cachedir.remove(packages)

    return _made(f"kernels-{base.name}", build)


# Packages of a site on which a file server is set up, by the folders of its web server.
SITE = ("holdfast", "debian", "debian-security")
SITE_KEY = "debian/holdfast.asc"  # signs the archive that stands for Debian's

# In the place of the metapackage for the kernel of real hardware: the kernel of virtual machines, and an initramfs of few modules. An
# emulated processor takes a quarter of an hour for an initramfs of most modules. Essential, so that it is unpacked before the kernel.
FEW_MODULES = """#!/bin/sh
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_net ext4
"""


def site(base: images.Base) -> pathlib.Path:
    """Folder of a web server: apt repositories of our packages, and of those of a Debian tree, signed as Debian's archive is."""
    def build(folder: pathlib.Path) -> None:
        suite = debian.SUITES[base.release]
        archives, nothing = folder / "archives", folder / "nothing"
        archives.mkdir()
        nothing.mkdir()
        for name in _installed(base.tree()):
            shutil.copy(paths.cache() / "archives" / name, archives)
        _make_package(archives, "linux-image-amd64", "Depends: linux-image-cloud-amd64\n")
        files = {"etc/initramfs-tools/conf.d/lab": "MODULES=list\n", "etc/initramfs-tools/hooks/lab": FEW_MODULES}
        _make_package(archives, "lab-few-modules", "Essential: yes\n", files)
        shutil.copy(archives / "lab-few-modules.deb", nothing)  # a repository has at least one package
        environment = {**os.environ, "GNUPGHOME": str(folder / "gnupg")}
        (folder / "gnupg").mkdir(mode=0o700)
        process.output_of(["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "lab", "default", "default", "never"], env=environment)
        signed = ["--key", "lab", "--suite"]
        _index(all_packages(), folder / SITE[0], ["--suite", suite])
        _index(archives, folder / SITE[1], [*signed, suite], environment)
        _index(nothing, folder / SITE[2], [*signed, f"{suite}-security"], environment)
        process.output_of(["gpgconf", "--kill", "all"], env=environment)
        for each in (archives, nothing, folder / "gnupg"):
            cachedir.remove(each)

    return _made(f"site-{base.name}", build)


def _make_package(output: pathlib.Path, name: str, fields: str, files: Mapping[str, str] | None = None) -> None:
    """Package of a few small files, all executable."""
    tree = output / f"{name}.tree"
    for path, text in {"DEBIAN/control": f"Package: {name}\nVersion: 1\nArchitecture: amd64\nPriority: required\n{fields}"
                       "Maintainer: lab\nDescription: of the lab\n", **(files or {})}.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
        (tree / path).chmod(0o755)
    process.output_of(["dpkg-deb", "--root-owner-group", "--build", tree, output / f"{name}.deb"])
    cachedir.remove(tree)


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


def _index(packages: pathlib.Path, repository: pathlib.Path, options: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
    process.output_of([paths.REPOSITORY / "packaging/apt-repository", "--packages", packages, "--output", repository, *options], env=environment)


def _build(output: pathlib.Path, options: Sequence[str]) -> None:
    # The build that aborts when the client's daemon allocates, or opens a path, after its seal.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    environment |= {"SEAL_CHECK": "1", "DEB_BUILD_OPTIONS": "nocheck noautodbgsym", "DEB_BUILD_PROFILES": "nocheck"}
    # Serializes the builds, which use the same objects.
    with cachedir.locked(paths.BUILD / "vm-packages" / ".build.lock"):
        targets = ["all", "build/sealed/holdfast-client", *([] if "--arch-only" in options else ["selinux"])]
        process.output_of(["make", "-C", paths.REPOSITORY, "-j2", *targets], env=environment)
        process.output_of([paths.REPOSITORY / "packaging/deb", "--reuse", "--output", output, *options], env=environment)


def _remove_forgotten() -> None:
    """Remove leftovers of killed runs."""
    for path in (paths.BUILD / "vm-packages").iterdir():
        if path.is_dir() and path != _run() and time.time() - path.stat().st_mtime > 3600:
            cachedir.remove(path)
