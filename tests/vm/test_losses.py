"""Acknowledged writes that must not be lost without a word: on a thin volume, which discards and cannot write zeroes by itself, and on a disk that
fails when the server stops."""

from pathlib import Path

from lab import Lab, test
from lab.network import Network
from scenes import losing_server

PROGRAM = str(Path(__file__).parent / "scenes" / "nbd_client.py")


def _asked(network: Network, export: str, *words: str) -> list[str]:
    """How each request of one connection went."""
    lines = network.run(["/usr/bin/python3", PROGRAM, f"nbd://{losing_server.SERVER}/{export}", *words]).splitlines()
    return [line.rpartition(" ")[2] for line in lines]


@test("what was written since the last flush outlives refused fast zeroes, and what a stopping server lost is told by the next, once")
def losses(lab: Lab) -> None:
    network = lab.network()
    machine = losing_server.start(lab, network)
    limits = machine.run("cd /sys/dev/block/$(dmsetup info -c --noheadings -o major,minor vg0-thin)/queue && "
                         "cat write_zeroes_max_bytes discard_max_bytes").split()
    lab.require(limits[0] == "0" and int(limits[1]) > 0, f"this device can do more or less than the test needs: {limits}")
    words = ("write:0:65536:0a", "flush", "write:0:65536:0b", "fast:0:65536", "read:0:65536:0b", "flush", "read:0:65536:0b",
             "zero:512:64512", "read:0:512:0b", "read:512:64512:00", "read:65024:512:0b")
    told = _asked(network, "thin", *words)
    lab.require(told == ["ok", "ok", "ok", "ENOTSUP", *["ok"] * 7], f"{dict(zip(words, told))}")

    written = "dd if=/dev/urandom of=/dev/nbd0 bs=64k count=4 oflag=direct status=none"
    flushed = "dd if=/dev/zero of=/dev/nbd0 bs=4k count=1 oflag=direct status=none && sync /dev/nbd0"
    machine.run(f"holdfast-client attach {losing_server.SERVER},flaky --device nbd0 && {written} && sync /dev/nbd0 && {written}")
    losing_server.switch(machine, losing_server.FAILING)
    machine.run("systemctl restart holdfast-server")
    losing_server.switch(machine, losing_server.SOUND)
    status, text = machine.run_status(flushed)
    lab.require(status != 0 and "rror" in text, f"a flush succeeded although the server had lost writes when it stopped: {status}: {text}")
    machine.run(f"{flushed} && systemctl restart holdfast-server && {flushed}")
    machine.run("holdfast-client detach nbd0")
    machine.poweroff()
