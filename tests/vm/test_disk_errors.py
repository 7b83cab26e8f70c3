"""Disks that fail under the server: who is told, who goes on, and what is not forgotten."""

from pathlib import Path

from lab import Lab, test
from lab.machine import Machine
from lab.network import Network

SERVER = "10.77.0.2"
PROGRAM = str(Path(__file__).parent / "scenes" / "nbd_client.py")
MIB = 1 << 20
# Sectors 2048 to 2175 of the broken disks fail, for reading and writing.
BAD = MIB
BROKEN = "dmsetup create %s --table '0 2048 linear /dev/vg0/%s 0\n2048 128 error\n2176 30592 linear /dev/vg0/%s 2176'"
SOUND, FAILING = "0 32768 linear /dev/vg0/%s 0", "0 32768 flakey /dev/vg0/%s 0 0 3600 1 error_writes"
CACHED = "\ncache = writeback"  # what is lost from the page cache, the disk has refused after the answer
EXPORTS = {"good": "/dev/vg0/good", "broken": f"/dev/mapper/broken{CACHED}", "direct": "/dev/mapper/direct\ncache = none",
           "flaky": f"/dev/mapper/flaky{CACHED}", "root": f"/dev/mapper/root{CACHED}", "thin": f"/dev/vg0/thin{CACHED}",
           "thindirect": "/dev/vg0/thindirect\ncache = none"}
CONFIGURATION = f"[generic]\nlistenaddr = {SERVER},127.0.0.1\n" + "".join(
    f"[{name}]\nexportname = {path}\n" for name, path in EXPORTS.items())


def _server(lab: Lab, network: Network) -> Machine:
    image = lab.image("server", 12, files={"/etc/holdfast/server.conf": CONFIGURATION},
                      commands=["systemctl disable holdfast-server"])
    machine = lab.boot("server", image, disks=[lab.copy(image), lab.blank_disk(512)], cards=[network.bridge_card()]).login()
    machine.run(f"ip link set lo up && ip link set eth0 up && ip address add {SERVER}/24 dev eth0 && "
                "modprobe -a nbd dm-flakey dm-thin-pool && echo 3 >/sys/module/dm_thin_pool/parameters/no_space_timeout && "
                "vgcreate -q vg0 /dev/vdb && for name in good broken direct flaky root; do "
                "lvcreate -q -y -L 16M -n $name vg0; done")
    for name in ("broken", "direct"):
        machine.run(BROKEN.replace("%s", name))
    for name in ("flaky", "root"):
        machine.run(f"dmsetup create {name} --table '{SOUND % name}'")
    # The policy of a pool that is full is the default one: to wait, here for three seconds, and then to refuse.
    machine.run("lvcreate -q -y --type thin-pool -L 16M -n pool vg0 && for name in thin thindirect; do "
                "lvcreate -q -y -V 64M --thinpool pool -n $name vg0; done && systemctl start holdfast-server")
    return machine


def _switch(machine: Machine, name: str, table: str) -> None:
    machine.run(f"dmsetup suspend --nolockfs --noflush {name} && dmsetup load {name} --table '{table % name}' && dmsetup resume {name}")


def _asked(network: Network, export: str, *words: str) -> list[str]:
    """How each request of one connection went."""
    lines = network.run(["/usr/bin/python3", PROGRAM, f"nbd://{SERVER}/{export}", *words]).splitlines()
    return [line.rpartition(" ")[2] for line in lines]


@test("a disk's errors reach the clients that they concern, are not forgotten, and stop nobody else; a full pool says so",
      timeout=900, long=True)
def errors(lab: Lab) -> None:
    network = lab.network()
    machine = _server(lab, network)

    def expect(export: str, *asked_and_told: str) -> None:
        words, told = asked_and_told[::2], list(asked_and_told[1::2])
        found = _asked(network, export, *words)
        lab.require(found == told, f"{export}: {dict(zip(words, found))}, not {told}")

    # The device-mapper's error target: through the page cache the flush tells, around it the write itself.
    expect("broken", f"read:{BAD}:4096", "EIO", "write:0:4096", "ok", "flush", "ok", f"fua:{BAD}:4096", "EIO")
    expect("broken", f"write:{BAD}:4096", "ok", "flush", "EIO", "flush", "ok", "read:0:4096", "ok", "write:0:4096", "ok", "flush", "ok")
    expect("direct", f"read:{BAD}:4096", "EIO", f"write:{BAD}:4096", "EIO", "write:0:4096", "ok", "flush", "ok")
    expect("good", "write:0:65536", "ok", "flush", "ok", "fua:0:512", "ok")

    # Writes fail for a while. Each connection that was there then is told once, also when all is well again.
    healed = lab.scratch / "healed"
    failing = lab.scratch / "failing"
    held = network.spawn(["/usr/bin/python3", PROGRAM, f"nbd://{SERVER}/flaky", "write:0:4096", "flush", "write:4096:4096", f"wait:{failing}",
                          "flush", f"wait:{healed}", "write:8192:4096", "flush", "fua:0:4096", "flush"], name="held")
    held.expect("write:4096:4096 ok")
    _switch(machine, "flaky", FAILING)
    failing.touch()
    held.expect("^flush EIO", timeout=60)
    expect("good", "write:0:4096", "ok", "flush", "ok")
    _switch(machine, "flaky", SOUND)
    expect("flaky", "write:65536:4096", "ok", "flush", "EIO")  # the same client, for all that is known
    healed.touch()
    lab.require(held.wait(60) == 0, held.text())
    told = [line.rpartition(" ")[2] for line in held.text().splitlines()]
    lab.require(told == ["ok", "ok", "ok", "ok", "EIO", "ok", "ok", "ok", "ok", "ok"], held.text())
    machine.run("journalctl -u holdfast-server | grep '/dev/mapper/flaky: acknowledged writes may be lost'")
    expect("flaky", "write:65536:4096", "ok", "flush", "ok")

    # The server dies before anyone has been told; the session that comes back is, and one that begins then is not.
    machine.run("holdfast-client attach 127.0.0.1,root --device nbd0 && dd if=/dev/urandom of=/dev/nbd0 bs=64k count=4 oflag=direct conv=fsync "
                "status=none && dd if=/dev/urandom of=/dev/nbd0 bs=64k count=4 oflag=direct status=none")
    _switch(machine, "root", FAILING)
    machine.run("systemctl kill -s KILL holdfast-server")
    machine.wait_until("test $(dmsetup info -c --noheadings -o open root) = 0 || systemctl is-active holdfast-server")
    _switch(machine, "root", SOUND)
    machine.run("systemctl reset-failed holdfast-server; systemctl start holdfast-server")
    flushed = "dd if=/dev/zero of=/dev/nbd0 bs=4k count=1 oflag=direct conv=notrunc status=none && sync /dev/nbd0"
    status, text = machine.run_status(flushed)
    lab.require(status != 0 and "rror" in text, f"a flush succeeded after the server had lost writes: {status}: {text}")
    machine.run(flushed)
    machine.run("holdfast-client detach --force nbd0 && holdfast-client attach 127.0.0.1,root --device nbd0 && "
                "dd if=/dev/zero of=/dev/nbd0 bs=4k count=1 oflag=direct conv=notrunc,fsync status=none && holdfast-client detach nbd0")

    # A thin pool that is full: the writes that it has no room for are refused when it has given up waiting for room.
    fill = [f"write:{at * MIB}:{2 * MIB}" for at in range(0, 24, 2)]
    found = _asked(network, "thindirect", *fill, "flush", "read:0:4096")
    lab.require("ENOSPC" in found and set(found) <= {"ok", "ENOSPC"} and found[-1] == "ok", f"thindirect: {found}")
    found = _asked(network, "thin", *fill, "flush", "flush", "read:0:4096")
    # The first flush has the page cache's error, later ones may have that of a flush which the pool itself refuses.
    lab.require(set(found[:-3]) == {"ok"} and found[-3] == "EIO" and found[-2] in ("ok", "EIO", "ENOSPC") and found[-1] == "ok", f"thin: {found}")
    expect("good", "write:0:65536", "ok", "flush", "ok")
    machine.poweroff()
