"""holdfast-netboot on a tree in a temporary folder, with stand-ins for the loaders of Debian's packages."""
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

from bench import Bench
from harness.registry import test

LOADERS = {
    "usr/lib/PXELINUX/pxelinux.0": "pxelinux.0",
    "usr/lib/syslinux/modules/bios/ldlinux.c32": "ldlinux.c32",
    "usr/lib/shim/shimx64.efi.signed": "shimx64.efi",
    "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed": "grubx64.efi",
}
MAC = "52:54:00:12:34:56"
KEYED = ("pxelinux.cfg/01-52-54-00-12-34-56", "grub/grub.cfg-01-52-54-00-12-34-56", "ipxe/01-52-54-00-12-34-56.ipxe")
OK, FAILURE, USAGE, EDITED, FAULTS = range(5)


class Netboot:
    """The program, a tree, and a folder with loaders."""

    def __init__(self, bench: Bench) -> None:
        self.program = bench.netboot_program
        self.tree = bench.folder / "tftp"
        self.debian = bench.folder / "debian"
        for source, name in LOADERS.items():
            (self.debian / source).parent.mkdir(parents=True, exist_ok=True)
            (self.debian / source).write_bytes(b"\0loader " + name.encode())
        self.initrd = bench.file("initrd.img", content=b"070701 initramfs")
        self.kernels = [self.kernel(bench, release) for release in ("6.1.0-36-amd64", "6.1.0-37-amd64", "6.1.0-38-amd64")]

    def kernel(self, bench: Bench, release: str) -> Path:
        image = bytearray(2048)
        image[0x202:0x206] = b"HdrS"
        image[0x20E:0x210] = (0x100).to_bytes(2, "little")
        image[0x300:0x300 + len(release)] = release.encode()
        return bench.file(f"vmlinuz-{release}", content=bytes(image))

    def run(self, *words: str | Path, status: int = OK) -> str:
        """Output of a command on the tree; fails if the status is another."""
        tree = [self.tree] if words[0] == "init" else ["--tree", self.tree]
        done = subprocess.run([self.program, words[0], *tree, *words[1:]], capture_output=True, text=True)
        assert done.returncode == status, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def init(self, *words: str, status: int = OK) -> str:
        return self.run("init", "--from", self.debian, "--server", "192.0.2.1", *words, status=status)

    def check(self, *words: str, status: int = OK) -> str:
        return self.run("check", "--from", self.debian, *words, status=status)

    def with_kernel(self, number: int) -> tuple[str | Path, ...]:
        return "--kernel", self.kernels[number], "--initrd", self.initrd

    def text(self, name: str) -> str:
        return (self.tree / name).read_text()

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.tree)): path.read_bytes() for path in self.tree.rglob("*")
                if path.is_file() and ".holdfast" not in path.parts}


@test("holdfast-netboot makes a tree with loaders, and names missing packages before it makes anything")
def tree_is_made(bench: Bench) -> None:
    netboot = Netboot(bench)
    (netboot.debian / "usr/lib/shim/shimx64.efi.signed").rename(bench.folder / "shim")
    (netboot.debian / "usr/lib/PXELINUX/pxelinux.0").rename(bench.folder / "pxelinux")
    said = netboot.init(status=FAILURE)
    assert "run `apt install pxelinux shim-signed`" in said, said
    assert not netboot.tree.exists()
    for name, source in (("shim", "usr/lib/shim/shimx64.efi.signed"), ("pxelinux", "usr/lib/PXELINUX/pxelinux.0")):
        (bench.folder / name).rename(netboot.debian / source)

    assert "run `holdfast-netboot init" in netboot.run("list", status=FAILURE)
    netboot.init("--dry-run")
    assert not netboot.tree.exists()
    lines = netboot.init("--dhcp", "dnsmasq")
    assert f"tftp-root={netboot.tree}\n" in lines and "dhcp-boot=tag:!ipxe,tag:efi64,shimx64.efi\n" in lines, lines
    for source, name in LOADERS.items():
        assert (netboot.tree / name).read_bytes() == (netboot.debian / source).read_bytes()
        assert (netboot.tree / name).stat().st_mode & 0o777 == 0o644
    assert "LOCALBOOT 0" in netboot.text("pxelinux.cfg/default")
    assert netboot.check().endswith("good: 0 hosts\n")
    if dnsmasq := shutil.which("dnsmasq"):
        for number, words in enumerate(([], ["--proxy", "192.0.2.0"])):
            netboot.init("--dhcp", "dnsmasq", "--dhcp-file", str(bench.folder / f"dnsmasq{number}.conf"), *words)
            subprocess.run([dnsmasq, "--test", f"--conf-file={bench.folder}/dnsmasq{number}.conf"], check=True, capture_output=True)

    (netboot.debian / "usr/lib/shim/shimx64.efi.signed").write_bytes(b"\0newer")
    said = netboot.check(status=FAULTS)
    assert f"shimx64.efi: the package shim-signed has another version; run `holdfast-netboot init {netboot.tree}`" in said, said
    netboot.init()
    netboot.check()

    # The command that `check` names keeps the kinds that were chosen before.
    netboot.init("--loaders", "bios")
    netboot.init()
    assert (netboot.tree / "pxelinux.0").exists() and not (netboot.tree / "shimx64.efi").exists()
    netboot.init("--loaders", "bios,uefi")
    netboot.check()


@test("a host gets a file for each loader and key, two kernels, and is gone without a trace when it is removed")
def host_comes_and_goes(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    empty = netboot.files()
    said = netboot.run("add", "ws0", "--export", "disk 0", "--mac", "52-54-00-12-34-56", "--console", "ttyS0")
    assert "note: no kernel yet" in said and netboot.files() == empty, said
    assert "no kernel" in netboot.check(status=FAULTS)
    for number in range(3):
        netboot.run("add", "ws0", *netboot.with_kernel(number))
    assert sorted(path.name for path in (netboot.tree / "hosts/ws0").iterdir()) == ["2", "3"], "one kernel too many, or too few"
    assert (netboot.tree / "hosts/ws0/3/vmlinuz").read_bytes() == netboot.kernels[2].read_bytes()
    for name in KEYED:
        text = netboot.text(name)
        assert "nbdroot=nbd://192.0.2.1/disk%200 ip=dhcp console=ttyS0" in text, text
        assert text.index("hosts/ws0/3/vmlinuz") < text.index("hosts/ws0/2/vmlinuz"), text
    said = netboot.check("--mac", MAC, "--ip", "192.0.2.91")
    assert said.startswith(KEYED[0]) and "Linux 6.1.0-38-amd64" in said, said
    listed = json.loads(netboot.run("list", "--json"))
    assert [(host["host"], host["macs"], host["kernel"]["release"], host["previous"]["folder"]) for host in listed] == \
        [("ws0", [MAC], "6.1.0-38-amd64", "hosts/ws0/2")], listed

    netboot.run("default", "ws0")
    assert "hosts/ws0/3/vmlinuz" in netboot.text("pxelinux.cfg/default")
    assert "run `holdfast-netboot default --none`" in netboot.run("remove", "ws0", status=USAGE)
    netboot.run("default", "--none")
    netboot.run("add", "ws0", "--mac", "", "--ip", "192.0.2.80/28")
    assert not (netboot.tree / KEYED[0]).exists() and (netboot.tree / "pxelinux.cfg/C000025").exists()
    netboot.run("remove", "ws0")
    assert netboot.files() == empty and not (netboot.tree / "hosts/ws0").exists()
    assert netboot.run("list") == ""


@test("a file of the tree that was edited by hand is never overwritten in silence")
def edits_are_kept(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))
    edited = netboot.text(KEYED[0]) + "# mine\n"
    (netboot.tree / KEYED[0]).write_text(edited)
    netboot.run("add", "ws0")  # changes nothing, and so is no conflict
    assert "edited by hand" in netboot.check()

    before = netboot.files()
    for words in (["add", "ws0", "--append", "quiet"], ["remove", "ws0"], ["add", "ws0", *netboot.with_kernel(1)]):
        said = netboot.run(*words, status=EDITED)
        assert f"{KEYED[0]}: edited by hand" in said and "-# mine" in said, said
        assert netboot.files() == before, f"{words} changed the tree"
    said = netboot.run("add", "ws0", "--append", "quiet", "--keep", "--dry-run")
    assert f"+++ {KEYED[1]}" in said and KEYED[0] not in said and netboot.files() == before, said
    netboot.run("add", "ws0", "--append", "quiet", "--keep")
    assert netboot.text(KEYED[0]) == edited and " quiet " in netboot.text(KEYED[1])
    netboot.run("add", "ws0", "--append", "splash", "--force")
    assert "# mine" not in netboot.text(KEYED[0]) and " splash" in netboot.text(KEYED[0])

    # A file that another program has put where a new one belongs.
    (netboot.tree / "pxelinux.cfg/C0000207").write_text("theirs\n")
    said = netboot.run("add", "ws1", "--export", "b", "--ip", "192.0.2.7", *netboot.with_kernel(0), status=EDITED)
    assert "pxelinux.cfg/C0000207: edited by hand" in said
    assert netboot.text("pxelinux.cfg/C0000207") == "theirs\n" and not (netboot.tree / "hosts/ws1").exists()


@test("--force restores the files of the command's own host, or of the tree for init, and no edit elsewhere that needs no change")
def force_is_for_one_owner(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    other = tuple(name.replace("-56", "-57") for name in KEYED)
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))
    netboot.run("add", "ws1", "--export", "b", "--mac", "52:54:00:12:34:57", *netboot.with_kernel(0))
    searches = ("grub/grub.cfg", "boot.ipxe")
    planned = {name: netboot.text(name) for name in (*KEYED, *other, *searches)}

    def edit() -> None:
        for name, text in planned.items():
            (netboot.tree / name).write_text(text + "# mine\n")

    def edited() -> set[str]:
        return {name for name in planned if netboot.text(name).endswith("# mine\n")}

    edit()
    netboot.run("add", "ws0", "--append", "quiet", "--force")
    assert edited() == {*other, *searches}, "add --force concerns its host alone"
    assert " quiet" in netboot.text(KEYED[0])
    edit()
    netboot.run("add", "ws0", "--force")
    assert edited() == {*other, *searches}, "add --force restores the files of its host"
    edit()
    netboot.run("default", "--none", "--force")
    assert edited() == set(planned), "no file would have changed"
    netboot.init("--force")
    assert edited() == {*KEYED, *other}, "init --force concerns the tree"
    netboot.run("init", "--from", netboot.debian, "--server", "192.0.2.9", "--force")
    assert edited() == set() and "192.0.2.9" in netboot.text(other[0]), "files whose text has changed are overwritten"


@test("init --dhcp-file keeps the lines that an administrator has added, and replaces no link")
def dhcp_file_is_kept(bench: Bench) -> None:
    netboot = Netboot(bench)
    path = bench.folder / "dnsmasq.d/netboot.conf"
    words = ("--dhcp", "dnsmasq", "--dhcp-file", str(path))
    path.parent.mkdir()
    path.write_text("theirs\n")
    said = netboot.init(*words, status=EDITED)
    assert f"{path}: edited by hand" in said and "-theirs" in said and path.read_text() == "theirs\n", said
    assert not (netboot.tree / "pxelinux.0").exists(), "a conflict leaves everything as it was"
    path.unlink()
    netboot.init(*words, "--dry-run")
    assert not path.exists()
    netboot.init(*words)
    assert f"tftp-root={netboot.tree}\n" in path.read_text()

    edited = path.read_text() + "dhcp-range=192.0.2.50,192.0.2.99\n"
    path.write_text(edited)
    netboot.init(*words)  # the lines are the same, and so no conflict
    assert path.read_text() == edited
    other = (*words, "--address", "192.0.2.9")
    said = netboot.init(*other, status=EDITED)
    assert "-dhcp-range=192.0.2.50" in said and "192.0.2.9" in said and path.read_text() == edited, said
    netboot.init(*other, "--keep")
    assert path.read_text() == edited
    netboot.init(*other, "--force")
    assert "dhcp-range=192.0.2.50" not in path.read_text() and "192.0.2.9" in path.read_text()
    netboot.init(*words)  # a text of the program is replaced
    assert "192.0.2.9" not in path.read_text()

    link = bench.folder / "link.conf"
    link.symlink_to(path)
    said = netboot.init("--dhcp", "dnsmasq", "--dhcp-file", str(link), "--force", status=FAILURE)
    assert "name the file itself" in said and link.is_symlink(), said


@test("holdfast-netboot refuses hostile words, twins, and files that are no kernel, and changes nothing")
def mistakes_are_refused(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))
    before = netboot.files()
    other = "52:54:00:12:34:57"
    for words, status, expected in (
        (["../ws1", "--export", "b"], USAGE, "invalid host name"),
        (["ws1"], USAGE, "no export; name one"),
        (["ws1", "--export", "b", "--append", "quiet\nLABEL x"], USAGE, "line break"),
        (["ws1", "--export", "b", "--append", "a='b'"], USAGE, "omit it"),
        (["ws1", "--export", "b", "--append", "x" * 2048], USAGE, "shorten --append"),
        (["ws1", "--export", "b", "--mac", "52:54"], USAGE, "invalid MAC address"),
        (["ws1", "--export", "b", "--mac", MAC], USAGE, "belongs to the host ws0"),
        (["ws1", "--export", "b", "--mac", other, "--kernel", netboot.initrd, "--initrd", netboot.initrd], FAILURE, "use it with --initrd"),
        (["ws1", "--export", "b", "--mac", other, "--kernel", netboot.kernels[0], "--initrd", netboot.kernels[0]], FAILURE, "no initramfs"),
        (["ws1", "--export", "b", "--mac", other, "--kernel", "/nowhere", "--initrd", netboot.initrd], FAILURE, "/nowhere: "),
    ):
        said = netboot.run("add", *words, status=status)
        assert expected in said and len(said.splitlines()) == 1, said
        assert netboot.files() == before, words
    assert "no such host" in netboot.run("remove", "ws1", status=USAGE)
    (netboot.tree / "hosts/ws0/1/vmlinuz").unlink()
    (netboot.tree / KEYED[1]).unlink()
    said = netboot.check(status=FAULTS)
    assert "hosts/ws0/1/vmlinuz: missing" in said and f"{KEYED[1]}: missing; run `holdfast-netboot add ws0`" in said, said
    assert "2 faults" in said, said


@test("a change of the tree that is killed at any moment leaves whole files, none of them taken for edited, and is completed later")
def killed_at_any_moment(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, "--append", "n0", *netboot.with_kernel(0))
    command = [netboot.program, "add", "ws0", "--tree", netboot.tree]
    began = time.monotonic()
    subprocess.run([*command, "--append", "n0"], check=True, capture_output=True)
    span = max(time.monotonic() - began, 0.01)
    for turn in range(1, 25):
        process = subprocess.Popen([*command, "--append", f"n{turn}"], stdout=subprocess.DEVNULL)
        time.sleep(span * turn / 20)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for name in KEYED:
            text = netboot.text(name)
            assert text.startswith(("#", "!")) and text.endswith("\n") and "hosts/ws0/1/vmlinuz" in text, text
        netboot.run("add", "ws0")  # completes the change, whichever settings are stored
        netboot.check()
        netboot.run("add", "ws0", "--append", "n0")
