"""Builds packages and repositories for the tests, each once in a run."""
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("holdfast-client", "holdfast-server", "holdfast-netboot", "holdfast-selinux", "holdfast-doc")


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Output of a command; fails with the end of the output if the command fails."""
    # The make that started the tests must not pass its variables to another make.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=cwd, env=inherited | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-4000:]}"
    return done.stdout


def version() -> str:
    return run("dpkg-parsechangelog", "-S", "Version").strip()


def later_version() -> str:
    return version() + "+later"


def packaged(folder: Path, of: str = "") -> Path:
    """Folder with packages of the programs in build/, of the given version, or of this one."""
    output = folder / f"packages-{of or version()}"
    if not output.exists():
        run("packaging/deb", "--reuse", "--output", output, *(["--version", of] if of else []), DEB_BUILD_OPTIONS="nocheck noautodbgsym",
            DEB_BUILD_PROFILES="nocheck")
    return output


def debs(folder: Path) -> dict[str, Path]:
    """Package name -> file, except packages of debugging symbols."""
    return {path.name.split("_")[0]: path for path in sorted(folder.glob("*.deb")) if "-dbgsym_" not in path.name}


def repository(folder: Path, of: str = "") -> Path:
    output = folder / f"repository-{of or version()}"
    if not output.exists():
        run("packaging/apt-repository", "--packages", packaged(folder, of), "--output", output)
    return output
