"""The four that are compared: how each serves a RAM disk of the server machine, and how the client machine attaches it.

Shell commands alone, run as root in the two machines. Each peer has the settings that suit a root disk best:
- nbd-client in netlink mode, its default; -persist is what its users give, and has no effect there.
- NVMe/TCP: ctrl_loss_tmo=-1 (never given up) and reconnect_delay=1 (its smallest).
- iSCSI: what open-iscsi's README recommends for a root disk: no NOP-Out pings, and a replacement timeout of a day.
"""
from dataclasses import dataclass

SERVER, CLIENT = "10.77.0.2", "10.77.0.3"
# A RAM disk each for those that hold theirs (LIO exclusively) also while the service is stopped.
NBD_DISK, NVME_DISK, ISCSI_DISK = "/dev/ram0", "/dev/ram1", "/dev/ram2"
SUBSYSTEM = "outage"
TARGET = "iqn.2026-01.test.holdfast:disk"


@dataclass(frozen=True)
class Peer:
    """prepare is run once; start and stop are the outage called "stopped"; attach prints the device as its last line."""

    name: str
    settings: str
    port: int
    prepare: str
    start: str
    stop: str
    attach: str
    detach: str


FILES = {
    "/etc/holdfast/server.conf": f"[disk]\nexportname = {NBD_DISK}\n",
    "/etc/nbd-server/outage": f"[generic]\n[disk]\nexportname = {NBD_DISK}\nflush = true\nfua = true\n",
}

# What they all stand on.
def prepare_server(disks: int) -> str:
    """RAM disks of 64 MiB, from /dev/ram0 on."""
    return f"modprobe brd rd_nr={disks} rd_size=65536 && test -b /dev/ram{disks - 1}"


PREPARE_SERVER = prepare_server(3)
PREPARE_CLIENT = ("modprobe nbd && modprobe nvme-tcp && modprobe iscsi_tcp && modprobe cls_matchall && modprobe act_gact && "
                  "tc qdisc add dev eth0 clsact")

_NVMET = "/sys/kernel/config/nvmet"
_LIO = "/sys/kernel/config/target"
_GROUP = f"{_LIO}/iscsi/{TARGET}/tpgt_1"
_ISCSI = f"iscsiadm -m node -T {TARGET} -p {SERVER}"


def holdfast(options: str = "", export: str = "disk") -> Peer:
    """Ours; options are further words for `holdfast-client attach`."""
    return Peer(
        "holdfast", f"holdfast-client attach {options}".strip(), 10809,
        prepare="true",
        start="systemctl start holdfast-server",
        stop="systemctl stop holdfast-server",
        attach=f"holdfast-client attach nbd://{SERVER}/{export} --device nbd0 {options} >/run/attach.log 2>&1 || "
               "{ cat /run/attach.log; exit 1; }; echo /dev/nbd0",
        detach="holdfast-client detach --force nbd0")


NBD_CLIENT = Peer(
    "nbd-client", "nbd-client -persist (netlink), nbd-server", 10809,
    prepare="true",
    start="nbd-server -C /etc/nbd-server/outage -p /run/nbd-server.pid",
    # Its processes for the clients end with it; the next one may listen when all are gone.
    stop="kill $(cat /run/nbd-server.pid); while pidof nbd-server >/dev/null; do sleep 0.01; done",
    attach=f"nbd-client -N disk -persist {SERVER} /dev/nbd0 >/run/attach.log 2>&1 || {{ cat /run/attach.log; exit 1; }}; "
           "echo /dev/nbd0",
    detach="nbd-client -d /dev/nbd0")

NVME = Peer(
    "NVMe/TCP", "nvmet; ctrl_loss_tmo=-1, reconnect_delay=1", 4420,
    prepare="modprobe nvmet && modprobe nvmet-tcp && "
            f"mkdir -p {_NVMET}/subsystems/{SUBSYSTEM}/namespaces/1 {_NVMET}/ports/1 && "
            f"cd {_NVMET}/subsystems/{SUBSYSTEM} && echo 1 >attr_allow_any_host && echo {NVME_DISK} >namespaces/1/device_path && "
            "echo 1 >namespaces/1/enable && "
            f"cd {_NVMET}/ports/1 && echo tcp >addr_trtype && echo ipv4 >addr_adrfam && echo {SERVER} >addr_traddr && "
            "echo 4420 >addr_trsvcid",
    start=f"ln -s {_NVMET}/subsystems/{SUBSYSTEM} {_NVMET}/ports/1/subsystems/{SUBSYSTEM}",
    stop=f"rm {_NVMET}/ports/1/subsystems/{SUBSYSTEM}",
    attach=f"nvme connect -t tcp -a {SERVER} -s 4420 -n {SUBSYSTEM} --ctrl-loss-tmo=-1 --reconnect-delay=1 && "
           "n=0; until ls /dev/nvme*n1 2>/dev/null; do n=$((n + 1)); test $n -lt 200 || exit 1; sleep 0.1; done",
    detach=f"nvme disconnect -n {SUBSYSTEM}")

ISCSI = Peer(
    "iSCSI", "LIO, open-iscsi; noop_out_interval=0, replacement_timeout=86400", 3260,
    prepare="modprobe iscsi_target_mod && modprobe target_core_iblock && "
            f"mkdir -p {_LIO}/core/iblock_0/disk && echo udev_path={ISCSI_DISK} >{_LIO}/core/iblock_0/disk/control && "
            f"echo 1 >{_LIO}/core/iblock_0/disk/enable && mkdir -p {_LIO}/iscsi && mkdir -p {_GROUP}/lun/lun_0 && "
            f"ln -s {_LIO}/core/iblock_0/disk {_GROUP}/lun/lun_0/disk && cd {_GROUP}/attrib && echo 0 >authentication && "
            "echo 1 >generate_node_acls && echo 1 >cache_dynamic_acls && echo 0 >demo_mode_write_protect",
    # Never a moment in which the port is open and every login is refused: a refusal makes an initiator wait longer.
    start=f"echo 1 >{_GROUP}/enable && mkdir {_GROUP}/np/{SERVER}:3260",
    stop=f"rmdir {_GROUP}/np/{SERVER}:3260 && echo 0 >{_GROUP}/enable",
    attach="pidof iscsid >/dev/null || iscsid; "
           f"{_ISCSI} -o new >/dev/null && for setting in session.timeo.replacement_timeout=86400 "
           "conn[0].timeo.noop_out_interval=0 conn[0].timeo.noop_out_timeout=0; do "
           f"{_ISCSI} -o update -n node.${{setting%=*}} -v ${{setting#*=}} || exit 1; done && {_ISCSI} --login && "
           "n=0; until ls /sys/class/iscsi_session/session*/device/target*/*/block 2>/dev/null | sed -n 's,^,/dev/,p' | "
           "grep . ; do n=$((n + 1)); test $n -lt 200 || exit 1; sleep 0.1; done",
    detach=f"{_ISCSI} --logout; {_ISCSI} -o delete")

PACKAGES = ("nbd-server", "nvme-cli", "open-iscsi")
# What Debian would start by itself at boot, before there is a network.
CUSTOMISE = "systemctl mask --quiet open-iscsi.service iscsid.socket\n"


def all_peers(options: str = "") -> tuple[Peer, ...]:
    return holdfast(options), NBD_CLIENT, NVME, ISCSI
