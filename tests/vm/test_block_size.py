"""A server that takes small requests only, and answers EINVAL to larger ones, is never sent any."""

import hashlib
import random

from lab import Lab, test
from lab.network import HOST, Network
from lab.process import Service
from scenes import outages, partition_table, serving

PORT = 10810
LIMIT = "/sys/block/nbd0/queue/max_sectors_kb"


def _serve(lab: Lab, network: Network, maximum: str) -> Service:
    disk = lab.scratch / "strict"
    if not disk.exists():
        disk.touch()
        with disk.open("r+b") as file:
            file.truncate(32 << 20)
    server = network.spawn(["nbdkit", "-f", "-i", "127.0.0.1", "-p", str(PORT), "--filter=blocksize-policy", "file", str(disk),
                            "blocksize-minimum=512", "blocksize-preferred=512", f"blocksize-maximum={maximum}", "blocksize-error-policy=error"],
                           name=f"nbdkit-{maximum}")
    network.wait_for_port(PORT)
    return server


@test("no request is larger than the server's maximum: not at the attachment, not when somebody raises the limit, not after a reconnect")
def strict(lab: Lab) -> None:
    network = lab.network()
    server = _serve(lab, network, "64K")
    machine = lab.boot("client", outages.image(lab, 12), cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    before = machine.run(f"cat {LIMIT}").strip()
    lab.require(int(before) > 64, f"the kernel's own limit is {before} KiB: this shows nothing")

    machine.run(f"holdfast-client attach {HOST},{PORT} --device nbd0", timeout=outages.PATIENCE)
    # Requests of 1 MiB, which the kernel splits at its limit.
    copy = ("dd if=/dev/urandom of=/run/data bs=1M count=4 status=none && dd if=/run/data of=/dev/nbd0 bs=1M oflag=direct conv=fsync status=none "
            "&& dd if=/dev/nbd0 bs=1M count=4 iflag=direct status=none | cmp - /run/data")
    machine.run(copy, timeout=outages.PATIENCE)
    lab.require(machine.run(f"cat {LIMIT}").strip() == "64", f"the limit is {machine.run(f'cat {LIMIT}')}")
    # Zeroes and discards carry no data, and are not held to it.
    machine.run("blkdiscard -o 8M -l 8M /dev/nbd0", timeout=outages.PATIENCE)

    machine.run(f"echo 512 >{LIMIT}")
    machine.wait_until(f"grep -x 64 {LIMIT}", timeout=outages.PATIENCE)
    machine.run("dmesg | grep 'nbd0: queue/max_sectors_kb is 512'")
    machine.run(copy, timeout=outages.PATIENCE)

    # What is on its way may have 64 KiB: this one waits for a server that takes it.
    server.kill()
    server = _serve(lab, network, "32K")
    machine.wait_until("holdfast-client status nbd0 --json | grep 'now accepts no requests over 32768 bytes'", timeout=outages.PATIENCE)
    server.kill()
    server = _serve(lab, network, "64K")
    machine.run(copy, timeout=outages.PATIENCE)
    outages.wait_for_state(machine, "attached")
    outages.kernel_errors(machine)

    machine.run("holdfast-client detach nbd0", timeout=outages.PATIENCE)
    machine.wait_until(f"grep -x {before} {LIMIT}", timeout=outages.PATIENCE)
    server.kill()
    _serve(lab, network, "2K")
    status, text = machine.run_status(f"holdfast-client attach {HOST},{PORT} --device nbd0", timeout=outages.PATIENCE)
    lab.require(status != 0 and "no requests over 2048 bytes" in text, f"a maximum below a page: {status}, {text}")
    machine.poweroff()


@test("the server's maximum holds after a takeover, after the daemon's death, and where its record lacks the maximum", long=True)
def next_daemon(lab: Lab) -> None:
    network = lab.network()
    _serve(lab, network, "64K")
    machine = lab.boot("client", outages.image(lab, 12), cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    machine.run(f"holdfast-client attach {HOST},{PORT} --device nbd0", timeout=outages.PATIENCE)
    for lacks, dies in ((False, False), (False, True), (True, True)):
        daemon = outages.status(machine)["daemon_pid"]
        if dies:
            machine.run(f"kill -KILL {daemon}")
            outages.wait_for_state(machine, "unattended")
            # With the record's maximum gone, too, as in one of an older version, larger requests might be on their way.
            machine.run(f"echo 512 >{LIMIT}")
        if lacks:
            machine.run("grep -q '^request_limit 65536$' /run/holdfast/nbd0.state && sed -i /^request_limit/d /run/holdfast/nbd0.state")
        machine.run("holdfast-client takeover nbd0", timeout=outages.PATIENCE)
        lab.require(outages.status(machine)["daemon_pid"] != daemon, f"the daemon {daemon} is still in charge")
        # Before the new daemon has seen the link in use, and after that.
        for use in (":", "dd if=/dev/nbd0 of=/dev/null bs=4k count=1 iflag=direct status=none"):
            machine.run(use, timeout=60)
            machine.run(f"echo 512 >{LIMIT}")
            machine.wait_until(f"grep -x 64 {LIMIT}", timeout=60)
    machine.poweroff()


@test("a disk gets the block size for which its partition table was made, or is refused where the server cannot have it", timeout=600, long=True)
def partition_tables(lab: Lab) -> None:
    network = lab.network()
    content = random.randbytes(4096)
    disks = {size: lab.scratch / f"gpt-{size}" for size in (512, 4096)}
    for size, disk in disks.items():
        partition_table.write(disk, size, 64 << 20, content)
    server = serving.serve(lab, network, *(f"gpt{size}={disk}" for size, disk in disks.items()))
    # As cache = none on a disk with blocks of 4096 bytes.
    network.spawn(["nbdkit", "-f", "-i", "127.0.0.1", "-p", str(PORT), "--filter=blocksize-policy", "file", str(disks[512]),
                   "blocksize-minimum=4096", "blocksize-preferred=4096", "blocksize-maximum=1M", "blocksize-error-policy=error"], name="nbdkit-4096")
    network.wait_for_port(PORT)
    machine = lab.boot("client", outages.image(lab, 12), cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    digest = hashlib.sha256(content).hexdigest()
    for size in disks:
        machine.run(f"holdfast-client attach nbd://{HOST}/gpt{size} --device nbd0", timeout=outages.PATIENCE)
        block = machine.run("blockdev --getss /dev/nbd0").strip()
        lab.require(block == str(size), f"the table for {size} got blocks of {block}")
        machine.wait_until("test -b /dev/nbd0p1", timeout=60)
        machine.run(f"dd if=/dev/nbd0p1 bs=4096 count=1 status=none | sha256sum | grep -q {digest}")
        machine.run("holdfast-client detach nbd0", timeout=outages.PATIENCE)
    status, text = machine.run_status(f"holdfast-client attach {HOST},{PORT} --device nbd0", timeout=outages.PATIENCE)
    lab.require(status == 4 and "made for blocks of 512 bytes, and the server accepts no requests under 4096" in text, f"{status}: {text}")
    text = machine.run(f"holdfast-client attach {HOST},{PORT} --device nbd0 --block-size 4096 2>&1", timeout=outages.PATIENCE)
    lab.require("its partitions will not be found" in text, text)
    machine.run("test $(blockdev --getss /dev/nbd0) = 4096 && test ! -e /dev/nbd0p1 && holdfast-client detach nbd0", timeout=outages.PATIENCE)
    machine.poweroff()
    server.stop()
