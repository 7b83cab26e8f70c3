"""What holdfast-client does without a kernel device: it lists exports, ours and those of others, and says what is wrong."""
import json

import socket
import struct
import subprocess
import threading

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
