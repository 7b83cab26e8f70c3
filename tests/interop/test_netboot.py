"""holdfast-netboot on a tree in a temporary folder, with stand-ins for the loaders of Debian's packages."""
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench import Bench
from harness.registry import test
from netboot_tree import EDITED, FAILURE, FAULTS, KEYED, LOADERS, MAC, OK, USAGE, Netboot


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

    # Debian's signed GRUB may lack HTTP; iPXE has it.
    grub = netboot.debian / "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"
    for lines in (netboot.init("--dhcp", server) for server in ("dnsmasq", "isc", "kea")):
        assert "http://" not in lines and "cannot read HTTP" in lines, lines
        assert f"`holdfast-netboot init {netboot.tree} --from {netboot.debian} --loaders bios,uefi,ipxe` adds iPXE" in lines, lines
    grub.write_bytes(grub.read_bytes() + b"GET /x HTTP/1.1")
    for server in ("dnsmasq", "isc", "kea"):
        lines = netboot.init("--dhcp", server)
        assert "http://192.0.2.1/shimx64.efi" in lines
    classes = json.loads("{" + re.sub("(?m)^//.*", "", lines) + "}")["client-classes"]  # Kea's
    assert [each["boot-file-name"] for each in classes] == ["boot.ipxe", "pxelinux.0", "shimx64.efi", "http://192.0.2.1/shimx64.efi"]
    assert "GRUB looks for /grub/grub.cfg" in netboot.init("--dhcp", "isc", "--http", "http://192.0.2.1/boot", status=USAGE)

    (netboot.debian / "usr/lib/shim/shimx64.efi.signed").write_bytes(b"\0newer")
    said = netboot.check(status=FAULTS)
    assert f"shimx64.efi: the package shim-signed has another version; run `holdfast-netboot init {netboot.tree} --from {netboot.debian}`" in said, said
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
        said = netboot.run("add", "ws0", *netboot.with_kernel(number))
        assert all(f"created hosts/ws0/{number + 1}/{name}\n" in said for name in ("vmlinuz", "initrd.img")), said
        assert ("removed hosts/ws0/1\n" in said) == (number == 2), said
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

    netboot.run("add", "ws0", "--shared")
    assert "default:" not in netboot.check()
    netboot.run("default", "ws0")
    assert "hosts/ws0/3/vmlinuz" in netboot.text("pxelinux.cfg/default")
    assert "    default: machines that no file fits get this entry\n" in netboot.check("ws0")
    assert f"run `holdfast-netboot default --none --tree {netboot.tree}`" in netboot.run("remove", "ws0", status=USAGE)
    netboot.run("default", "--none")
    netboot.run("add", "ws0", "--mac", "", "--ip", "192.0.2.80/28")
    assert not (netboot.tree / KEYED[0]).exists() and (netboot.tree / "pxelinux.cfg/C000025").exists()
    said = netboot.run("remove", "ws0")
    assert "removed hosts/ws0/2\n" in said and "removed hosts/ws0/3\n" in said, said
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
        state = "would be removed; use --keep to leave it, or --force to remove it" if words[0] == "remove" else "its entry has changed; merge"
        assert f"{KEYED[0]}: edited by hand, and {state}" in said and "-# mine" in said, said
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
    assert "pxelinux.cfg/C0000207: not written by holdfast-netboot; merge both texts by hand and use --keep, or use --force" in said, said
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
    (netboot.debian / "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed").write_bytes(b"\0 GET /x HTTP/1.1")  # so that the address is in the lines
    words = ("--dhcp", "dnsmasq", "--dhcp-file", str(path))
    path.parent.mkdir()
    path.write_text("theirs\n")
    said = netboot.init(*words, status=EDITED)
    assert f"{path}: not written by holdfast-netboot; " in said and "-theirs" in said and path.read_text() == "theirs\n", said
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
    assert "hosts/ws0/1/vmlinuz: missing" in said and f"{KEYED[1]}: missing; run `holdfast-netboot add ws0 --tree {netboot.tree}`" in said, said
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
    # Remains of a killed process: drafts of files and kernels, and a kernel that no state names yet.
    drafts = [netboot.tree / folder / ".holdfast-draft.abcdef" for folder in ("", "pxelinux.cfg", "grub", "ipxe", ".holdfast", ".holdfast/hosts")]
    (bench.folder / "dhcp").mkdir()
    netboot.init("--dhcp", "dnsmasq", "--dhcp-file", str(bench.folder / "dhcp/netboot.conf"))
    drafts += [netboot.tree / "grub/x86_64-efi/.holdfast-draft.abcdef", bench.folder / "dhcp/.holdfast-draft.abcdef"]
    (netboot.tree / "grub/x86_64-efi").mkdir()
    for draft in drafts:
        draft.write_text("half")
    for name in ("draft-2", "3"):
        (netboot.tree / "hosts/ws0" / name).mkdir()
    (netboot.tree / "hosts/ws0/notes.txt").write_text("mine\n")
    said = netboot.check()
    assert "notes.txt" not in said, said
    (netboot.tree / "hosts/ws0/notes.txt").unlink()
    assert "note: hosts/ws0/draft-2: from an interrupted change" in said and "note: hosts/ws0/3: from" in said, said
    netboot.run("add", "ws0", *netboot.with_kernel(1))
    assert not any(draft.exists() for draft in drafts)
    assert sorted(path.name for path in (netboot.tree / "hosts/ws0").iterdir()) == ["1", "4"]


@test("a kernel that a file edited by hand names is not removed, and check reports each name of a file that does not exist")
def kept_files_find_their_kernels(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))
    folder = netboot.tree / "hosts/ws0"

    def versions() -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    for name in KEYED:
        (netboot.tree / name).write_text(netboot.text(name) + "# mine\n")
    for number in (1, 2):
        said = netboot.run("add", "ws0", "--keep", *netboot.with_kernel(number))
    assert f"note: hosts/ws0/1: kept, because {KEYED[1]}, which was edited by hand, names it" in said, said
    assert versions() == ["1", "2", "3"]
    assert "which does not exist" not in netboot.check()

    shutil.rmtree(folder / "1")
    said = netboot.check(status=FAULTS)
    for name in KEYED:
        for file in ("vmlinuz", "initrd.img"):
            assert f"fault: {name}: names hosts/ws0/1/{file}, which does not exist; correct the name, " \
                f"or lose the edits with `holdfast-netboot add ws0 --tree {netboot.tree} --force`" in said, said
    assert "6 faults" in said, said
    netboot.run("add", "ws0", "--force")
    netboot.check()

    # The file of a host that is removed, and a file of a person.
    (netboot.tree / KEYED[0]).write_text(netboot.text(KEYED[0]) + "# mine\n")
    said = netboot.run("remove", "ws0", "--keep")
    assert "note: hosts/ws0/2: kept" in said and "note: hosts/ws0/3: kept" in said and versions() == ["2", "3"], said
    said = netboot.check()
    assert f"note: {KEYED[0]}: not written by holdfast-netboot" in said, said
    (netboot.tree / KEYED[0]).rename(bench.folder / "mine")
    assert f"note: hosts/ws0: of no host; if nothing needs it, run `rm -r {folder}`" in netboot.check()
    (bench.folder / "mine").rename(netboot.tree / KEYED[0])
    shutil.rmtree(folder)
    said = netboot.check(status=FAULTS)
    assert f"{KEYED[0]}: names hosts/ws0/3/vmlinuz, which does not exist; correct the name, or remove the file" in said, said
    netboot.run("add", "ws0", "--export", "b", *netboot.with_kernel(0))
    assert versions() == ["1"]


@test("a kernel that an edited file names in any spelling is kept")
def kernels_are_kept_for_any_spelling(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))
    version = 1
    for name, text in (("pxelinux.cfg/other", "LABEL x\n  APPEND initrd=::hosts/ws0/{0}/initrd.img\n  KERNEL ::hosts/ws0/{0}/vmlinuz\n"),
                       ("grub/grub.cfg-other", "linux (tftp,192.0.2.1)/hosts/ws0/{0}/vmlinuz\n"),
                       ("grub/other.cfg", "if true; then linux /hosts/ws0/{0}/vmlinuz; fi\n"),
                       ("grub/folder.cfg", "set kernels=/hosts/ws0/{0}\nlinux $kernels/vmlinuz\n"),
                       ("ipxe/other.ipxe", "kernel http://192.0.2.1/hosts/ws0/{0}/vmlinuz\n"),
                       ("ipxe/one.ipxe", "iseq 1 1 && kernel /hosts/ws0/{0}/vmlinuz || kernel /none\n")):
        (netboot.tree / name).write_text(text.format(version))
        for number in (1, 2):
            said = netboot.run("add", "ws0", *netboot.with_kernel(number))
        assert f"note: hosts/ws0/{version}: kept, because {name}" in said and (netboot.tree / f"hosts/ws0/{version}/vmlinuz").exists(), said
        (netboot.tree / name).unlink()
        version += 2


@test("what is no file, and old kernels that cannot be removed, do not hide the success of a change; check goes on and reports them")
def odd_things_are_reported(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))
    (netboot.tree / "hosts/ws0/1/extra").mkdir()
    netboot.run("add", "ws0", *netboot.with_kernel(1))
    (netboot.tree / "hosts/ws0/2/.hidden").write_text("x")
    said = netboot.run("add", "ws0", *netboot.with_kernel(2))
    assert f"replaced {KEYED[0]}\n" in said and f"note: {netboot.tree}/hosts/ws0/1: unlink: Is a directory; remove the folder by hand" in said, said
    said = netboot.run("add", "ws0", *netboot.with_kernel(0))
    assert f"replaced {KEYED[0]}\n" in said and f"note: {netboot.tree}/hosts/ws0/2: rmdir: Directory not empty; remove the folder by hand" in said, said
    loop, fifo = netboot.tree / "pxelinux.cfg/loop", netboot.tree / "pxelinux.cfg/fifo"
    loop.symlink_to("loop")
    os.mkfifo(fifo)
    assert f"replaced {KEYED[0]}\n" in netboot.run("add", "ws0", *netboot.with_kernel(1))
    said = netboot.check(status=FAULTS)
    assert f"fault: {loop}: open: Too many levels of symbolic links" in said and f"fault: {fifo}: open: Invalid argument" in said, said
    assert "ws0: root=/dev/nbd0" in said and "2 faults" in said, said
    loop.unlink()
    fifo.unlink()
    mine = netboot.tree / KEYED[0]
    text = netboot.text(KEYED[0])
    mine.unlink()
    mine.symlink_to(mine.name)
    said = netboot.check(status=FAULTS)
    assert f"fault: {mine}: open: Too many levels" in said and "1 fault" in said and "    kernel: hosts/ws0/5" in said, said
    mine.unlink()
    mine.write_text(text)
    said = netboot.run("remove", "ws0")
    assert "note: " in said and netboot.run("list") == "" and not mine.exists(), said
    assert "note: hosts/ws0: of no host" in netboot.check()


@test("check takes entries for local disks, and scripts that may be missing, for no faults")
def other_boots_are_no_faults(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    (netboot.tree / "grub/site.cfg").write_text("menuentry 'disk' { search --set=root --file /EFI/debian/grubx64.efi; chainloader /EFI/debian/grubx64.efi }\n")
    (netboot.tree / "ipxe/site.ipxe").write_text("#!ipxe\nchain more.ipxe ||\n")
    (netboot.tree / "pxelinux.cfg/site").write_text("KERNEL memdisk\n")
    said = netboot.check()
    assert "EFI" not in said and "note: ipxe/site.ipxe: names ipxe/more.ipxe, which does not exist" in said, said
    assert "note: pxelinux.cfg/site: names memdisk, which does not exist" in said, said
    (netboot.tree / "pxelinux.cfg/site").write_text("KERNEL mboot.c32\n")
    assert "fault: pxelinux.cfg/site: names mboot.c32" in netboot.check(status=FAULTS)


@test("no disk is given to two machines that write to it: they are refused, found by check, or share it read-only")
def disks_are_shared_read_only(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    other = "52:54:00:12:34:57"
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))
    before = netboot.files()
    twin = ("add", "ws1", "--export", "a", "--mac", other, *netboot.with_kernel(0))
    for words in ((), ("--server", "192.0.2.1:10809"), ("--shared",)):
        said = netboot.run(*twin, *words, status=USAGE)
        assert "ws1: the host ws0 has the same export, a of 192.0.2.1" in said and "destroy it" in said, said
        assert f"`holdfast-netboot add ws0 --shared --export a --tree {netboot.tree}`" in said, said
        assert netboot.files() == before
    netboot.run(*twin, "--server", "192.0.2.2")
    said = netboot.run("init", "--from", netboot.debian, "--server", "192.0.2.2", status=USAGE)
    assert "has the same export, a of 192.0.2.2" in said, said
    netboot.run("remove", "ws1")

    # Unknown machines, and those of a network, may be many.
    for words in (["default", "ws0"], ["add", "ws0", "--ip", "192.0.2.80/28"], ["add", "ws2", "--export", "b", "--ip", "192.0.2.80/28"]):
        said = netboot.run(*words, status=USAGE)
        assert "several machines would get its disk" in said and "--shared" in said and netboot.files() == before, said
    netboot.run("add", "ws0", "--shared", "--ip", "192.0.2.80/28")
    netboot.run(*twin, "--shared")
    for name in (*KEYED, "pxelinux.cfg/C000025"):
        assert "nbdroot=nbd://192.0.2.1/a ip=dhcp ro holdfast.overlay=RAM" in netboot.text(name), netboot.text(name)
    assert [host["shared"] for host in json.loads(netboot.run("list", "--json"))] == [True, True]
    assert netboot.run("list").count(", shared, ") == 2
    assert netboot.check().endswith("good: 2 hosts\n")
    assert "has the same export" in netboot.run("add", "ws1", "--no-shared", status=USAGE)

    # A state from before this rule: each command of the message is accepted, and both together mend it.
    for name in ("ws0", "ws1"):
        state = netboot.tree / ".holdfast/hosts" / name
        state.write_text(state.read_text().replace("shared = yes\n", ""))
    assert netboot.check(status=FAULTS).count("has the same export") == 2
    assert "has the same export" in netboot.run("add", "ws1", "--append", "quiet", status=USAGE)
    for name in ("ws0", "ws1"):
        netboot.run("add", name, "--shared", "--export", "a")
    netboot.check()
    netboot.run("remove", "ws1")
    netboot.run("add", "ws0", "--no-shared", "--ip", "")
    assert "holdfast.overlay" not in netboot.text(KEYED[0])


@test("a file that was edited by hand gives no second machine a disk to write to: refused by add, default and init, and found by check")
def kept_files_share_no_disk(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    other = "52:54:00:12:34:57"
    mine = netboot.tree / KEYED[0]
    reason = "two machines that write to one file system destroy it"

    def edit(words: str = "# mine\n") -> None:
        mine.write_text(netboot.text(KEYED[0]) + words)

    def refused(*words: str | Path, expected: str = "by which a machine writes to the disk of the host") -> None:
        before, state = netboot.files(), netboot.run("list", "--json")
        said = netboot.run(*words, status=USAGE)
        assert expected in said and f"{KEYED[0]}: " in said and reason in said, said
        assert netboot.files() == before and netboot.run("list", "--json") == state, f"{words} changed the tree"

    # The file of a host that was removed.
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))
    edit()
    netboot.run("remove", "ws0", "--keep")
    refused("add", "ws1", "--export", "a", "--mac", other, *netboot.with_kernel(0))
    refused("add", "ws1", "--export", "a", "--mac", other, "--dry-run", *netboot.with_kernel(0))
    netboot.run("add", "ws1", "--export", "a", "--server", "192.0.2.2", "--mac", other, *netboot.with_kernel(0))
    netboot.check()
    refused("add", "ws1", "--server", "")
    netboot.run("remove", "ws1")
    netboot.run("init", "--from", netboot.debian, "--server", "192.0.2.3")
    netboot.run("add", "ws1", "--export", "a", "--mac", other, *netboot.with_kernel(0))
    said = netboot.init(status=USAGE)
    assert f"{KEYED[0]}: a file of another hand" in said and reason in said, said
    netboot.run("remove", "ws1")
    mine.unlink()

    # The file of an old key; the machine of the host may have both cards, which nobody knows.
    netboot.init()
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))
    edit()
    refused("add", "ws0", "--mac", other, "--keep")
    assert netboot.check().endswith("good: 1 host\n")

    # A shared host, whose file lacks the words.
    refused("add", "ws0", "--shared", "--keep", expected="without the words that keep the disk of the shared host ws0 as it is")
    edited = netboot.text(KEYED[0])
    netboot.run("add", "ws0", "--shared", "--force")
    mine.write_text(edited)
    said = netboot.check(status=FAULTS)
    assert f"fault: {KEYED[0]}: edited by hand, and without the words" in said and f"run `holdfast-netboot add ws0 --force --tree {netboot.tree}`" in said, said
    refused("add", "ws1", "--shared", "--export", "a", "--mac", other, *netboot.with_kernel(0))
    mine.write_text(edited.replace("ip=dhcp", "ip=dhcp holdfast.overlay=RAM"))
    netboot.check()
    netboot.run("add", "ws1", "--shared", "--export", "a", "--mac", other, *netboot.with_kernel(0))
    netboot.check()

    # The file of another host, of machines without an entry, and of a person; in the spelling of others.
    netboot.run("remove", "ws1")
    netboot.run("add", "ws0", "--no-shared", "--force")
    planned = {name: netboot.text(name) for name in ("pxelinux.cfg/default", "grub/default.cfg", "ipxe/default.ipxe")}
    for name, text in (("pxelinux.cfg/default", "LABEL x\n  KERNEL /v\n  APPEND quiet nbdroot=192.0.2.1,10809,a\n"),
                       ("grub/default.cfg", "menuentry 'x' { linux /v \"root=nbd:192.0.2.1:a:ext4\"; initrd /i }\n"),
                       ("ipxe/default.ipxe", "#!ipxe\nkernel /v \\\n nbdroot=192.0.2.1/a || kernel /v holdfast.overlay=RAM\n"),
                       ("pxelinux.cfg/01-52-54-00-00-00-99", "APPEND nbdroot=nbd://192.0.2.1/%61\n")):
        (netboot.tree / name).write_text(text)
        said = netboot.check(status=FAULTS)
        assert f"fault: {name}: a file of another hand, by which a machine writes to the disk of the host ws0, a of 192.0.2.1" in said, said
        said = netboot.run("add", "ws0", "--append", "quiet", status=USAGE)
        assert f"{name}: a file of another hand" in said, said
        netboot.run("add", "ws2", "--export", "b")  # not about that disk
        netboot.run("remove", "ws2")
        if name in planned:
            (netboot.tree / name).write_text(planned[name])
    (netboot.tree / "pxelinux.cfg/01-52-54-00-00-00-99").unlink()
    netboot.check()


@test("a host of Xen gets hypervisor, kernel and initramfs, and loses none of them in silence")
def xen_is_booted(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    xen = bench.file("xen-4.17-amd64.gz", content=b"\x1f\x8b hypervisor")
    add = ("add", "ws0", "--export", "a", "--mac", MAC, "--console", "ttyS0,9600", "--xen-append", "dom0_mem=1G,max:1G")
    said = netboot.run(*add, *netboot.with_kernel(0), "--xen", xen, status=USAGE)
    assert f"the tree has no loaders for Xen; run `holdfast-netboot init {netboot.tree} --loaders bios,uefi,xen`" in said, said
    assert "run `apt install grub-efi-amd64-bin syslinux-common`" in netboot.init("--loaders", "bios,uefi,xen", status=FAILURE)
    for name in ("syslinux/modules/bios/mboot.c32", "syslinux/modules/bios/libcom32.c32",
                 *(f"grub/x86_64-efi/{module}.mod" for module in ("multiboot2", "acpi", "mmap", "relocator"))):
        path = netboot.debian / "usr/lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0module")
    netboot.init("--loaders", "bios,uefi,xen")

    cloud = netboot.kernel(bench, "6.1.0-37-cloud-amd64")
    for kernel, hypervisor, expected in ((cloud, xen, "cloud kernel hangs"), (netboot.kernels[0], netboot.kernels[0], "no hypervisor")):
        said = netboot.run(*add, "--kernel", kernel, "--initrd", netboot.initrd, "--xen", hypervisor, status=FAILURE)
        assert expected in said and not (netboot.tree / "hosts/ws0").exists(), said
    assert "takes --- as the end" in netboot.run(*add, "--append", "a --- b", *netboot.with_kernel(0), "--xen", xen, status=USAGE)
    netboot.run(*add, *netboot.with_kernel(0), "--xen", xen)
    assert (netboot.tree / "hosts/ws0/1/xen.gz").read_bytes() == xen.read_bytes()
    words = "root=/dev/nbd0 nbdroot=nbd://192.0.2.1/a ip=dhcp console=hvc0"
    assert f"hosts/ws0/1/xen.gz com1=9600,8n1 console=com1,vga dom0_mem=1G,max:1G --- hosts/ws0/1/vmlinuz {words} BOOTIF=" in netboot.text(KEYED[0])
    # `add` knows hanging kernels by their names only.
    netboot.run("add", "ws1", "--export", "b", "--kernel", netboot.kernel(bench, "6.1.0-36-amd64", xen=False), "--initrd", netboot.initrd, "--xen", xen)
    assert "hosts/ws1/1/vmlinuz: this kernel is not known to run as the first domain of Xen" in netboot.check("ws1", status=FAULTS)
    netboot.run("remove", "ws1")
    plain = f"LABEL plain\n    KERNEL hosts/ws0/1/vmlinuz\n    INITRD hosts/ws0/1/initrd.img\n    APPEND {words.replace('hvc0', 'ttyS0,9600')}\n"
    assert plain in netboot.text(KEYED[0]) and "SAY plain: ws0, Linux 6.1.0-36-amd64 without Xen\n" in netboot.text(KEYED[0])
    assert "Xen, Linux 6.1.0-36-amd64" in netboot.check() and "Xen, Linux" in netboot.run("list")
    assert json.loads(netboot.run("list", "--json"))[0]["kernel"]["xen"] is True

    assert "ws0: boots Xen; name the hypervisor" in netboot.run("add", "ws0", *netboot.with_kernel(1), status=USAGE)
    assert "takes --- as the end" in netboot.run("add", "ws0", "--append", "a --- b", status=USAGE)
    netboot.run("add", "ws0", *netboot.with_kernel(1), "--xen", "")
    text = netboot.text(KEYED[0])
    assert text.index("KERNEL hosts/ws0/2/vmlinuz") < text.index("KERNEL mboot.c32") and "console=ttyS0,9600" in text, text
    # The fallback has Xen.
    assert "takes --- as the end" in netboot.run("add", "ws0", "--append", "a --- b", status=USAGE)
    assert "--console ttyS2: Xen has only" in netboot.run("add", "ws0", "--console", "ttyS2", status=USAGE)
    state = netboot.tree / ".holdfast/hosts/ws0"
    before = state.read_text()
    for words, fault in (("append = a --- b", "takes --- as the end"), ("ip = abc", ""), ("uuid = abc", "")):
        state.write_text(before + words + "\n")
        said = netboot.check(status=FAULTS if fault else FAILURE)
        assert (fault or f"{state}: line {len(before.splitlines()) + 1}: invalid, or of a later version") in said, said
    state.write_text(before)
    # The loaders that the fallback needs stay; a state without them is that of an earlier version.
    files = netboot.files()
    for kinds, missing in (("bios,uefi", "xen"), ("bios,uefi,ipxe", "xen"), ("xen,ipxe", "bios,uefi")):
        for source in ("undionly.kpxe", "snponly.efi"):
            (netboot.debian / "usr/lib/ipxe").mkdir(exist_ok=True)
            (netboot.debian / "usr/lib/ipxe" / source).write_bytes(b"\0ipxe")
        said = netboot.init("--loaders", kinds, status=USAGE)
        assert f"--loaders: the host ws0 has a kernel under Xen, which needs the loaders {missing}; add {missing} to the list" in said, said
        assert netboot.files() == files
    # The command in the lines for the DHCP server adds iPXE, and removes nothing.
    for server in ("dnsmasq", "isc", "kea"):
        lines = netboot.init("--dhcp", server)
        assert f"`holdfast-netboot init {netboot.tree} --from {netboot.debian} --loaders bios,uefi,xen,ipxe` adds iPXE" in lines, lines
    netboot.init("--loaders", "bios,uefi,xen,ipxe")
    assert files.items() <= netboot.files().items() and (netboot.tree / "snponly.efi").exists()
    netboot.init("--loaders", "uefi,xen")
    assert not (netboot.tree / "pxelinux.0").exists()
    netboot.init("--loaders", "bios,uefi,xen")
    loaders = netboot.tree / ".holdfast/loaders"
    loaders.write_text("".join(line for line in loaders.read_text().splitlines(keepends=True)
                               if "mboot.c32" not in line and "libcom32" not in line and ".mod" not in line))
    assert f"the tree has no loaders for Xen; run `holdfast-netboot init {netboot.tree} --from {netboot.debian} --loaders bios,uefi,xen`" in netboot.check(status=FAULTS)
    netboot.init("--loaders", "bios,uefi,xen")
    netboot.check()
    (netboot.tree / "hosts/ws0/1/xen.gz").unlink()
    assert "hosts/ws0/1/xen.gz: missing" in netboot.check(status=FAULTS)


@test("a command in a message works as printed: it names the tree, and the folder of the loaders")
def hints_work(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.tree = bench.folder / "boot tree's"
    placeholders = {"--mac ADDRESS": f"--mac {MAC[:-1]}9", "--kernel FILE": f"--kernel {netboot.kernels[0]}", "--initrd FILE": f"--initrd {netboot.initrd}", "HOST": "ws9", "NAME": "z"}

    def obey(said: str, *expected: str) -> None:
        """Runs each command of a message by a shell."""
        commands = re.findall(r"`(holdfast-netboot [^`]*|chmod [^`]*)`", said)
        assert len(commands) == len(expected), said
        for command, part in zip(commands, expected):
            assert part in command, f"{command} has no {part}"
            for placeholder, value in placeholders.items():
                command = command.replace(placeholder, value)
            command = command.replace("holdfast-netboot", str(netboot.program), 1)
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
            assert done.returncode == OK, f"{command}:\n{done.stdout}{done.stderr}"

    netboot.init()
    shutil.rmtree(netboot.tree)
    # Without --from, this hint is for the loaders of this machine, which need not be there.
    assert "init '" in netboot.run("list", status=FAILURE)
    netboot.init()
    obey(netboot.run("add", "ws0", "--export", "a", "--shared"), "add ws0 --kernel", "default ws0")
    obey(netboot.run("add", "ws3", "--export", "c", *netboot.with_kernel(0)), "add ws3 --mac ADDRESS")
    netboot.run("remove", "ws3")
    obey(netboot.run("remove", "ws0", status=USAGE), "default --none")
    obey(netboot.run("remove", "ws1", status=USAGE), "list")
    obey(netboot.run("default", "ws1", status=USAGE), "list")
    obey(netboot.check("ws1", status=USAGE), "list")
    obey(netboot.check("--mac", MAC, "--ip", "192.0.2.7", status=USAGE), f"add HOST --export NAME --mac {MAC} --ip 192.0.2.7")
    netboot.run("remove", "ws9")
    obey(netboot.check(status=FAULTS), "default ws0")
    netboot.run("add", "ws0", "--mac", MAC)
    for name, hint in ((KEYED[0], "add ws0"), ("grub/grub.cfg", "init"), ("pxelinux.0", "init"), ("hosts/ws0/1/vmlinuz", "add ws0 --kernel")):
        (netboot.tree / name).unlink()
        obey(netboot.check(status=FAULTS), hint)
        netboot.check()
    (netboot.tree / "hosts/ws0/2/initrd.img").chmod(0o600)
    obey(netboot.check(status=FAULTS), "chmod 644")
    netboot.check()


@test("a file of the tree that cannot be looked up is reported with its path, and never taken for a missing one")
def errors_are_no_absence(bench: Bench) -> None:
    netboot = Netboot(bench)
    netboot.init()
    netboot.run("add", "ws0", "--export", "a", "--mac", MAC, *netboot.with_kernel(0))

    def broken(path: Path, *words: str | Path, breaks: Callable[[Path], None], told: Path, status: int = FAILURE) -> None:
        """Replaces `path` for one command, which must report `told`."""
        away = path.with_name("away")
        path.rename(away)
        breaks(path)
        before = netboot.files()
        said = netboot.check(status=status) if words[0] == "check" else netboot.run(*words, status=status)
        assert f"{told}: " in said and "no tree of" not in said and "missing" not in said, said
        assert netboot.files() == before, f"{words} changed the tree"
        path.unlink()
        away.rename(path)

    if os.geteuid() == 0:
        done = subprocess.run([netboot.program, "list", "--tree", netboot.tree], user=65534, group=65534, extra_groups=[], capture_output=True, text=True)
        assert done.returncode == FAILURE and f"{netboot.tree}/.holdfast/tree: stat: Permission denied" in done.stderr, done.stderr

    def loop(path: Path) -> None:
        path.symlink_to(path.name)

    def file(path: Path) -> None:
        path.write_text("no folder\n")

    state, kernels = netboot.tree / ".holdfast", netboot.tree / "hosts/ws0"
    for breaks in (loop, file):
        broken(state, "list", breaks=breaks, told=state / "tree")
        broken(state / "hosts", "list", breaks=breaks, told=state / "hosts")
        broken(state / "hosts", "add", "ws1", "--export", "b", breaks=breaks, told=state / "hosts")
        broken(kernels, "add", "ws0", *netboot.with_kernel(1), breaks=breaks, told=kernels)
        broken(kernels, "check", breaks=breaks, told=kernels / "1/vmlinuz", status=FAULTS)
        broken(netboot.tree / "pxelinux.cfg", "add", "ws0", "--append", "quiet", breaks=breaks, told=netboot.tree / "pxelinux.cfg")
    broken(netboot.tree / "pxelinux.0", "check", breaks=loop, told=netboot.tree / "pxelinux.0", status=FAULTS)
    broken(netboot.debian / "usr/lib/shim", "check", breaks=file, told=netboot.debian / "usr/lib/shim/shimx64.efi.signed", status=FAULTS)
    netboot.check()
