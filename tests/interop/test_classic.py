"""The way over from nbd-server: one configuration, served by Debian's nbd-server and by holdfast-server, and seen alike by a client."""
import hashlib
import json
import os
import subprocess
from pathlib import Path

from bench import MIB, Bench, Server, free_port, nbd_server, output
from harness.registry import test

# With all keys of nbd-server(5) that have an effect here, but for `user` and `group`, and for TLS. flush, fua and trim stand wherever
# an export is writable, since their defaults differ.
CONFIGURATION = """
[generic]
    listenaddr = 127.0.0.1
    port = @PORT@
    unixsock = @SOCKET@
    duallisten = true
    allowlist = true
    max_threads = 4
    includedir = @FOLDER@/conf.d
    oldstyle = false

[writable]
    exportname = @FOLDER@/disk
    flush = true
    fua = true
    trim = true
    rotational = true
    maxconnections = 30
    timeout = 60
    splice = true

[durable]
    exportname = @FOLDER@/other
    sync = true
    flush = true
    fua = false
    trim = false

[readonly]
    exportname = @FOLDER@/disk
    readonly = true
    flush = true
    fua = true
    trim = true

[cut]
    exportname = @FOLDER@/disk
    filesize = 65536
    readonly = true
    flush = true
    fua = true
    trim = true
    copyonwrite = false
    multifile = false
    temporary = false

[made]
    exportname = @FOLDER@/made-@WHO@
    filesize = 131072
    flush = true
    fua = true
    trim = true

[virtual]
    exportname = @FOLDER@/for-%s
    virtstyle = ipliteral
    readonly = true
    flush = true
    fua = true
    trim = true

[literal]
    exportname = @FOLDER@/literal-%s
    virtstyle = none
    readonly = true
    flush = true
    fua = true
    trim = true

[allowed]
    exportname = @FOLDER@/disk
    readonly = true
    authfile = @FOLDER@/allow
    flush = true
    fua = true
    trim = true

[forbidden]
    exportname = @FOLDER@/disk
    readonly = true
    authfile = @FOLDER@/others
"""
INCLUDED = """
[included]
    exportname = @FOLDER@/other
    readonly = true
    flush = true
    fua = true
    trim = true
"""
# With GO, since nbd-server's answer to INFO has no size. Without trim, which holdfast-server offers only where the file system can
# release space; with FUA only for writes, as holdfast-server offers it.
ASK = """import json
print(json.dumps({"size": h.get_size(), "read_only": h.is_read_only(), "rotational": h.is_rotational(), "flush": h.can_flush(),
                  "fua": h.can_fua() and not h.is_read_only()}))"""


def content(bench: Bench, uri: str) -> str:
    """Digest of an export's content; empty if the server refuses the export."""
    copy = bench.folder / "copy"
    if subprocess.run(["nbdcopy", uri, copy], capture_output=True, timeout=120).returncode:
        return ""
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    copy.unlink()
    return digest


def view(bench: Bench, server: Server, socket: Path) -> dict[str, object]:
    """Everything that a client can see of each export, by TCP and on the UNIX socket."""
    listed = json.loads(output("nbdinfo", "--json", "--list", "--no-content", f"nbd+unix:///?socket={socket}"))["exports"]
    seen: dict[str, object] = {"names": sorted(export["export-name"] for export in listed if export["export-name"] != "forbidden")}
    for name in (*seen["names"], "forbidden", "missing", ""):
        if not (digest := content(bench, server.uri(name))):
            seen[name] = "refused"
            continue
        seen[name] = json.loads(output("nbdsh", "-u", server.uri(name), "-c", ASK)), digest
    return seen


@test("a configuration with many keys of nbd-server is served by nbd-server and by holdfast-server, and a client sees the same")
def served_alike(bench: Bench) -> None:
    disk = bench.random_file("disk", MIB)
    bench.random_file("other", 2 * MIB)
    bench.random_file("for-127.0.0.1", MIB // 2)
    bench.random_file("for-unix", MIB // 2)
    bench.random_file("literal-%s", MIB // 4)
    bench.file("allow", content=b"# this machine\n127.0.0.0/8\n")
    bench.file("others", content=b"192.0.2.0/24\n")
    (bench.folder / "conf.d").mkdir()
    views = {}
    for who in ("nbd-server", "holdfast-server"):
        port, socket = free_port(), bench.folder / f"{who}.sock"
        filled = {"@PORT@": str(port), "@SOCKET@": str(socket), "@FOLDER@": str(bench.folder), "@WHO@": who}
        texts = []
        for text in (CONFIGURATION, INCLUDED):
            for word, value in filled.items():
                text = text.replace(word, value)
            texts.append(text.encode())
        config = bench.file(f"{who}.conf", content=texts[0])
        bench.file("conf.d/more.conf", content=texts[1])
        command = nbd_server(config) if who == "nbd-server" else [bench.server_program, "--foreground", "--config", config]
        server = bench.start(port, *command)
        if who == "holdfast-server":
            server.wait_for_log(" serves ")
        views[who] = view(bench, server, socket)
        assert (bench.folder / f"made-{who}").stat().st_size == 131072
        # Writes of a client reach the file, through either server.
        whole, block = disk.read_bytes(), os.urandom(4096)
        output("nbdcopy", "--flush", "--connections=1", bench.file("block", content=block), server.uri("writable"))
        assert disk.read_bytes() == block + whole[4096:], f"{who}: a write is not in the file"
        disk.write_bytes(whole)
        server.process.kill()
        server.process.wait()
    theirs, ours = views["nbd-server"], views["holdfast-server"]
    different = {name: (theirs.get(name), ours.get(name)) for name in theirs | ours if theirs.get(name) != ours.get(name)}
    assert not different, json.dumps(different, indent=1)
    flags = ours["cut"][0]
    assert flags["size"] == 65536 and flags["read_only"] and ours["forbidden"] == "refused"


@test("--check of nbd-server's configuration names each key that is not served alike, with its line")
def checked(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    lines = ["[generic]", "max_threads = 4", "keyfile = /etc/key.pem", "[disk]", f"exportname = {disk}", "copyonwrite = true", "prerun = /bin/true",
             "transactionlog = /tmp/log", "splice = true", "listenaddr = 127.0.0.1", "waitfile = true", "treefiles = true", "authfile = /nowhere/allow", "timeout = 60"]
    config = bench.file("config", content="\n".join(lines).encode())
    text = output(bench.server_program, "--check", "--config", config, status=1)
    kinds = {2: "warning", 3: "error", 6: "error", 7: "error", 8: "warning", 9: "warning", 10: "warning", 11: "error", 12: "error"}
    for number, kind in kinds.items():
        assert f"{config}:{number}: {kind}: {lines[number - 1].split()[0]}: " in text, f"line {number} in:\n{text}"
    assert f"{config}:4: note: [disk]: timeout: clients that are idle for 60 s are disconnected" in text, text
    assert f"{config}:4: warning: [disk]: authfile /nowhere/allow" in text and "all clients are refused" in text, text
