"""The server's whole machine is reset: with its page cache go the writes that it had acknowledged and nobody had flushed."""

from lab import Lab, layer, test
from lab.machine import Machine
from lab.network import Network
from scenes import outages
from scenes.file_server import FILES, SERVER
from scenes.outages import BRIDGE_IP, PATIENCE


def _file_server(lab: Lab, network: Network, disks: list) -> Machine:
    made: layer.Image = lab.image("server", 12, files=FILES, commands=["systemctl enable lab-address holdfast-server"])
    machine = lab.boot("file-server", made, disks=[lab.copy(made), *disks], cards=[network.bridge_card()], exit_on_reboot=False)
    machine.login()
    _serves(machine)
    return machine


def _serves(machine: Machine) -> None:
    machine.wait_until(f"holdfast-client list {SERVER} | grep -x root", timeout=PATIENCE)


@test("a reset of the server's whole machine costs a client nothing that the server had on stable storage", timeout=900, long=True)
def reset_in_sync(lab: Lab) -> None:
    network = lab.network()
    made = outages.image(lab, 12)
    disk = lab.copy(made)
    server = _file_server(lab, network, [disk, lab.blank_disk(64), lab.blank_disk(64)])
    client = lab.boot("diskless", made, disks=[], cards=[network.bridge_card()],
                      append=f"root=/dev/nbd0 nbdroot={SERVER},root {BRIDGE_IP}").login()
    outages.start_load(client)
    outages.keep_in_memory(client)
    for _ in range(2):
        outages.progress(client)
        server.reset()
        server.login()
        outages.progress(client)
    lab.require(outages.status(client)["reconnects"] >= 2, f"two resets: {outages.status(client)}")
    outages.progress(client)
    acked = outages.acknowledged(client)
    outages.kernel_errors(client)
    client.poweroff(timeout=PATIENCE)
    server.poweroff(timeout=PATIENCE)
    lab.check_file_system(disk)
    outages.verify_on_host(lab, disk, acked)


@test("a server's machine that was reset with unflushed writes is seen: one device goes on and says so, the other fails as it was told",
      timeout=900)
def unflushed(lab: Lab) -> None:
    network = lab.network()
    server = _file_server(lab, network, [lab.blank_disk(64) for _ in range(3)])
    client = lab.boot("client", outages.image(lab, 12), cards=[network.bridge_card()]).login()
    client.run("ip link set eth0 up && ip address add 10.77.0.10/24 dev eth0 && modprobe nbd")
    client.run(f"holdfast-client attach {SERVER},first --device nbd0 --lost-cache continue")
    client.run(f"holdfast-client attach {SERVER},second --device nbd1 --lost-cache fail")
    # Acknowledged, and not flushed: O_DIRECT without an fsync sends no flush.
    write = "dd if=/dev/urandom of=/dev/%s bs=64k count=16 oflag=direct conv=notrunc status=none"
    for device in ("nbd0", "nbd1"):
        client.run(write % device)
    booted = outages.status(client)["boot_identity"]
    lab.require(len(booted) == 32, f"the server's boot identity is not known: {outages.status(client)}")
    server.reset()
    server.login()
    _serves(server)
    client.run(write % "nbd0", timeout=PATIENCE)
    status = outages.wait_for_state(client, "attached")
    lab.require(status["cache_lost"] == 1 and status["boot_identity"] not in ("", booted), f"`continue`: {status}")
    client.wait_until("dmesg | grep 'nbd0: .*lost its cache'", timeout=PATIENCE)
    code, text = client.run_status(write % "nbd1", timeout=PATIENCE)
    lab.require(code != 0, "`fail`: a write succeeded after the server had lost its cache")
    client.run("dmesg | grep 'nbd1: .*lost its cache'")
    code, text = client.run_status("holdfast-client status nbd1 --json")
    lab.require(code == 3 or '"state":"attached"' not in text, f"`fail`: status {code}: {text}")
    # The service alone restarts: its machine's cache is still there, and nothing is said.
    client.run(write % "nbd0")
    server.run("systemctl restart holdfast-server")
    client.run(write % "nbd0", timeout=PATIENCE)
    lab.require(outages.wait_for_state(client, "attached")["cache_lost"] == 1, f"a restart of the service: {outages.status(client)}")
    client.poweroff()
    server.poweroff(timeout=PATIENCE)
