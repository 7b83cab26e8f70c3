"""Build of the packages from the sources."""
from pathlib import Path

from building import NAMES, debs, repository, run, version
from harness.registry import test


@test("two builds in different folders make the same packages", timeout=3600, long=True)
def build_is_reproducible(folder: Path) -> None:
    results = []
    for name in ("first", "a/longer/name/for/the/second"):
        output = folder / f"build-{len(results)}"
        # Compiled each time, also with a warm cache.
        run("packaging/deb", "--output", output, "--work", folder / name, CCACHE_DISABLE="1", DEB_BUILD_OPTIONS="nocheck",
            DEB_BUILD_PROFILES="nocheck")
        results.append({path.name: path.read_bytes() for path in output.glob("*.deb")})
    first, second = results
    assert first.keys() == second.keys() and len(debs(output)) == len(NAMES), f"packages: {sorted(first)} and {sorted(second)}"
    differing = [name for name in first if first[name] != second[name]]
    assert not differing, f"different bytes in {differing}"


@test("an apt repository has all packages, and a Release file that names their index")
def repository_is_complete(folder: Path) -> None:
    output = repository(folder)
    release = next(output.glob("dists/*/Release"))
    assert "main/binary-" in release.read_text()
    index = next(output.glob("dists/*/main/binary-*/Packages")).read_text()
    assert index.count(f"\nVersion: {version()}\n") >= len(NAMES), index
