"""The script that attaches the disks in the initramfs, in whose place holdfast-client and the shell of `panic` do as a test says."""

import subprocess
from pathlib import Path

from bench import Bench
from harness.registry import test

SCRIPT = Path(__file__).resolve().parents[2] / "initramfs-hooks/local-top"

# /scripts/functions. What a person does in the shell of `panic` are the files panic.1, panic.2 and so on.
FUNCTIONS = r"""
wait_for_udev() { :; }
udevadm() { :; }
panics=0
panic() {
	panics=$((panics + 1))
	echo "panic: $1"
	[ -e "$FOLDER/panic.$panics" ] || exit 9
	. "$FOLDER/panic.$panics"
}
"""
# /scripts/holdfast-network. The attempts end with the statuses of the file results.
NETWORK = r"""
attach_through_cards() {
	read -r result rest <"$FOLDER/results"
	echo "$rest" >"$FOLDER/results"
	echo "boot: $result, NBDROOT=${NBDROOT-}"
	return "$result"
}
"""
CLIENT = "#!/bin/sh\nexit 0\n"
BY_HAND = 'mkdir -p "$FOLDER/block/nbd0" && : >"$FOLDER/block/nbd0/pid"\n'
WITHOUT = 'echo >"$FOLDER/run/holdfast-without"\n'


def run(bench: Bench, words: str, results: str, *panics: str, table: bool = False, copied: bool = False) -> str:
    """Output and status of the script, with its paths below the test's folder."""
    for name in ("scripts", "run/holdfast", "bin", "etc"):
        (bench.folder / name).mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(panics, 1):
        bench.file(f"panic.{number}", content=text.encode())
    if table:
        bench.file("etc/devices")
    if copied:
        (bench.folder / "run/holdfast/copy").symlink_to("/dev/loop0")
    bench.file("results", content=f"{results}\n".encode())
    bench.file("cmdline", content=f"quiet {words} ro\n".encode())
    bench.file("scripts/functions", content=FUNCTIONS.encode())
    bench.file("scripts/holdfast-network", content=NETWORK.encode())
    bench.file("bin/holdfast-client", content=CLIENT.encode()).chmod(0o755)
    text = SCRIPT.read_text()
    for ours, theirs in (("/scripts/", "$FOLDER/scripts/"), ("/proc/cmdline", '"$FOLDER/cmdline"'), ("/sys/block/", "$FOLDER/block/"),
                         ("/etc/holdfast/devices", "$FOLDER/etc/devices"), ("/run/holdfast", "$FOLDER/run/holdfast"), ("/sbin/modprobe", ":")):
        assert ours in text, ours
        text = text.replace(ours, theirs)
    program = bench.file("script", content=text.encode())
    done = subprocess.run(["dash", str(program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, env={"PATH": f"{bench.folder}/bin:/usr/bin:/bin", "FOLDER": str(bench.folder)})
    return f"{done.stdout}status {done.returncode}\n"


@test("no initramfs is made with a client that does not run: the hook fails, and says so")
def broken_client(bench: Bench) -> None:
    functions = bench.file("functions", content=b"copy_exec() { echo copied $1; }\nmanual_add_modules() { :; }\nauto_add_modules() { :; }\n")
    client = bench.file("holdfast-client")
    text = (SCRIPT.parent / "hook.in").read_text().replace("@SBINDIR@", str(bench.folder)).replace("/usr/share/initramfs-tools/hook-functions", str(functions))
    hook = bench.file("hook", content=text.encode())
    for content, good in (("", False), ("#!/bin/sh\nexit 1\n", False), ("#!/bin/sh\necho 'holdfast-client 1.0'\n", True)):
        client.write_text(content)
        client.chmod(0o755)
        done = subprocess.run(["dash", str(hook)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
                              env={"PATH": "/usr/sbin:/usr/bin:/bin", "DESTDIR": str(bench.folder / "tree")})
        assert ("does not run" in done.stdout) != good and (f"copied {client}" in done.stdout) == good, done.stdout
        assert good or done.returncode == 1, done


@test("a root disk that was attached by hand is enough, unless further disks are wanted: these are attached then")
def by_hand(bench: Bench) -> None:
    alone = run(bench, "nbdroot=10.0.0.1,root", "4", BY_HAND)
    assert alone.count("boot:") == 1 and alone.endswith("status 0\n"), alone
    for words, table in (("nbdroot=10.0.0.1,root holdfast.disk=nbd1=10.0.0.2,b", False), ("nbdroot=10.0.0.1,root", True)):
        (bench.folder / "block/nbd0/pid").unlink()
        text = run(bench, words, "4 0", BY_HAND, table=table)
        assert text.count("boot:") == 2 and text.endswith("status 0\n"), text


@test("with an invalid parameter, disks that were attached by hand are enough: the shell does not come again and again")
def invalid(bench: Bench) -> None:
    text = run(bench, "nbdroot=10.0.0.1 holdfast.disk=nbd1=10.0.0.2,b", "2", BY_HAND)
    assert text.count("panic:") == 1 and "is invalid" in text and text.endswith("status 0\n"), text


@test("a further disk that is missing is named as such, and the boot goes on without it where the administrator says so")
def without(bench: Bench) -> None:
    text = run(bench, "nbdroot=10.0.0.1,root holdfast.disk=nbd1=10.0.0.2,b", "4 1 1", BY_HAND, "", WITHOUT)
    assert text.count("boot:") == 3 and text.endswith("status 0\n"), text
    assert text.count("panic: holdfast: ALERT! A further disk") == 2, text


@test("after holdfast.toram has copied the root disk, a missing further disk is not taken for the root disk")
def copied(bench: Bench) -> None:
    text = run(bench, "nbdroot=10.0.0.1,root holdfast.toram", "1", WITHOUT, table=True, copied=True)
    assert "A further disk" in text and "the root disk could not" not in text and text.endswith("status 0\n"), text


@test("root=dhcp names the root disk also beside further disks, whose words are no root disk")
def from_dhcp(bench: Bench) -> None:
    for words in ("root=dhcp", "root=dhcp holdfast.disk=nbd1=10.0.0.2,b", "root=dhcp holdfast.disk=nbd1=nbd://10.0.0.2/b"):
        text = run(bench, words, "0")
        assert "boot: 0, NBDROOT=dhcp\n" in text, text
    assert "boot: 0, NBDROOT=\n" in run(bench, "holdfast.disk=nbd1=10.0.0.2,b", "0")
    assert run(bench, "root=/dev/sda1", "0") == "status 0\n"
