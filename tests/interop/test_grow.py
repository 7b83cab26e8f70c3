"""holdfast-grow: which program it runs for what lies on a device; programs of the test's own say what lies there, and note their words.

With a real device: tests/vm/test_volume.py.
"""
import subprocess
from pathlib import Path

from bench import Bench
from harness.registry import test

PROGRAM = Path(__file__).resolve().parents[2] / "client" / "holdfast-grow"
SYSTEM = ("grep", "sed", "basename", "readlink", "cat", "id")
NOTED = ("holdfast-client", "resize2fs", "xfs_growfs", "pvresize", "cryptsetup", "growpart")


class Machine:
    """A folder of programs, the only ones that holdfast-grow finds."""

    def __init__(self, folder: Path, blkid: str = "", mounted: str = "", growing: int = 0, without: str = "") -> None:
        self._folder = folder
        self._calls = folder / "calls"
        folder.mkdir()
        for name in SYSTEM:
            (folder / name).symlink_to(f"/usr/bin/{name}")
        for name in NOTED:
            self.program(name, f"echo \"{name} $*\" >>{self._calls}; exit {growing if name == 'growpart' else 0}")
        self.program("blkid", f"case \"$*\" in *{blkid.partition('=')[0] or 'nothing'}*) echo {blkid.partition('=')[2]} ;; *) exit 2 ;; esac")
        self.program("findmnt", f"echo {mounted}" if mounted else "exit 1")
        self.program("btrfs", f"echo \"btrfs $*\" >>{self._calls}; printf '\\tdevid    3 size 1 used 1 path /dev/nbd01\\n"
                               "\\tdevid    2 size 1 used 1 path /dev/nbd0\\n'")
        if without:
            (folder / without).unlink()

    def program(self, name: str, script: str) -> None:
        (self._folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self._folder / name).chmod(0o755)

    def grow(self, *words: str) -> tuple[int, list[str], str]:
        """The exit status, the calls of programs, and all that was said."""
        done = subprocess.run(["/bin/sh", PROGRAM, *words], env={"PATH": str(self._folder)}, capture_output=True, text=True, timeout=60)
        calls = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return done.returncode, calls, done.stdout + done.stderr


RESIZED = "holdfast-client resize /dev/nbd0"


@test("holdfast-grow grows the device, and then what lies on it by the program for it")
def contents(bench: Bench) -> None:
    for number, (blkid, mounted, wanted) in enumerate((
        ("TYPE=ext4", "", ["resize2fs /dev/nbd0"]),
        ("TYPE=xfs", "/srv", ["xfs_growfs /srv"]),
        ("TYPE=btrfs", "/srv", ["btrfs filesystem show --raw /srv", "btrfs filesystem resize 2:max /srv"]),
        ("TYPE=LVM2_member", "", ["pvresize /dev/nbd0"]),
        ("", "", []),
    )):
        found = Machine(bench.folder / f"{number}", blkid, mounted).grow("nbd0")
        assert found[:2] == (0, [RESIZED, *wanted]), (blkid, found)


@test("holdfast-grow says why it cannot grow a file system, and which command can")
def refused(bench: Bench) -> None:
    for number, (blkid, word, status) in enumerate((
        ("TYPE=xfs", "only while it is mounted", 1),
        ("TYPE=btrfs", "only while it is mounted", 1),
        ("TYPE=swap", "swap", 1),
        ("TYPE=crypto_LUKS", "not open", 1),
        ("PTTYPE=gpt", "holdfast-grow nbd0p1", 2),
    )):
        found, calls, said = Machine(bench.folder / f"{number}", blkid).grow("/dev/nbd0")
        assert found == status and calls == [RESIZED] and word in said, (blkid, found, calls, said)
    twice = Machine(bench.folder / "twice", "TYPE=ext4")
    for unclear in ("exit 8", "case $* in *PTTYPE*) exit 8 ;; *) exit 2 ;; esac"):
        twice.program("blkid", unclear)
        found, calls, said = twice.grow("nbd0")
        assert found == 1 and calls == [RESIZED] and "wipefs" in said, (unclear, found, calls, said)
    user = Machine(bench.folder / "user", "TYPE=ext4")
    (bench.folder / "user" / "id").unlink()
    user.program("id", "echo 1000")
    found, calls, said = user.grow("nbd0")
    assert found == 1 and not calls and "only root" in said, (found, calls, said)
    found, _, said = Machine(bench.folder / "missing", "TYPE=ext4", without="resize2fs").grow("nbd0")
    assert found == 1 and "apt install e2fsprogs" in said, said


@test("holdfast-grow refuses words that are no device before it runs anything, and --dry-run runs nothing that changes something")
def words(bench: Bench) -> None:
    machine = Machine(bench.folder / "machine", "TYPE=ext4")
    for word in ("sda", "nbd", "nbd0p", "nbd0 ", "nbd0\nnbd1", "../nbd0", "nbd0p1p1", "--force", ""):
        found, calls, said = machine.grow(word)
        assert found == 2 and not calls and said.startswith("holdfast-grow: "), (word, found, calls, said)
    found, calls, said = machine.grow("--dry-run", "nbd0")
    assert found == 0 and calls == ["holdfast-client status /dev/nbd0"] and RESIZED in said and "resize2fs /dev/nbd0" in said, (found, calls, said)
    for status, wanted in ((7, 0), (3, 1)):  # the link is down; not attached
        machine.program("holdfast-client", f"exit {status}")
        found, calls, said = machine.grow("-n", "nbd0p1" if status == 3 else "nbd0")
        assert found == wanted and ("/dev/nbd0: not attached" in said) == (status == 3), (found, calls, said)
    assert machine.grow("nbd0", "nbd1")[0] == 2
