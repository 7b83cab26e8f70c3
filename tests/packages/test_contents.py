"""Contents of the packages. Quick: they are made of the programs in build/."""
import html
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


@test("there are five packages, and no two have a file in common")
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
    for table in ("files", "guide", "selinux", "selinux-protect"):
        for line in (ROOT / "install" / table).read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            name = Path(line.split()[2]).name
            assert name == "LICENSE" or name in packaged_names, f"{name} is in no package"


@test("a manual page names examples and other documents where a package has them")
def manuals_name_examples(folder: Path) -> None:
    content = folder / "content"
    for deb in debs(packaged(folder)).values():
        run("dpkg-deb", "-x", deb, content)
    pages = [*content.glob("usr/share/man/man*/*"), *content.glob("usr/share/doc/holdfast-doc/guide/*.html")]
    assert len(pages) > 16, f"pages: {pages}"
    for page in pages:
        text = run("zcat", page) if page.suffix == ".gz" else page.read_text()
        for path in re.findall(r"/usr/share/doc/holdfast[\w./-]*", text):
            assert (content / path.rstrip(".").lstrip("/")).exists(), f"{page.name} names {path}, which no package has"


@test("the links of the guide lead to its pages, or to other sites")
def links_lead_somewhere(folder: Path) -> None:
    content = folder / "guide"
    run("dpkg-deb", "-x", debs(packaged(folder))["holdfast-doc"], content)
    guide = content / "usr/share/doc/holdfast-doc/guide"
    targets = {f"{page.name}#{name}" for page in guide.glob("*.html") for name in re.findall(r'\bid="([^"]+)"', page.read_text())}
    for page in guide.glob("*.html"):
        for link in re.findall(r'\bhref="([^"]+)"', page.read_text()):
            file, _, anchor = link.partition("#")
            if file.startswith("https://"):
                continue
            assert not file or (guide / file).exists(), f"{page.name} links to {file}"
            assert not anchor or f"{file or page.name}#{html.unescape(anchor)}" in targets, f"{page.name} links to {link}"


@test("lintian reports no error and no warning")
def lintian_is_content(folder: Path) -> None:
    changes = next(packaged(folder).glob("*.changes"))
    run("lintian", "-iI", "--pedantic", "--allow-root", "--fail-on", "error,warning", changes)
