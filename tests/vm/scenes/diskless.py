"""The main job, whole: a file server with a volume group, and a machine without a disk that boots from one of its LVs.

`make demo` tells this as a story on the screen; a test of `make check` runs the same story in silence. The commands are those that an
administrator types.
"""

import contextlib
import pathlib
import threading
from collections.abc import Callable, Iterator

from lab import images, layer
from lab.failure import Failure
from lab.machine import Machine
from lab.network import Network

SERVER = "10.77.0.2"
VOLUME = "/dev/vg0/workstation0"
PORT = 12345

SERVER_FILES = {
    "/etc/holdfast/server.conf": f"""[root]
exportname = {VOLUME}
port = {PORT}
authfile = /etc/nbd-server/allow
listenaddr =
""",
    "/etc/nbd-server/allow": "10.77.0.0/24\n",
    "/etc/dnsmasq-diskless.conf": """port=0
interface=eth0
bind-interfaces
dhcp-range=10.77.0.100,10.77.0.120,255.255.255.0,1h
dhcp-leasefile=/run/dnsmasq.leases
conf-dir=/etc/dnsmasq.d
""",
}

# On the diskless machine: a file that grows a line at a time, each line on stable storage before the next is begun.
# The count is moved into place, so that whoever reads it finds it whole.
LOAD = ("i=0; while :; do i=$((i + 1)); echo $i >>/root/log && sync /root/log && echo $i >/run/flushed.new && "
        "mv /run/flushed.new /run/flushed; done")

Say = Callable[[str], None]


def silent(_: str) -> None:
    """Says nothing."""


def file_server_image() -> layer.Image:
    return layer.image(images.base("server", 12), files=SERVER_FILES, commands=["systemctl disable holdfast-server"])


def diskless_image(release: int) -> layer.Image:
    """What the LV is filled with: Debian, our programs, an initramfs with our hook."""
    return layer.image(images.base("client", release))


def prepare_server(server: Machine, mac: str, say: Say) -> None:
    """The volume group on the second disk, the LV filled from the third, the tree for network boot, the services. mac: of the diskless
    machine."""
    for words, command in (
        ("its network card", f"ip address add {SERVER}/24 dev eth0 && ip link set eth0 up"),
        ("a volume group and a logical volume",
         "vgcreate -q vg0 /dev/vdb && lvcreate -q -y -L 1G -n workstation0 vg0"),
        ("Debian's root file system onto the LV", f"dd if=/dev/vdc of={VOLUME} bs=4M conv=sparse,fsync status=none"),
        ("holdfast-netboot init: a tree for network boot, and the lines for dnsmasq",
         f"holdfast-netboot init --loaders bios --server {SERVER}:{PORT} --dhcp dnsmasq --dhcp-file /etc/dnsmasq.d/netboot.conf"),
        ("holdfast-netboot add: the diskless machine, with kernel and initramfs from the LV",
         f"mount -o ro {VOLUME} /mnt && holdfast-netboot add workstation0 --export root --mac {mac} --console ttyS0 "
         "--append 'loglevel=5 net.ifnames=0 mitigations=off' --kernel /mnt/vmlinuz --initrd /mnt/initrd.img && umount /mnt"),
        ("holdfast-netboot check", "holdfast-netboot check"),
        ("holdfast-server with the classic configuration",
         "holdfast-server --check && systemctl start holdfast-server && systemctl is-active holdfast-server"),
        ("dnsmasq for DHCP and TFTP", "dnsmasq --conf-file=/etc/dnsmasq-diskless.conf"),
    ):
        say(f"file server: {words}")
        said = server.run(command, timeout=180)
        if command.startswith("holdfast-netboot"):
            say("\n".join(f"    {line}" for line in said.splitlines()))


def look_around(client: Machine, server: str, say: Say = silent) -> None:
    """The root file system is the LV, and holdfast-client is with it."""
    source = client.run("findmnt -n -o SOURCE /")
    if source != "/dev/nbd0":
        raise Failure(f"the root file system is on {source}, not on /dev/nbd0")
    say(f"diskless machine: findmnt / says {source}")
    status = client.run("holdfast-client status")
    if "attached" not in status or server not in status:
        raise Failure(f"holdfast-client status does not say attached to {server}:\n{status}")
    say("diskless machine: holdfast-client status\n" + "\n".join(f"    {line}" for line in status.splitlines()))


def write_and_flush(client: Machine, say: Say = silent) -> None:
    client.run("dd if=/dev/urandom of=/root/proof bs=1M count=8 conv=fsync status=none && "
               "sha256sum /root/proof >/run/proof.sum", timeout=120)
    say("diskless machine: wrote and flushed /root/proof, 8 MiB")


def restart_underneath(client: Machine, restart: Callable[[], None], say: Say = silent) -> None:
    """The server is restarted while the machine writes; nothing is lost, nothing gets an error."""
    client.start_command(LOAD)
    client.wait_until("test $(cat /run/flushed) -ge 3", timeout=120)
    restart()
    before = int(client.run("cat /run/flushed"))
    # Requests in flight when the link died wait for the kernel's timer, up to 30 s.
    client.wait_until(f"test $(cat /run/flushed) -ge {before + 10}", timeout=180)
    say("diskless machine: its writes go on; reading everything back from the server")
    client.run("sync && echo 3 >/proc/sys/vm/drop_caches && sha256sum --status -c /run/proof.sum", timeout=180)
    flushed = int(client.run("cat /run/flushed"))
    client.run(f"test $(grep -c . /root/log) -ge {flushed} && head -n {flushed} /root/log | "
               f"awk '$1 != NR {{ exit 1 }}'", timeout=120)
    say(f"diskless machine: {flushed} flushed lines and /root/proof are all there")
    errors = client.run("dmesg | grep -E 'I/O error|EXT4-fs (error|warning)|Remounting filesystem read-only' || :")
    if errors:
        raise Failure(f"the kernel complained:\n{errors}")


def check_volume(server: Machine, say: Say) -> None:
    server.run("systemctl stop holdfast-server")
    say("file server: e2fsck -fn on the LV")
    text = server.run(f"e2fsck -fn {VOLUME}", timeout=180)
    say("\n".join(f"    {line}" for line in text.splitlines()[-1:]))


@contextlib.contextmanager
def machines(logs: pathlib.Path, release: int, say: Say,
             follow: Callable[[Machine], None]) -> Iterator[tuple[Machine, Machine]]:
    """The prepared file server, and the diskless machine when it has booted."""
    server_image, client_image = file_server_image(), diskless_image(release)
    disk, pool = server_image.copy(logs / "server.raw"), logs / "pool.raw"
    with pool.open("wb") as file:
        file.truncate(3 << 30)
    golden = client_image.copy(logs / "golden.raw")
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [path.unlink() for path in (disk, pool, golden)])
        network = stack.enter_context(Network(logs))
        server = stack.enter_context(Machine(
            "file-server", logs, kernel=server_image.kernel, initrd=server_image.initrd, append="root=/dev/vda",
            disks=[disk, pool, golden], cards=[network.bridge_card()]))
        say("file server: booting")
        server.login()
        card = network.bridge_card()
        prepare_server(server, card.mac, say)
        client = stack.enter_context(Machine("diskless", logs, boot_from_network=True, cards=[card]))
        follow(client)
        say("diskless machine: switched on; it has a network card and nothing else")
        client.login(timeout=300)
        yield server, client


def run(logs: pathlib.Path, release: int = 12, say: Say = silent, follow: Callable[[Machine], None] = lambda _: None,
        pause: Callable[[Machine], None] | None = None) -> None:
    """The whole story. Raises when anything of it was not seen. `pause` is called with the booted machine."""
    with machines(logs, release, say, follow) as (server, client):
        look_around(client, SERVER, say)
        if pause:
            pause(client)
        else:
            write_and_flush(client, say)

            def restart() -> None:
                say("file server: systemctl restart holdfast-server, while the diskless machine writes and flushes")
                server.run("systemctl restart holdfast-server", timeout=120)

            restart_underneath(client, restart, say)
        if client.running():
            say("diskless machine: poweroff")
            took = client.poweroff(timeout=180)
            say(f"diskless machine: off after {took:.0f} s")
        check_volume(server, say)
        server.poweroff(timeout=180)
        say("file server: off")


class Follower:
    """Shows a machine's console on the screen, line by line, with its name in front."""

    def __init__(self, show: Say) -> None:
        self._show = show
        self.quiet = threading.Event()

    def __call__(self, machine: Machine) -> None:
        threading.Thread(target=self._follow, args=(machine,), daemon=True).start()

    def _follow(self, machine: Machine) -> None:
        shown = 0
        while True:
            text = machine.console.text
            end = text.rfind("\n") + 1
            for line in text[shown:end].splitlines():
                if line.strip() and not self.quiet.is_set():
                    self._show(f"{machine.name:>11} | {''.join(c for c in line if c.isprintable())}")
            shown = max(shown, end)
            if machine.console.closed:
                return
            threading.Event().wait(0.1)
