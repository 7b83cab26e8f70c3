"""Thin pools that run full under an export with full = wait, refusing writes at once or after LVM's time, and are extended."""

from pathlib import Path

from lab import Lab, test

SERVER = "10.77.0.2"
PROGRAM = str(Path(__file__).parent / "scenes" / "nbd_client.py")
MIB = 1 << 20
POOLS = {"prompt": "lvchange -q --errorwhenfull y vg0/prompt-pool", "queueing": "true"}  # to refuse at once, or as LVM's default is
CONFIGURATION = f"[generic]\nlistenaddr = {SERVER}\n" + "".join(
    f"[{name}]\nexportname = /dev/vg0/{name}\nfull = wait\n" for name in POOLS)


@test("writes to a full thin pool wait with full = wait, the log names the pool, and all is well when it is extended", timeout=900)
def full_pool(lab: Lab) -> None:
    network = lab.network()
    image = lab.image("server", 12, files={"/etc/holdfast/server.conf": CONFIGURATION}, commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(256)], cards=[network.bridge_card()]).login()
    machine.run(f"ip link set lo up && ip link set eth0 up && ip address add {SERVER}/24 dev eth0 && modprobe dm-thin-pool && "
                "echo 3 >/sys/module/dm_thin_pool/parameters/no_space_timeout && vgcreate -q vg0 /dev/vdb")
    for name, policy in POOLS.items():
        machine.run(f"lvcreate -q -y --type thin-pool -L 16M -n {name}-pool vg0 && {policy} && "
                    f"lvcreate -q -y -V 64M --thinpool {name}-pool -n {name} vg0")
    machine.run("systemctl start holdfast-server")
    starts = range(0, 24, 2)
    for name in POOLS:
        words = [f"write:{at * MIB}:{2 * MIB}:{at + 1:02x}" for at in starts] + ["flush"]
        client = network.spawn(["/usr/bin/python3", PROGRAM, f"nbd://{SERVER}/{name}", *words], name=name)
        # The log names the pool, which the server knows from /sys; a write of before goes on, and so does a read of another client.
        machine.wait_until(f"journalctl -u holdfast-server | grep 'export {name}: /dev/vg0/{name} has no room, and writes wait for it "
                           f"(full = wait); extend its thin pool: lvextend -L +10G vg0/{name}-pool'")
        other = network.run(["/usr/bin/python3", PROGRAM, f"nbd://{SERVER}/{name}", f"read:0:{2 * MIB}:01", "flush"])
        lab.require(other.splitlines() == [f"read:0:{2 * MIB}:01 ok", "flush ok"], other)
        machine.run(f"holdfast-server status | grep 'no room on the disk: 1 request waits' && lvextend -q -L +32M vg0/{name}-pool")
        lab.require(client.wait(120) == 0, client.text())
        lab.require(all(line.endswith(" ok") for line in client.text().splitlines()) and "flush ok" in client.text(), client.text())
        machine.wait_until(f"journalctl -u holdfast-server | grep 'export {name}: there is room again'")
        reads = [f"read:{at * MIB}:{2 * MIB}:{at + 1:02x}" for at in starts]
        machine.run("systemctl restart holdfast-server")
        found = network.run(["/usr/bin/python3", PROGRAM, f"nbd://{SERVER}/{name}", *reads])
        lab.require(all(line.endswith(" ok") for line in found.splitlines()), found)
    machine.poweroff()
