"""What holdfast-client does without a kernel device: it lists exports, ours and those of others, and says what is wrong."""
import json

import socket
import struct
import subprocess
import threading
from pathlib import Path

from bench import MIB, Bench, free_port, nbd_server, output
from harness.registry import test
from nbd_wire import CLIENT_FLAGS, option, receive


@test("holdfast-client lists the exports of holdfast-server")
def list_ours(bench: Bench) -> None:
    server = bench.serve(f"one={bench.file('one', MIB)}", f"two={bench.file('two', MIB)}")
    text = output(bench.client_program, "list", f"127.0.0.1,{server.port}")
    assert "one" in text and "two" in text, text
    names = json.loads(output(bench.client_program, "list", "--json", server.uri()))
    assert "one" in json.dumps(names) and "two" in json.dumps(names)


@test("a listing over a UNIX socket that its client closes is no news in the log")
def list_unix(bench: Bench) -> None:
    port, path = free_port(), bench.folder / "socket"
    server = bench.start(port, bench.server_program, "--foreground", "--verbose", "--listen", f"127.0.0.1:{port}",
                         "--listen", f"unix:{path}", "--export", f"one={bench.file('one', MIB)}")
    server.wait_for_log("serves 1 export")  # the TCP port may answer before there is the other socket
    # Nothing asked; a LIST of whose reply one byte is read; ABORT, whose acknowledgement meets a closed socket.
    for words, length in ((b"", 0), (option(3), 1), *8 * [(option(2), 0)]):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(60)
            link.connect(str(path))
            receive(link, 18)
            link.sendall(CLIENT_FLAGS + words)
            receive(link, length)
    for _ in range(4):
        output(bench.client_program, "list", f"nbd+unix:///?socket={path}")
    output("nbdinfo", "--size", server.uri("one"))
    assert server.stop() == 0
    assert "handshake ended" not in server.log(), server.log()
    assert "disconnected during the handshake" in server.log(), server.log()


@test("holdfast-client lists the exports of nbd-server, nbdkit and qemu-nbd")
def list_others(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    port = free_port()
    config = bench.file("nbd.conf", content=f"[generic]\nport = {port}\nlistenaddr = 127.0.0.1\nallowlist = true\n"
                                            f"[classic]\nexportname = {disk}\n".encode())
    servers = [("classic", bench.start(port, *nbd_server(config)))]
    port = free_port()
    servers.append(("disk", bench.start(port, "nbdkit", "-f", "-i", "127.0.0.1", "-p", str(port), "file", f"dir={bench.folder}")))
    port = free_port()
    servers.append(("qemu", bench.start(port, "qemu-nbd", "-t", "-f", "raw", "-b", "127.0.0.1", "-p", str(port), "-x", "qemu", disk)))
    for name, server in servers:
        assert name in output(bench.client_program, "list", server.uri()), name


@test("an address where nobody listens is named in the message, and so is a word that is no address")
def nobody(bench: Bench) -> None:
    port = free_port()
    done = output(bench.client_program, "list", f"127.0.0.1,{port}", status=5)
    assert "127.0.0.1" in done and str(port) in done, done
    assert "nbdx://" in output(bench.client_program, "list", "nbdx://nowhere/", status=2)


@test("a file that is checked is called good, or the exit status is 2")
def checked_files(bench: Bench) -> None:
    words = bench.file("words", content=b"quiet splash\n")
    check = (bench.client_program, "boot", "--check", "--cmdline", words)
    assert output(*check, status=3) == ""
    good = bench.file("good.conf", content=b"[nbd0]\nserver = nbd://h/root\n")
    assert output(*check, "--config", good) == f"{good}: good\n"
    bad = bench.file("bad.conf", content=b"[nbd0]\nserver = foo,,,bar\n")
    assert "give each option separately" in output(*check, "--config", bad, status=2)
    missing = bench.folder / "none"
    assert "none" in output(*check, "--config", missing, status=2)
    assert "none" in output(bench.client_program, "devices", missing, status=2)


@test("the completion offers the options of devices, and its files")
def completion(bench: Bench) -> None:
    script = Path(__file__).resolve().parents[2] / "client" / "holdfast-client.bash-completion"
    table = bench.file("table")

    def offered(word: str) -> list[str]:
        return output("bash", "-c", f"source {script}; COMP_WORDS=(holdfast-client devices '{word}'); COMP_CWORD=2; _holdfast_client; "
                      "echo \"${COMPREPLY[@]}\"").split()

    assert offered("--") == ["--check", "--json", "--help"] and offered("-") == offered("--"), offered("--")
    assert offered(f"{bench.folder}/ta") == [str(table)]


@test("import-config shows what it would write, and appends it to the table only on request, all or nothing")
def import_config(bench: Bench) -> None:
    nbdtab = bench.file("nbdtab", content=b"# mine\nnbd1 files.example data swap,persist\nnbd2 10.0.0.1 more port=99\n")
    script = bench.file("nbd-client", content=b"KILLALL=false\nNBD_DEVICE[0]=/dev/nbd3\nNBD_TYPE[0]=f\nNBD_HOST[0]=h\nNBD_PORT[0]=7\n")
    before = [(file, file.read_bytes(), file.stat().st_mtime_ns) for file in (nbdtab, script)]
    lines = ["nbd1  files.example  data", "nbd2  10.0.0.1  more  port=99", "nbd3  nbd://h:7/"]
    table = bench.folder / "etc" / "devices"
    command = (bench.client_program, "import-config", "--nbdtab", nbdtab, "--nbd-client", script, "--devices", table)

    text = output(*command)
    assert [line for line in text.splitlines() if line in lines] == lines, text
    for place in (f"{nbdtab}:2: nbd1: option 'persist': left out", f"{script}:3: /dev/nbd3: NBD_TYPE f", "systemctl disable --now nbd@nbd1.service"):
        assert place in text, f"{place} in:\n{text}"
    assert not table.parent.exists(), "a file was written without --write"

    assert f"{table}: 3 lines appended" in output(*command, "--write")
    assert table.read_text().splitlines() == lines
    assert output(bench.client_program, "devices", table, "--check") == f"{table}: good\n"
    # Once more: nothing new. A line of the administrator's own, with another mode of the file: both are kept.
    table.write_text("# my own\n" + table.read_text().replace(lines[2] + "\n", ""))
    table.chmod(0o640)
    answer = json.loads(output(*command, "--write", "--json").splitlines()[0])  # the other line is on standard error
    assert answer["written"] and [device["entry"] for device in answer["devices"]] == lines, answer
    assert table.read_text().splitlines() == ["# my own", *lines] and table.stat().st_mode & 0o777 == 0o640
    kept = table.stat()
    assert "is there already" in output(*command, "--write")
    assert (table.stat().st_ino, table.stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns), "written without need"

    # Another line for the same device, or a line that is not understood: nothing is written.
    for file, content, message in ((nbdtab, b"nbd2 10.0.0.2 more port=99\nnbd4 h x\n", f"{table}:3: nbd2: differs from {nbdtab}:1"),
                                   (script, b"NBD_HOST[0]=$(hostname)\n", f"{script}:1: NBD_HOST: expansions")):
        whole = file.read_bytes()
        file.write_bytes(content)
        text = output(*command, "--write", status=2)
        assert message in text and "nothing was written" in text, text
        assert ("append the lines below" in text) == ("nbd4  h  x" in text), text
        assert table.stat().st_ino == kept.st_ino
        file.write_bytes(whole)
    assert [whole for _, whole, _ in before] == [file.read_bytes() for file, _, _ in before]
    assert sorted(path.name for path in table.parent.iterdir()) == ["devices"], "a draft is left behind"

    assert "no devices to import" in output(bench.client_program, "import-config", "--nbdtab", bench.file("none"))
    assert "nowhere" in output(bench.client_program, "import-config", "--nbdtab", bench.folder / "nowhere", status=2)


@test("of a list that is too long the client keeps what it has room for, and says what it left out")
def long_list(bench: Bench) -> None:
    count, room = 4000, 8 * MIB
    names = [f"{number:04}".ljust(4096, "x").encode() for number in range(count)]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as link:
                link.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
                replies = [(2, struct.pack(">I", len(name)) + name) for name in names] + [(1, b"")]
                link.sendall(b"".join(struct.pack(">QIII", 0x3e889045565a9, 3, kind, len(data)) + data for kind, data in replies))
                while link.recv(4096):
                    pass

        server = threading.Thread(target=serve)
        server.start()
        done = subprocess.run([bench.client_program, "list", f"nbd://127.0.0.1:{listener.getsockname()[1]}/"], capture_output=True,
                              text=True, timeout=120, check=False)
        server.join()
    kept = room // 4096
    assert done.stdout.count("xxx... (4096 bytes)\n") == kept, len(done.stdout.splitlines())
    assert f"{count - kept} exports left out" in done.stderr and done.returncode == 1, (done.returncode, done.stderr[-300:])
