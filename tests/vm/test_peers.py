"""Our client with the servers of others, and the stock nbd-client with our server, through the kernel's driver."""

import json

from lab import Lab, test
from lab.machine import Machine
from lab.network import HOST, Network
from scenes import serving

PORTS = {"holdfast-server": 10810, "nbd-server": 10811, "nbdkit": 10812, "qemu-nbd": 10813}


def machine_on(lab: Lab, network: Network, release: int = 12) -> Machine:
    """A machine with a disk of its own, our client and the stock one."""
    machine = lab.boot("client", lab.image("server", release), cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    return machine


@test("our client attaches, partitions, writes, reads back and detaches with each of four servers", timeout=600)
def four_servers(lab: Lab) -> None:
    network = lab.network()
    machine = machine_on(lab, network)
    for program, port in PORTS.items():
        disk = lab.blank_disk(64, program)
        export = serving.serve_with(program, lab, network, disk, port)
        _lives_through_a_day(lab, machine, f"nbd://{HOST}:{port}/{export}")
        machine.run(f"holdfast-client attach {HOST},{port},{export} --device /dev/nbd0")
        machine.run("blockdev --getsz /dev/nbd0 | grep -x 131072 && test -b /dev/nbd0p1")
        machine.run("mount /dev/nbd0p1 /mnt && sha256sum --status -c /mnt/sum && umount /mnt")
        machine.run("holdfast-client detach /dev/nbd0")
    errors = machine.run("dmesg | grep -E 'I/O error|EXT4-fs error' || :")
    lab.require(not errors, errors)
    machine.poweroff()


def _lives_through_a_day(lab: Lab, machine: Machine, uri: str) -> None:
    machine.run(f"holdfast-client attach {uri} --device /dev/nbd0")
    machine.run("blockdev --getsz /dev/nbd0 | grep -x 131072")
    status = json.loads(machine.run("holdfast-client status /dev/nbd0 --json"))
    lab.require("attached" in json.dumps(status), f"status: {status}")
    machine.run("echo ',,L' | sfdisk --quiet /dev/nbd0 && udevadm settle && mkfs.ext4 -q /dev/nbd0p1 && mount /dev/nbd0p1 /mnt")
    machine.run("dd if=/dev/urandom of=/mnt/data bs=1M count=8 conv=fsync status=none && cd /mnt && "
                "sha256sum /mnt/data >/mnt/sum && fstrim /mnt || :")
    lab.require(machine.run_status("holdfast-client detach /dev/nbd0")[0] == 6, "detach took a mounted device away")
    machine.run("umount /mnt && holdfast-client detach /dev/nbd0")
    lab.require(machine.run_status("holdfast-client status /dev/nbd0")[0] == 3, "status after detach")
    lab.require(machine.run("blockdev --getsz /dev/nbd0 2>/dev/null || echo 0") == "0", "a size after detach")


@test("attach says what is wrong: no server, no export, a device in use, a word that is no address")
def attach_errors(lab: Lab) -> None:
    network = lab.network()
    machine = machine_on(lab, network)
    serving.serve(lab, network, f"one={lab.blank_disk(16)}", f"two={lab.blank_disk(16)}")
    for words, status, message in (
        (f"{HOST},9", 5, "9"),
        (f"{HOST},nothere", 4, "nothere"),
        ("nbdx://somewhere/", 2, "nbdx://"),
        (f"{HOST},one --device /dev/sda", 2, "/dev/sda"),
    ):
        found, text = machine.run_status(f"holdfast-client attach {words}")
        lab.require(found == status and message in text, f"attach {words}: status {found}:\n{text}")
    machine.run(f"holdfast-client attach {HOST},one --device nbd5")
    found, text = machine.run_status(f"holdfast-client attach {HOST},two --device nbd5")
    lab.require(found == 6 and "nbd5" in text, f"a device in use: status {found}:\n{text}")
    found, text = machine.run_status(f"holdfast-client attach {HOST},one --device nbd6")
    lab.require(found == 6 and "already attached for writing as /dev/nbd5" in text, f"a second device for writing: status {found}:\n{text}")
    machine.run(f"holdfast-client attach {HOST},one --read-only --device nbd6 && holdfast-client detach nbd6")
    machine.run("holdfast-client status nbd5 | grep attached && holdfast-client detach nbd5")
    lab.require(machine.run_status("holdfast-client detach nbd5")[0] == 3, "a second detach")


@test("an attach that names no device keeps none from others while it waits, and passes over one that another program has open", long=True)
def unnamed_device(lab: Lab) -> None:
    network = lab.network()
    machine = machine_on(lab, network)
    serving.serve(lab, network, f"one={lab.blank_disk(16, 'one')}", f"two={lab.blank_disk(16, 'two')}")
    # The port has no listener yet.
    machine.start_command(f"holdfast-client attach {HOST},10819,late --wait 300 >/run/waiting 2>&1; echo $? >/run/waiting.status")
    machine.wait_until("test -e /run/holdfast/nbd0.lock")
    machine.run(f"holdfast-client attach {HOST},one --device nbd0", timeout=60)
    machine.run("test ! -e /run/waiting.status")
    serving.serve(lab, network, f"late={lab.blank_disk(16, 'late')}", port=10819)
    machine.wait_until("test -s /run/waiting.status", timeout=120)
    lab.require(machine.run("cat /run/waiting.status") == "0", machine.run("cat /run/waiting"))
    machine.run("holdfast-client status nbd1 --json | grep -q 10819")
    machine.start_command("exec sleep 1000 </dev/nbd2")
    machine.wait_until("ls -l /proc/[0-9]*/fd/0 2>/dev/null | grep -q /dev/nbd2")
    machine.run(f"holdfast-client attach {HOST},two", timeout=60)
    machine.run("holdfast-client status nbd3 --json | grep -q /two")
    # The device that was passed over is nobody's again.
    machine.run(f"pkill -x sleep; holdfast-client attach {HOST},10819,late --device nbd2 --read-only", timeout=60)
    machine.poweroff()


@test("a restart and a kill of the server under a mounted file system leave no error and no lost write", long=True)
def server_restarts(lab: Lab) -> None:
    network = lab.network()
    machine = machine_on(lab, network)
    disk = lab.blank_disk(64)
    server = serving.serve(lab, network, f"disk={disk}")
    machine.run(f"holdfast-client attach {HOST},disk --device nbd0 && mkfs.ext4 -q /dev/nbd0 && mount /dev/nbd0 /mnt")
    machine.start_command("i=0; while :; do i=$((i + 1)); echo $i >>/mnt/log && sync /mnt/log && echo $i >/run/done.new && "
                          "mv /run/done.new /run/done; done")
    for number in range(3):
        machine.wait_until("test -s /run/done")
        before = int(machine.run("cat /run/done"))
        machine.wait_until(f"test $(cat /run/done) -ge {before + 5}", timeout=120)
        server.kill() if number % 2 else server.stop()
        server = serving.serve(lab, network, f"disk={disk}", name=f"holdfast-server-{number}")
    before = int(machine.run("cat /run/done"))
    machine.wait_until(f"test $(cat /run/done) -ge {before + 5}", timeout=120)
    errors = machine.run("dmesg | grep -E 'I/O error|EXT4-fs error|Remounting' || :")
    lab.require(not errors, errors)
    machine.run("holdfast-client status nbd0 | grep -i reconnects")


@test("a LINK_DEAD of another device disturbs nobody", long=True)
def two_devices(lab: Lab) -> None:
    network = lab.network()
    machine = machine_on(lab, network)
    one, two = lab.blank_disk(16, "one"), lab.blank_disk(16, "two")
    with one.open("r+b") as file:
        file.write(b"ONE!" * 1024)
    with two.open("r+b") as file:
        file.write(b"TWO!" * 1024)
    serving.serve(lab, network, f"one={one}", port=10810)
    second = serving.serve(lab, network, f"two={two}", port=10811)
    machine.run(f"holdfast-client attach {HOST},10810,one --device nbd0 && holdfast-client attach {HOST},10811,two --device nbd1")
    second.stop()
    serving.serve(lab, network, f"two={two}", port=10811, name="second-again")
    for device, word in (("nbd0", "ONE!"), ("nbd1", "TWO!")):
        found = machine.run(f"dd if=/dev/{device} bs=4 count=1 iflag=fullblock status=none", timeout=120)
        lab.require(found == word, f"{device} reads {found!r}")
    machine.run("holdfast-client detach nbd0 && holdfast-client detach nbd1")


@test("the stock nbd-client attaches our server's export, writes, reads back and detaches", long=True)
def stock_client(lab: Lab) -> None:
    network = lab.network()
    machine = machine_on(lab, network)
    serving.serve(lab, network, f"disk={lab.blank_disk(64)}")
    machine.run(f"nbd-client -l {HOST} | grep -x disk")
    for mode in ("", "-nonetlink"):
        machine.run(f"nbd-client {mode} -N disk {HOST} /dev/nbd0", timeout=120)
        machine.run("mkfs.ext4 -q /dev/nbd0 && mount /dev/nbd0 /mnt && dd if=/dev/urandom of=/mnt/data bs=1M count=4 conv=fsync "
                    "status=none && cd /mnt && sha256sum data >sum && cd / && umount /mnt")
        machine.run("echo 3 >/proc/sys/vm/drop_caches && mount /dev/nbd0 /mnt && cd /mnt && sha256sum -c sum && cd / && umount /mnt")
        machine.run("nbd-client -d /dev/nbd0")


LOOPS = 9
ROUNDS = 50

# Attaches, reads and detaches a device again and again; $1: the number of the device and of the export. udev has made the
# links of a device when `attach` ends, and has no probe to come that would run into the detach.
LOOP = f"""i=0
holdfast-client attach {HOST},disk$1 --device nbd$1 && mkfs.ext4 -q -L disk$1 /dev/nbd$1 && holdfast-client detach nbd$1 ||
    echo "nbd$1, first: status $?" >>/run/failed
while [ $i -lt {ROUNDS} ]; do
    i=$((i + 1))
    holdfast-client attach {HOST},disk$1 --device nbd$1 && test /dev/disk/by-label/disk$1 -ef /dev/nbd$1 &&
        dd if=/dev/nbd$1 of=/dev/null bs=4096 count=1 iflag=direct status=none && holdfast-client detach nbd$1 ||
        echo "nbd$1, round $i: status $?: $(tail -n 3 /run/loop$1.log)" >>/run/failed
done
echo nbd$1 >>/run/ended
"""


def _parallel_loops(lab: Lab, release: int) -> None:
    network = lab.network()
    machine = machine_on(lab, network, release)
    serving.serve(lab, network, *(f"disk{number}={lab.blank_disk(1, f'disk{number}')}" for number in range(LOOPS)))
    machine.write("/run/loop", LOOP)
    machine.run("dmesg --clear")
    for number in range(LOOPS):
        machine.start_command(f"sh /run/loop {number} >/run/loop{number}.log 2>&1")
    machine.wait_until(f"test $(cat /run/ended 2>/dev/null | wc -l) = {LOOPS}", timeout=2400)
    failed = machine.run("head -n 5 /run/failed 2>/dev/null || :")
    lab.require(machine.run_status("test -e /run/failed")[0] != 0, failed)
    odd = machine.run("dmesg | grep -E 'WARNING|BUG|Oops|Call Trace|blocked for more|I/O error|cannot create|refcount|leak' || :")
    lab.require(not odd, odd)
    for number in range(LOOPS):
        machine.run(f"test ! -e /sys/block/nbd{number}/pid && grep -x 0 /sys/block/nbd{number}/size")
    machine.run("! pgrep -f '[h]oldfast-client' && test -z \"$(ls /run/holdfast | grep nbd | grep -v .lock)\"")
    machine.run("rmmod nbd")  # refused while anything holds a device
    machine.poweroff()


@test("nine devices are attached and detached fifty times each, in parallel, and Debian 12's kernel has nothing left of them", long=True,
      timeout=3000)
def parallel_loops_12(lab: Lab) -> None:
    _parallel_loops(lab, 12)


@test("nine devices are attached and detached fifty times each, in parallel, and Debian 13's kernel has nothing left of them", long=True,
      timeout=3000)
def parallel_loops_13(lab: Lab) -> None:
    _parallel_loops(lab, 13)
