"""A server that is merely slow is not taken for a dead one, and does not fill the kernel's log."""

from lab import Lab, test
from lab.network import HOST
from scenes import outages

PORT = 10810
DELAY = 3  # seconds that every request takes: longer than the timer of a quick server's requests
READERS = 8
ROUNDS = 12


@test("a server that takes three seconds for each request keeps its link, and the kernel's log does not fill with it", long=True)
def slow_server(lab: Lab) -> None:
    network = lab.network()
    network.spawn(["nbdkit", "-f", "-i", "127.0.0.1", "-p", str(PORT), "--filter=delay", "memory", "64M",
                   f"rdelay={DELAY}", f"wdelay={DELAY}"], name="nbdkit")
    network.wait_for_port(PORT)
    machine = lab.boot("client", lab.image("server", 12), cards=[network.user_card()]).login()
    machine.run("ip link set eth0 up && ip address add 10.0.2.15/24 dev eth0 && modprobe nbd")
    machine.run(f"holdfast-client attach {HOST},{PORT} --device nbd0", timeout=outages.PATIENCE)
    # One after the other in each reader, all at different places.
    machine.run(f"for reader in $(seq {READERS}); do (for round in $(seq {ROUNDS}); do dd if=/dev/nbd0 of=/dev/null bs=4k count=1 "
                f"skip=$((reader * 1000 + round)) iflag=direct status=none || echo failed >>/run/failed; done) & done; wait",
                timeout=outages.PATIENCE)
    machine.run("test ! -e /run/failed")
    lines = int(machine.run("dmesg | grep -c 'Possible stuck request' || :"))
    status = outages.status(machine)
    print(f"{READERS * ROUNDS} requests of {DELAY} s each: {lines} lines in the kernel's log; {status}")
    lab.require(status["state"] == "attached" and status["reconnects"] == 0, f"the link was given up: {status}")
    # Without a timer that follows the server, it would be a line for each request, and more.
    lab.require(lines < READERS * ROUNDS / 2, f"{lines} lines for {READERS * ROUNDS} requests")
    machine.run("holdfast-client detach nbd0", timeout=outages.PATIENCE)
    machine.poweroff()
