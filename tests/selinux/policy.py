"""Complete SELinux policy in a separate folder: this machine's policy with our modules, and queries of its rules.

Nothing of it is loaded into a kernel, and none is needed that knows SELinux. The decisions are computed by access.c.
"""
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The policy that Debian's package selinux-policy-default brings.
TYPE = "default"
ENVIRONMENT = os.environ | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
ENVIRONMENT.pop("MAKEFLAGS", None)


def run(*command: str | Path, **options) -> str:
    """Run a program that must succeed, and return its output."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=ENVIRONMENT, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def compile_access(folder: Path) -> Path:
    """Build the query program, linked statically because libsepol exports too few functions."""
    program = folder / "access"
    run("gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "access.c", "-l:libsepol.a")
    return program


class Access:
    """Queries of one policy, as defined in access.c."""

    def __init__(self, program: Path, policy: Path) -> None:
        self.process = subprocess.Popen([program, policy], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> "Access":
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait()

    def ask(self, *words: str) -> str:
        try:
            self.process.stdin.write(" ".join(words) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"{' '.join(words)}: {self.process.stderr.read().strip()}")
        return line.rstrip("\n")

    def may(self, source: str, target: str, kind: str, permission: str) -> bool:
        return self.ask("may", source, target, kind, permission) == "yes"

    def who(self, attribute: str, target: str, kind: str, permission: str) -> set[str]:
        return set(self.ask("who", attribute, target, kind, permission).split())

    def whom(self, source: str, attribute: str, kind: str, permission: str) -> set[str]:
        return set(self.ask("whom", source, attribute, kind, permission).split())

    def becomes(self, source: str, target: str, kind: str, *name: str) -> str:
        return self.ask("becomes", source, target, kind, *name)

    def port(self, protocol: str, number: int) -> str:
        return self.ask("port", protocol, str(number))

    def have(self, attribute: str) -> set[str]:
        return set(self.ask("have", attribute).split())

    def set(self, boolean: str, value: bool) -> None:
        assert self.ask("set", boolean, "true" if value else "false") == "ok"


class Store:
    """Copy of the machine's module store, and the policy built from it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for place in (Path("etc/selinux") / TYPE, Path("var/lib/selinux") / TYPE):
            shutil.copytree(Path("/") / place, folder / place, symlinks=True)
        # expand-check: the assertions of the base policy (neverallow) count, which Debian leaves out to save time.
        (folder / "etc/selinux/semanage.conf").write_text("module-store = direct\nexpand-check = 1\n")
        self.saved = 0

    def semodule(self, *arguments: str | Path) -> str:
        return run("semodule", "--noreload", "--path", self.root, "--store", TYPE, *arguments)

    def install(self, *files: Path) -> None:
        self.semodule(*(word for file in files for word in ("--install", file)))

    def remove(self, *modules: str) -> None:
        self.semodule(*(word for module in modules for word in ("--remove", module)))

    def modules(self) -> list[str]:
        return self.semodule("--list-modules").split()

    @property
    def policy(self) -> Path:
        return next((self.root / "etc/selinux" / TYPE / "policy").glob("policy.*"))

    @property
    def file_contexts(self) -> Path:
        return self.root / "etc/selinux" / TYPE / "contexts/files/file_contexts"

    def snapshot(self) -> Path:
        """Snapshot of the current policy, unaffected by later changes of the store."""
        self.saved += 1
        return Path(shutil.copy(self.policy, self.root / f"policy-{self.saved}"))
