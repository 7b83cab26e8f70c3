"""holdfast-server with a real volume group: what it refuses, and what a logical volume can do through it."""

import json

from lab import Lab, test
from lab.machine import Machine
from scenes.server_unit import require_confined_unit

CONFIGURATION = """[generic]
listenaddr = 127.0.0.1
allowlist = true
[root]
exportname = /dev/vg0/root
"""


def file_server(lab: Lab) -> Machine:
    """A machine with a volume group vg0 that is server and client in one."""
    image = lab.image("server", 12, files={"/etc/holdfast/server.conf": CONFIGURATION},
                      commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(512)]).login()
    machine.run("modprobe nbd && ip link set lo up && vgcreate -q vg0 /dev/vdb && lvcreate -q -y -L 128M -n root vg0 && "
                "mkfs.ext4 -q /dev/vg0/root && systemctl start holdfast-server")
    return machine


@test("a mounted logical volume is refused, the log says where it is mounted, and it is served once unmounted")
def mounted(lab: Lab) -> None:
    machine = file_server(lab)
    machine.run("mount /dev/vg0/root /mnt && touch /mnt/held")
    status, text = machine.run_status("holdfast-client attach 127.0.0.1,root --device nbd0")
    lab.require(status == 4 and "/mnt" in text, f"status {status}: {text}")
    machine.run("journalctl -u holdfast-server | grep /dev/vg0/root | grep /mnt")
    machine.run("umount /mnt && holdfast-client attach 127.0.0.1,root --device nbd0 && mount /dev/nbd0 /mnt && test -e /mnt/held")
    require_confined_unit(lab, machine)
    status, text = machine.run_status("mount /dev/vg0/root /srv")
    lab.require(status != 0, "the exported volume could be mounted on the server")
    machine.run("umount /mnt && holdfast-client detach nbd0")


@test("a volume that is swap, or under another device, or held by another server, is refused with the reason", long=True)
def held(lab: Lab) -> None:
    machine = file_server(lab)
    machine.run("lvcreate -q -y -L 32M -n swap vg0 && mkswap -q /dev/vg0/swap && swapon /dev/vg0/swap")
    machine.run("lvcreate -q -y -L 32M -n below vg0 && dmsetup create above --table \"0 65536 linear /dev/vg0/below 0\"")
    machine.start_command("holdfast-server --foreground --listen 127.0.0.1:10810 --export swap=/dev/vg0/swap "
                          "--export below=/dev/vg0/below --export root=/dev/vg0/root")
    machine.wait_until("holdfast-client list 127.0.0.1,10810")
    machine.run("holdfast-client attach 127.0.0.1,root --device nbd0")
    for name, reason in (("swap", "swap"), ("below", "above"), ("root", "holdfast-server")):
        status, text = machine.run_status(f"holdfast-client attach 127.0.0.1,10810,{name} --device nbd1")
        lab.require(status == 4 and reason in text, f"{name}: status {status}: {text}")
    machine.run("holdfast-client detach nbd0")


@test("the classic configuration with a missing authfile lets nobody in; with the host in it, it does")
def classic(lab: Lab) -> None:
    machine = file_server(lab)
    machine.write("/etc/holdfast/server.conf", "[root]\nexportname = /dev/vg0/root\nport = 12345\n"
                  "authfile = /etc/nbd-server/allow\nlistenaddr =\n")
    machine.run("rm -f /etc/nbd-server/allow && holdfast-server --check")
    machine.run("systemctl restart holdfast-server")
    status, text = machine.run_status("holdfast-client attach 127.0.0.1,12345 --device nbd0")
    # An address that may have nothing here is turned away before the handshake.
    lab.require(status == 5 and "closed the connection" in text, f"status {status}: {text}")
    machine.run("journalctl -u holdfast-server | grep /etc/nbd-server/allow")
    # The status socket is in the unit's folder, and systemd watches over the server.
    machine.run("holdfast-server status --json | grep '\"authfile\":[1-9]'")
    machine.run("systemctl show -p WatchdogUSec --value holdfast-server | grep 2min")
    machine.write("/etc/nbd-server/allow", "127.0.0.0/8\n")
    machine.run("holdfast-client attach 127.0.0.1,12345 --device nbd0 && holdfast-client detach nbd0")


@test("trim and zeroes reach a thin volume, and its grown size is seen at the next attach", long=True)
def thin(lab: Lab) -> None:
    machine = file_server(lab)
    machine.run("lvcreate -q -y --type thin-pool -L 128M -n pool vg0 && lvcreate -q -y -V 64M --thinpool pool -n thin vg0")
    machine.write("/etc/holdfast/server.conf", CONFIGURATION + "[thin]\nexportname = /dev/vg0/thin\n")
    machine.run("systemctl reload holdfast-server")
    machine.wait_until("holdfast-client list 127.0.0.1 | grep thin")
    machine.run("holdfast-client attach 127.0.0.1,thin --device nbd0 && dd if=/dev/urandom of=/dev/nbd0 bs=1M count=48 "
                "oflag=direct conv=fsync status=none", timeout=120)
    used = "lvs --noheadings --nosuffix -o data_percent vg0/thin"
    lab.require(float(machine.run(used)) > 70, "48 of 64 MiB were written")
    machine.run("blkdiscard /dev/nbd0")
    lab.require(float(machine.run(used)) < 10, "the discard did not reach the pool")
    machine.run("holdfast-client detach nbd0")
    machine.run("lvextend -q -L 96M vg0/thin && holdfast-client attach 127.0.0.1,thin --device nbd0")
    machine.run("test $(blockdev --getsize64 /dev/nbd0) -eq $((96 << 20)) && holdfast-client detach nbd0")


MIB = 1 << 20


def _logged(machine: Machine, words: str, timeout: float = 60) -> None:
    """The server's journal has the words; they must not contain quotes."""
    machine.wait_until(f"journalctl -u holdfast-server | grep -F '{words}'", timeout=timeout)


def _has_size(machine: Machine, device: str, size: int) -> None:
    machine.wait_until(f"test $(blockdev --getsize64 {device}) -eq {size}", timeout=60)


def _grows(lab: Lab, machine: Machine) -> None:
    """A volume that is extended under a mounted file system is named by the server, and the next probe grows the device."""
    _logged(machine, "holdfast-server")
    status, text = machine.run_status("journalctl -u holdfast-server | grep -F 'notices of block devices'")
    lab.require(status != 0, f"the unit keeps the server from the kernel's notices: {text}")
    machine.run("holdfast-client attach 127.0.0.1,root --device nbd0 --probe 2 && mount /dev/nbd0 /mnt && "
                "dd if=/dev/urandom of=/mnt/data bs=1M count=16 conv=fsync status=none && md5sum /mnt/data >/run/sum", timeout=120)
    machine.run("lvextend -q -L 192M vg0/root")
    _logged(machine, f"/dev/vg0/root has grown from {128 * MIB} to {192 * MIB} bytes")
    _has_size(machine, "/dev/nbd0", 192 * MIB)
    machine.run("holdfast-grow nbd0 2>&1 && test $(stat -f -c %b /mnt) -gt 150000 && echo more >/mnt/more && sync && md5sum -c /run/sum",
                timeout=120)
    status, text = machine.run_status("lvremove -f vg0/root")
    lab.require(status != 0, f"LVM removed a volume that is in use: {text}")


def _comes_and_goes(lab: Lab, machine: Machine) -> None:
    machine.run("lvcreate -q -y -L 32M -n late vg0")
    _logged(machine, "[late]: /dev/vg0/late: stat: No such file or directory: no longer so")
    machine.run("holdfast-client attach 127.0.0.1,late --device nbd1 && holdfast-client detach nbd1")
    before = int(machine.run("journalctl -u holdfast-server | grep -c 'late.*clients are refused'"))
    machine.wait_until("lvremove -f vg0/late", timeout=60)  # udev may still look at it
    machine.wait_until(f"test $(journalctl -u holdfast-server | grep -c 'late.*clients are refused') -eq {before + 1}", timeout=60)
    lab.require(json.loads(machine.run("holdfast-client status nbd0 --json"))["state"] == "attached", "another export suffered")


def _volumes(lab: Lab, machine: Machine) -> None:
    rows = {row["export"]: row for row in json.loads(machine.run("holdfast-server volumes --json"))["volumes"]}
    root, late = rows["root"], rows["late"]
    lab.require(root["volume"] == "vg0/root" and root["size"] == 192 * MIB and root["client"].startswith("127.0.0.1:")
                and root["connected_since"] and root["used_percent"] is None, f"{root}")
    lab.require(late["volume"] is None and late["client"] is None and late["last_client"].startswith("127.0.0.1:"), f"{late}")
    lab.require("vg0/root" in machine.run("holdfast-server volumes"), "the table has no vg0/root")


def _serve_root_as(machine: Machine, path: str) -> None:
    machine.run(f"sed -i 's|^exportname = /dev/vg0/root.*|exportname = {path}|' /etc/holdfast/server.conf && "
                "systemctl restart holdfast-server", timeout=120)


def _renamed(lab: Lab, machine: Machine) -> None:
    """The connection goes on; a new volume of the old name is refused, and the old one is found under its new name."""
    machine.run("lvrename -q vg0 root root2 && echo renamed >/mnt/renamed && sync")
    _logged(machine, "[root]: /dev/vg0/root: stat: No such file or directory; clients are refused")
    machine.run("lvcreate -q -y -Wn -L 192M -n root vg0 && systemctl restart holdfast-server", timeout=120)
    machine.wait_until("holdfast-client status nbd0 --json | grep 'another disk'", timeout=60)
    _serve_root_as(machine, "/dev/vg0/root2")
    machine.wait_until("holdfast-client status nbd0 --json | grep '\"state\":\"attached\"'", timeout=60)
    machine.run("md5sum -c /run/sum && grep renamed /mnt/renamed && echo after >/mnt/after && sync", timeout=60)


def _shrinks(lab: Lab, machine: Machine) -> None:
    """Said at once by the server, and refused by the client when it has to reconnect; extended again, all is well."""
    machine.run("holdfast-client attach 127.0.0.1,data --device nbd1 && lvreduce -q -f -y -L 16M vg0/data")
    _logged(machine, f"/dev/vg0/data has shrunk to {16 * MIB} bytes")
    _logged(machine, f"lvextend -L {32 * MIB}b /dev/vg0/data")
    machine.run("systemctl restart holdfast-server", timeout=120)
    machine.wait_until(f"holdfast-client status nbd1 --json | grep 'now has {16 * MIB} bytes'", timeout=60)
    machine.run(f"lvextend -q -L {32 * MIB}b /dev/vg0/data")
    machine.wait_until("holdfast-client status nbd1 --json | grep '\"state\":\"attached\"'", timeout=60)
    machine.run("dd if=/dev/nbd1 of=/dev/null bs=1M iflag=direct status=none && holdfast-client detach nbd1")


@test("the server follows its logical volumes: extended, shrunk, created, removed and renamed under clients", long=True)
def followed(lab: Lab) -> None:
    machine = file_server(lab)
    machine.run("lvcreate -q -y -L 32M -n data vg0")
    machine.write("/etc/holdfast/server.conf",
                  CONFIGURATION + "[data]\nexportname = /dev/vg0/data\n[late]\nexportname = /dev/vg0/late\n")
    machine.run("systemctl reload holdfast-server")
    _logged(machine, "[late]: /dev/vg0/late")
    _grows(lab, machine)
    _comes_and_goes(lab, machine)
    _volumes(lab, machine)
    _renamed(lab, machine)
    _shrinks(lab, machine)
    require_confined_unit(lab, machine)
    machine.run("umount /mnt && holdfast-client detach nbd0")


# How each content is made on the volume and used on the device, and a command that prints its size in bytes.
MOUNTED = "echo $(($(stat -f -c '%S * %b' /mnt)))"
CONTENTS = (
    ("ext4", "mkfs.ext4 -q /dev/nbd0 && mount /dev/nbd0 /mnt", "nbd0", MOUNTED, "umount /mnt"),
    ("xfs", "mkfs.xfs -q -f /dev/nbd0 && mount /dev/nbd0 /mnt", "nbd0", MOUNTED, "umount /mnt"),
    ("btrfs", "mkfs.btrfs -q -f /dev/nbd0 && mount /dev/nbd0 /mnt", "nbd0", MOUNTED, "umount /mnt"),
    ("LVM", "pvcreate -q -ff -y /dev/nbd0 && vgcreate -q inside /dev/nbd0", "nbd0", "pvs --noheadings --nosuffix --units b -o pv_size /dev/nbd0",
     "vgremove -q -f inside && pvremove -q /dev/nbd0"),
    ("LUKS", "printf word >/run/word && cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/nbd0 /run/word && "
     "cryptsetup open --key-file /run/word /dev/nbd0 inside && mkfs.ext4 -q /dev/mapper/inside && mount /dev/mapper/inside /mnt",
     "nbd0", MOUNTED, "umount /mnt && cryptsetup close inside"),
    ("partition", "wipefs -q -a /dev/nbd0 && echo 'label: gpt\nstart=2048' | sfdisk -q /dev/nbd0 && udevadm settle && mkfs.ext4 -q -F /dev/nbd0p1 && "
     "mount /dev/nbd0p1 /mnt", "nbd0p1", MOUNTED, "umount /mnt"),
)


@test("holdfast-grow grows ext4, XFS, btrfs, a physical volume, LUKS and a partition on an extended volume, while in use", long=True)
def grown(lab: Lab) -> None:
    image = lab.image("server", 12, packages=("xfsprogs", "btrfs-progs", "cryptsetup-bin", "cloud-guest-utils"),
                      files={"/etc/holdfast/server.conf": CONFIGURATION,
                             # The physical volume inside is the client's, not the server's.
                             "/etc/lvm/lvmlocal.conf": 'devices { global_filter = [ "a|^/dev/vdb$|", "a|^/dev/nbd|", "r|.*|" ] }\n'},
                      commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(4096)]).login()
    machine.run("modprobe nbd && ip link set lo up && vgcreate -q vg0 /dev/vdb && lvcreate -q -y -L 320M -n root vg0 && "
                "systemctl start holdfast-server")
    size = 320
    for name, make, node, measure, leave in CONTENTS:
        machine.run("holdfast-client attach 127.0.0.1,root --device nbd0")
        machine.run(make, timeout=180)
        before = int(machine.run(measure).strip())
        size += 320
        machine.run(f"lvextend -q -L {size}M vg0/root")
        # cryptsetup asks for the passphrase.
        said = machine.run(f"echo word | holdfast-grow {node}", timeout=180)
        after = int(machine.run(measure).strip())
        lab.require(after - before > 280 * MIB and after <= size * MIB, f"{name}: {before} bytes became {after}: {said}")
        machine.run(f"{leave} && holdfast-client detach nbd0", timeout=180)
    machine.poweroff()
