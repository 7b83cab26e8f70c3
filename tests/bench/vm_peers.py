"""The four that `vm` compares: those of the outages (outage_peers.py), with nbdkit in the place of nbd-client and nbd-server.

nbdkit's export is attached by our client, so that the server alone is what differs. The RAM disks are alike: all of their
pages are there, and each is as large as the others.
"""
import outage_peers
from outage_peers import ISCSI, NBD_DISK, NVME, SERVER, Peer

PACKAGES = ("nbdkit", "nvme-cli", "open-iscsi", "fio")
CUSTOMISE = outage_peers.CUSTOMISE
FILES = {path: text for path, text in outage_peers.FILES.items() if "holdfast" in path}

PREPARE_SERVER = (outage_peers.PREPARE_SERVER
                  + " && for disk in /dev/ram0 /dev/ram1 /dev/ram2; do dd if=/dev/zero of=$disk bs=1M count=64 conv=fsync status=none || exit; done")
PREPARE_CLIENT = "modprobe nbd && modprobe nvme-tcp && modprobe iscsi_tcp"

NBDKIT = Peer(
    "nbdkit", "nbdkit's file plugin, holdfast-client", 10809,
    prepare="true",
    start=f"nbdkit -P /run/nbdkit.pid -p 10809 file {NBD_DISK}",
    stop="kill $(cat /run/nbdkit.pid); while pidof nbdkit >/dev/null; do sleep 0.05; done",
    attach=f"holdfast-client attach nbd://{SERVER}/disk --device nbd0 >/run/attach.log 2>&1 || {{ cat /run/attach.log; exit 1; }}; "
           "echo /dev/nbd0",
    detach="holdfast-client detach --force nbd0")


def all_peers() -> tuple[Peer, ...]:
    return outage_peers.holdfast(), NBDKIT, NVME, ISCSI
