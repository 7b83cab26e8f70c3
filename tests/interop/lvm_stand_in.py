"""A file server with a volume group: the server and holdfast-provision, over a stand-in for the programs of LVM that keeps its
volumes as files, records its words, and can be held."""
import fcntl
import json
import os
import socket
import stat
import struct
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench import ENVIRONMENT, Bench, Server, free_port, wait_for
from nbd_wire import ACK, CLIENT_FLAGS, GREETING, go, receive, reply

# The volumes are files in /dev/GROUP; the state has their attributes, tags and pools. One call at a time, as LVM does.
LVM = """#!/usr/bin/python3
import fcntl, json, os, shutil, sys, time
state_folder = {state!r}
program, words = os.path.basename(sys.argv[0]), sys.argv[1:]
lock = open(state_folder + "/lock", "w")
def hold(name):
    path = state_folder + "/hold-" + program + "-" + name
    while os.path.exists(path):
        open(path.replace("/hold-", "/held-"), "w").close()
        time.sleep(0.02)
def option(name):
    return words[words.index(name) + 1] if name in words else None
def fail(text):
    print("  File descriptor 9 leaked", file=sys.stderr)
    print("  " + text, file=sys.stderr)
    sys.exit(5)
hold(words[1] if program == "lvrename" else "-")
fcntl.flock(lock, fcntl.LOCK_EX)
state = json.load(open(state_folder + "/volumes"))
with open(state_folder + "/calls", "a") as calls:
    print(program, *words, file=calls)
def path(full):
    return "/dev/" + full + ("" if full not in state or state[full]["attr"][4] == "a" else " inactive")
def set_active(full, active):
    old, attr = path(full), state[full]["attr"]
    state[full]["attr"] = attr[:4] + ("a" if active else "-") + attr[5:]
    os.rename(old, path(full))
if program == "lvs":
    for full, one in state.items():
        if "lv_kernel_major" in option("-o"):
            print("  " + ",".join([*full.split("/"), str(one["size"]), "12.50" if one["pool"] else "", "-1", "-1", one["pool"], one.get("origin", ""), "",
                                   ",".join(one["tags"])]))
        elif full.startswith(words[-1] + "/"):
            print("  " + "|".join([full.split("/")[1], str(one["size"]), one["attr"], ",".join(one["tags"]), one["pool"]]))
elif program == "lvcreate":
    tags = [words[i + 1] for i, word in enumerate(words) if word == "--addtag"]
    group = words[-1].split("/")[0] if "--thinpool" not in words else option("--thinpool").split("/")[0]
    full = group + "/" + option("--name")
    if full in state:
        fail("Logical Volume already exists")
    if "--snapshot" in words:
        fail("snapshot: Required device-mapper target(s) not detected in your kernel.\\n  Run `lvcreate --help' for more information.")
    if option("--type") == "thin":
        golden = state[words[-1]]
        source = path(words[-1])
        state[full] = dict(golden, attr=golden["attr"][:4] + "a-" + golden["attr"][6:], tags=tags, origin=words[-1].split("/")[1])
        shutil.copyfile(source, path(full))
    else:
        size = int((option("--size") or option("--virtualsize")).rstrip("b"))
        thin = "--thinpool" in words
        with open(path(full), "wb") as made:  # extents of a removed volume
            made.write(bytes(size) if thin else b"old data" * (size // 8))
        state[full] = dict(size=size, attr="Vwi-a-tz--" if thin else "-wi-a-----", tags=tags, pool=option("--thinpool") or "")
elif program == "lvrename":
    old, new = words[0] + "/" + words[1], words[0] + "/" + words[2]
    old_path = path(old)
    if new in state:
        fail("Logical Volume already exists")
    state[new] = state.pop(old)
    os.rename(old_path, path(new))
    for one in state.values():
        if one.get("origin") == words[1]:
            one["origin"] = words[2]
elif program == "lvremove":
    if state[words[-1]]["attr"][5] == "o":
        fail("Logical volume " + words[-1] + " in use.")
    os.unlink(path(words[-1]))
    del state[words[-1]]
elif program == "lvchange":
    tags = state[words[-1]]["tags"]
    for word, value in zip(words, words[1:]):
        if word == "--addtag":
            tags.append(value)
        if word == "--deltag":
            tags.remove(value)
    if option("--activate") == "n" and state[words[-1]]["attr"][5] == "o":
        fail("Logical volume " + words[-1] + " in use.")
    if option("--activate"):
        set_active(words[-1], option("--activate") == "y")
with open(state_folder + "/next", "w") as out:
    json.dump(state, out)
os.rename(state_folder + "/next", state_folder + "/volumes")
"""
GOLDEN = b"golden" * 1024
THIN, THICK = "Vwi-a-tz--", "-wi-a-----"
WITH_OURS = 'mount --bind "$1" /dev && mount --bind "$2" /usr/sbin && shift 2 && exec "$@"'


@dataclass
class Site:
    """A file server with a volume group: the server, holdfast-provision, and the state of the stand-in for LVM."""
    bench: Bench
    server: Server
    provision: subprocess.Popen[bytes]

    @property
    def folder(self) -> Path:
        return self.bench.folder

    def calls(self, program: str) -> list[list[str]]:
        lines = (self.folder / "state/calls").read_text().splitlines()
        return [line.split()[1:] for line in lines if line.split()[0] == program]

    def volumes(self) -> dict[str, dict[str, object]]:
        return json.loads((self.folder / "state/volumes").read_text())

    def content(self, volume: str) -> bytes:
        return (self.folder / "dev" / volume).read_bytes()

    def change(self, volume: str, **facts: object) -> None:
        """Set facts of a volume, in turn with the programs of LVM."""
        state = self.folder / "state/volumes"
        with (self.folder / "state/lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            volumes = self.volumes()
            volumes[volume] |= facts
            state.with_name("changed").write_text(json.dumps(volumes))
            state.with_name("changed").rename(state)

    def hold(self, program: str, name: str) -> Path:
        path = self.folder / f"state/hold-{program}-{name}"
        path.touch()
        return path

    def log(self) -> str:
        return (self.folder / "provision.log").read_text()


def with_ours(bench: Bench, *words: str | Path) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", WITH_OURS, "-", *map(str, (bench.folder / "dev", bench.folder / "sbin", *words))]


def start_provision(bench: Bench) -> subprocess.Popen[bytes]:
    path = bench.folder / "run/provision.sock"
    path.unlink(missing_ok=True)
    with (bench.folder / "provision.log").open("ab") as log:
        process = subprocess.Popen(with_ours(bench, bench.build / "holdfast-provision", "--config", bench.folder / "server.conf",
                                             "--socket", path), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT)
    wait_for(lambda: path.exists() or process.poll() is not None, "holdfast-provision to listen")
    assert process.poll() is None, (bench.folder / "provision.log").read_text()
    return process


def site(bench: Bench, config: str, **values: object) -> Site:
    """Start a file server by the configuration, in whose text {socket}, {authfile}, {status} and the given values are set."""
    for name in ("dev", "dev/vg0", "sbin", "state"):
        (bench.folder / name).mkdir()
    os.mknod(bench.folder / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (bench.folder / "dev/null").chmod(0o666)
    for program in ("lvs", "lvcreate", "lvremove", "lvrename", "lvchange"):
        bench.file(f"sbin/{program}", content=LVM.format(state=str(bench.folder / "state")).encode()).chmod(0o755)
    volumes = {}
    for name, attr, pool in (("golden", THIN, "pool"), ("thick", THICK, ""), ("disk", THIN, "pool")):
        bench.file(f"dev/vg0/{name}", content=GOLDEN)
        volumes[f"vg0/{name}"] = {"size": len(GOLDEN), "attr": attr, "tags": [], "pool": pool}
    bench.file("state/volumes", content=json.dumps(volumes).encode())
    bench.file("state/calls")
    port = free_port()
    authfile = bench.file("clients", content=b"127.0.3.0/24\n127.0.4.0/24\n")
    text = config.format(socket=bench.folder / "run/provision.sock", authfile=authfile, status=bench.folder / "status.sock", **values)
    path = bench.file("server.conf", content=text.replace("@PORT@", str(port)).encode())
    provision = start_provision(bench)
    bench.servers.append(Server(provision, 0, bench.folder / "provision.log"))  # ended with the bench
    return Site(bench, bench.start(port, *with_ours(bench, bench.server_program, "--foreground", "--config", path)), provision)


def descendants(pid: int) -> list[int]:
    """The process, and all that it and its children have started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in descendants(int(child)))]


def ask(made: Site, host: str, name: str) -> tuple[socket.socket, int, bytes]:
    """Connect from the address, and ask for the export: the link, and the last reply."""
    link = socket.create_connection(("127.0.0.1", made.server.port), timeout=120, source_address=(host, 0))
    assert len(receive(link, GREETING)) == GREETING
    link.sendall(CLIENT_FLAGS + go(name.encode()))
    kind, data = reply(link)
    while kind == 3:
        kind, data = reply(link)
    return link, kind, data


def refusal(made: Site, host: str, name: str) -> str:
    link, kind, data = ask(made, host, name)
    link.close()
    assert kind & 0x80000000, f"{host} got {name}"
    return data.decode()


def read_and_mark(made: Site, host: str, name: str) -> bytes:
    """Use the export: the first bytes, which the host's address then replaces."""
    link, kind, data = ask(made, host, name)
    with closing(link):
        assert kind == ACK, f"{host}: {kind:#x} {data!r}"
        link.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 1, 0, 16))
        content = receive(link, 32)[16:]
        link.sendall(struct.pack(">IHHQQI", 0x25609513, 1, 1, 2, 0, 16) + host.encode().ljust(16, b"."))
        assert struct.unpack(">IIQ", receive(link, 16))[1] == 0
        link.sendall(struct.pack(">IHHQQI", 0x25609513, 2, 0, 3, 0, 0))
    return content
