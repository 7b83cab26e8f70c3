"""The five that `vm` compares: those of the outages (outage_peers.py), with nbdkit in the place of nbd-client and nbd-server, and
ours without the page cache besides: nvmet and LIO go to the device directly.

nbdkit's export is attached by our client, so that the server alone is what differs. The RAM disks are alike: all of their
pages are there, and each is as large as the others.
"""
import dataclasses

import outage_peers
from outage_peers import ISCSI, NBD_DISK, NVME, SERVER, Peer

DIRECT_DISK = "/dev/ram3"
PACKAGES = ("nbdkit", "nvme-cli", "open-iscsi", "fio", "linux-perf")
CUSTOMISE = outage_peers.CUSTOMISE
FILES = {"/etc/holdfast/server.conf": f"[disk]\nexportname = {NBD_DISK}\ncache = writeback\n[direct]\nexportname = {DIRECT_DISK}\ncache = none\n"}

PREPARE_SERVER = (outage_peers.prepare_server(4)
                  + " && for disk in /dev/ram?; do dd if=/dev/zero of=$disk bs=1M count=64 conv=fsync status=none || exit; done")
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
    cached = dataclasses.replace(outage_peers.holdfast(), settings="the export has cache = writeback")
    direct = dataclasses.replace(outage_peers.holdfast(export="direct"), name="holdfast cache=none", settings="the export has cache = none")
    return cached, direct, NBDKIT, NVME, ISCSI
