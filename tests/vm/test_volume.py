"""holdfast-server with a real volume group: what it refuses, and what a logical volume can do through it."""

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
