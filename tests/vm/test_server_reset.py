"""Resets of the server's whole machine at random moments, under file systems whose journals go on: what a write was answered for is there,
unless the page cache of that machine held it."""

import random
import time

from lab import Lab, test
from lab.machine import Machine
from scenes import outages
from scenes.file_server import FILES, SERVER

LOAD = "/usr/local/sbin/lab-folders"
FOLDERS = 500  # for which there is room
# Folder after folder of small files, of which none is touched again: a block that is lost is written by no later change.
# Without fsync: blocks are written for good by the kernel's writeback, and flushed by the journal's commits.
LOAD_TEXT = """#!/usr/bin/perl
use strict; use warnings;
my ($what, $top) = @ARGV;
sub content { my ($n, $f) = @_; return "folder $n file $f\\n" x 100 }
if ($what eq 'write') {
    for (my $n = 0; !-e '/run/stop'; $n++) {
        if ($n == FOLDERS) { sleep 1 until -e '/run/stop'; last }
        mkdir "$top/$n" or last;
        for my $f (0 .. 31) {
            open my $out, '>', "$top/$n/$f" or last;
            print $out content($n, $f);
            close $out;
        }
        open my $note, '>', "/run/folders" . $top =~ tr{/}{-}r; print $note "$n\\n"; close $note;
        select undef, undef, undef, 0.3;
    }
    exit 0;
}
my $wrong = 0;
for my $folder (glob "$top/[0-9]*") {
    my ($n) = $folder =~ m{([0-9]+)$};
    for my $f (0 .. 31) {
        my $text = '';
        if (open my $in, '<', "$folder/$f") { local $/; $text = <$in> // '' }
        $wrong++ if $text ne content($n, $f);
    }
}
print "$wrong\\n";
""".replace("FOLDERS", str(FOLDERS))
CONFIGURATION = f"[generic]\nlistenaddr = {SERVER}\nallowlist = true\n[default]\nexportname = /dev/vdb\n[cached]\nexportname = /dev/vdc\ncache = writeback\n"
# nbd0 has the server's default for a disk, nbd1 its page cache.
DISKS = (("default", "nbd0"), ("cached", "nbd1"))
MOST_ROUNDS = 8


def _start(client: Machine) -> None:
    client.run("rm -f /run/stop /run/folders*")
    for _, device in DISKS:
        client.run(f"mkfs.ext4 -q -F -J size=4 -E lazy_itable_init=0,lazy_journal_init=0 -N 20000 /dev/{device} && mkdir -p /mnt/{device} && "
                   f"mount -o commit=3 /dev/{device} /mnt/{device}", timeout=outages.PATIENCE)
        client.start_command(f"exec {LOAD} write /mnt/{device}")


def _progress(client: Machine, folders: int) -> None:
    """On the disk that is to be whole: what is damaged may end its load."""
    note = f"/run/folders-mnt-{DISKS[0][1]}"
    client.wait_until(f"test -s {note}", timeout=outages.PATIENCE)
    wanted = min(int(client.run(f"cat {note}") or 0) + folders, FOLDERS - 1)
    client.wait_until(f"test $(cat {note}) -ge {wanted}", timeout=outages.PATIENCE)


def _damage(client: Machine) -> list[str]:
    """For each disk what is wrong with it; empty: nothing."""
    client.run("touch /run/stop; while pidof -x lab-folders >/dev/null; do sleep 0.1; done; sync", timeout=outages.PATIENCE)
    found = []
    for _, device in DISKS:
        client.run(f"umount /mnt/{device}", timeout=outages.PATIENCE)
        status, text = client.run_status(f"(e2fsck -fn /dev/{device} >/run/fsck 2>&1; code=$?; head -20 /run/fsck; exit $code)", timeout=outages.PATIENCE)
        client.run(f"mount -o ro,noload /dev/{device} /mnt/{device}", timeout=outages.PATIENCE)
        wrong = int(client.run(f"{LOAD} verify /mnt/{device}", timeout=outages.PATIENCE))
        client.run(f"umount /mnt/{device}", timeout=outages.PATIENCE)
        found.append(f"{wrong} files wrong; e2fsck says {status}: {text}" if status or wrong else "")
    return found


@test("a reset of the server's machine at any moment costs a file system on a disk nothing, and one in the page cache its health", timeout=1500, long=True)
def resets(lab: Lab) -> None:
    network = lab.network()
    made = lab.image("server", 12, files={**FILES, "/etc/holdfast/server.conf": CONFIGURATION}, commands=["systemctl enable lab-address holdfast-server"])
    server = lab.boot("file-server", made, disks=[lab.copy(made), lab.blank_disk(192), lab.blank_disk(192)], cards=[network.bridge_card()],
                      exit_on_reboot=False)
    client = lab.boot("client", lab.image("server", 12, files={LOAD: LOAD_TEXT}), cards=[network.bridge_card()]).login()
    server.login()
    client.run("ip link set eth0 up && ip address add 10.77.0.10/24 dev eth0 && modprobe nbd && "
               "echo 100 >/proc/sys/vm/dirty_expire_centisecs && echo 50 >/proc/sys/vm/dirty_writeback_centisecs")
    client.wait_until(f"holdfast-client list {SERVER} | grep -x default", timeout=outages.PATIENCE)
    for name, device in DISKS:
        client.run(f"holdfast-client attach {SERVER},{name} --device {device} --lost-cache continue", timeout=outages.PATIENCE)
    moments, damaged = random.Random(), 0
    for number in range(MOST_ROUNDS):
        _start(client)
        _progress(client, 10)
        pause = moments.uniform(0, 6)
        time.sleep(pause)
        server.reset()
        server.login()
        for _, device in DISKS:
            outages.wait_for_state(client, "attached", device=device)
        _progress(client, 10)
        direct, cached = _damage(client)
        print(f"round {number + 1}, reset after {pause:.1f} s: default: {direct or 'whole'}; in the page cache: {cached or 'whole'}")
        lab.require(not direct, f"the default loses what it has acknowledged: {direct}")
        damaged += bool(cached)
        if damaged and number >= 2:
            break
    lab.require(damaged, "no reset hurt the file system in the page cache: this test shows nothing")
    client.poweroff()
    server.poweroff(timeout=outages.PATIENCE)
