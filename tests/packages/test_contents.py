"""Contents of the packages. Quick: they are made of the programs in build/."""
import re
from pathlib import Path

from building import NAMES, ROOT, debs, packaged, run, version
from harness.registry import test


def files_of(deb: Path) -> set[str]:
    """Paths in a package, without folders."""
    lines = run("dpkg-deb", "-c", deb).splitlines()
    return {line.split(maxsplit=5)[5].split(" -> ")[0].removeprefix(".") for line in lines if not line.startswith("d")}


@test("the version of the packages is that of the programs")
def versions_agree(folder: Path) -> None:
    program = re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1)
    assert version() == program, f"debian/changelog has {version()}, the Makefile {program}"


@test("there are three packages, and no two have a file in common")
def packages_are_disjoint(folder: Path) -> None:
    found = debs(packaged(folder))
    assert set(found) == set(NAMES), f"packages: {sorted(found)}"
    owners: dict[str, str] = {}
    for name, deb in found.items():
        for path in files_of(deb):
            assert path not in owners, f"{path} is in {owners[path]} and {name}"
            owners[path] = name


@test("every file that make install puts in place is in a package, under its name")
def files_are_packaged(folder: Path) -> None:
    packaged_names = {Path(path).name.removesuffix(".gz") for deb in debs(packaged(folder)).values() for path in files_of(deb)}
    for table in ("files", "selinux", "selinux-protect"):
        for line in (ROOT / "install" / table).read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            name = Path(line.split()[2]).name
            assert name == "LICENSE" or name in packaged_names, f"{name} is in no package"


@test("a manual page names the examples where its package has them")
def manuals_name_examples(folder: Path) -> None:
    for name, deb in debs(packaged(folder)).items():
        content = folder / f"content-{name}"
        run("dpkg-deb", "-x", deb, content)
        for page in content.glob("usr/share/man/man*/*"):
            for path in re.findall(r"/usr/share/doc/holdfast[\w./-]*", run("zcat", page)):
                assert (content / path.rstrip(".").lstrip("/")).exists(), f"{name}: {page.name} names {path}, which the package does not have"


@test("lintian reports no error and no warning")
def lintian_is_content(folder: Path) -> None:
    changes = next(packaged(folder).glob("*.changes"))
    run("lintian", "-iI", "--pedantic", "--allow-root", "--fail-on", "error,warning", changes)
