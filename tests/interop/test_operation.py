"""What an administrator does with a running server: configure it, check it, reload it, stop it."""
import errno
import json
import os
import re
import resource
import signal
import socket
import struct
import threading
from pathlib import Path

import nbd
from bench import MIB, Bench, Server, answers, free_port, opener_of, output, wait_for
from harness.registry import test
from libnbd_link import connect, refused

CLASSIC = """[generic]
port = @PORT@
[root]
exportname = {disk}
port = {own}
authfile = {allow}
listenaddr =
"""


def exports_of(server: Server) -> set[str]:
    listed = json.loads(output("nbdinfo", "--list", "--json", server.uri()))["exports"]
    return {export["export-name"] for export in listed}


@test("the classic configuration serves its export by name, and as the default of its own port")
def classic(bench: Bench) -> None:
    own = free_port()
    allow = bench.file("allow", content=b"# this machine\n127.0.0.1\n")
    server = bench.serve(config=CLASSIC.format(disk=bench.file("disk", MIB), own=own, allow=allow))
    assert output("nbdinfo", "--size", f"nbd://127.0.0.1:{own}/").strip() == str(MIB)
    assert output("nbdinfo", "--size", f"nbd://127.0.0.1:{own}/root").strip() == str(MIB)
    assert output("nbdinfo", "--size", server.uri("root")).strip() == str(MIB)


@test("an authfile lets in whom it names: by address and by network")
def authfile(bench: Bench) -> None:
    disk, own = bench.file("disk", MIB), free_port()
    allow = bench.file("allow", content=b"10.1.2.3\n")
    bench.serve(config=CLASSIC.format(disk=disk, own=own, allow=allow))
    uri = f"nbd://127.0.0.1:{own}/"
    assert refused(uri)
    for entry, good in (("127.0.0.1", True), ("127.0.0.0/8", True), ("127.0.0.2", False), ("127.0.0.1/32", True),
                        ("128.0.0.0/8", False), ("::1", False), ("0.0.0.0/0", True)):
        allow.write_text(f"{entry}\n")
        assert refused(uri) != good, f"with {entry!r} in the authfile"


@test("a configured authfile that is missing or malformed lets nobody in, and the log says so")
def bad_authfile(bench: Bench) -> None:
    disk, own, allow = bench.file("disk", MIB), free_port(), bench.folder / "allow"
    server = bench.serve(config=CLASSIC.format(disk=disk, own=own, allow=allow))
    uri = f"nbd://127.0.0.1:{own}/"
    assert refused(uri)
    server.wait_for_log(str(allow))
    allow.write_text("127.0.0.1\n127.0.0.1/64\n")
    assert refused(uri)
    server.wait_for_log(f"{allow}:2")


@test("--check finds every mistake of a configuration, with file and line")
def check(bench: Bench) -> None:
    config = bench.file("bad.conf", content=b"[generic]\nport = 0x\n[disk]\nexportname = /dev/null\nreadonli = true\n"
                                            b"[other]\nreadonly = maybe\n")
    text = output(bench.server_program, "--check", "--config", config, status=1)
    for place in (f"{config}:2", f"{config}:5", f"{config}:7", "readonly"):
        assert place in text, f"{place} in:\n{text}"
    good = bench.file("good.conf", content=f"[generic]\n[disk]\nexportname = {bench.file('disk', MIB)}\n".encode())
    output(bench.server_program, "--check", "--config", good)


@test("the example of server.conf is good as it is, and with every default written out")
def example(bench: Bench) -> None:
    text = (Path(__file__).resolve().parents[2] / "examples/server.conf").read_text()
    defaults = re.sub(r"^#(?=\w+ = (?!/etc|192)|\[)", "", text, flags=re.MULTILINE)
    assert defaults.count("\n#") < text.count("\n#")
    exports = 2
    for number, (each, more) in enumerate(((text, 0), (defaults, text.count("\n#[")))):
        file = bench.file(f"example-{number}.conf", content=each.encode())
        said = output(bench.server_program, "--config", file, "--check")
        assert f"no errors: {exports + more} exports" in said and "error: " not in said, said


@test("--check finds the mistakes of all files at once: includedir, authfiles, paths, ports twice, an unknown user")
def check_all_files(bench: Bench) -> None:
    include = bench.folder / "conf.d"
    include.mkdir()
    allow = bench.file("allow", content=b"127.0.0.1\n127.0.0.1/64, nobody\n")
    disk = bench.file("disk", MIB)
    one = bench.file("conf.d/one.conf", content=f"[one]\nexportname = {disk}\nport = 12345\nauthfile = {allow}\n"
                                                 "[generic]\n".encode())
    two = bench.file("conf.d/two.conf", content=f"[two]\nexportname = disk\nstalltimeout = never\n[one]\nexportname = {disk}\n"
                                                f"[three]\nexportname = {disk}\nport = 12345\nreadonly\n".encode())
    main = bench.file("bad.conf", content=f"[generic]\nincludedir = {include}\nuser = nobody-of-this-name\nmaxperaddres = 3\n"
                                          f"statussocket = here\n[late]\nexportname = {bench.folder}/late\n".encode())
    text = output(bench.server_program, "--check", "--config", main, status=1)
    for place in (f"{main}:4: error: maxperaddres: unknown key; did you mean maxperaddress?", f"{main}:5: error: statussocket",
                  f"{main}:3: error: user", f"{one}:5: error: ", f"{two}:2: error: exportname", f"{two}:3: error: stalltimeout",
                  f"{two}:4: error: [one]: duplicate section", f"{two}:6: error: [three]: port 12345", f"{two}:9: error: ",
                  f"{allow}:2: error: \"127.0.0.1/64\"", f"{allow}:2: error: \"nobody\"",
                  f"{main}:6: warning: [late]: {bench.folder}/late"):
        assert place in text, f"{place} in:\n{text}"
    for key in ("user", "group"):
        config = bench.file("who.conf", content=f"[generic]\n{key} = nobody-of-this-name\n[one]\nexportname = {disk}\n".encode())
        assert f"{config}:2: error: {key} = " in output(bench.server_program, "--check", "--config", config, status=1)
        assert f"{config}:2: {key} = " in output(bench.server_program, "--foreground", "--config", config, status=1)
    empty = bench.file("empty.conf")
    assert f"{empty}: error: no export defined" in output(bench.server_program, "--check", "--config", empty, status=1)
    # Only the list of clients is wrong: the server would start, and let nobody in.
    good = bench.file("good.conf", content=f"[one]\nexportname = {disk}\nauthfile = {allow}\n".encode())
    assert "refuse all clients" in output(bench.server_program, "--check", "--config", good, status=4)


@test("a key of nbd-server that does nothing here is named in a warning with its line")
def classic_key(bench: Bench) -> None:
    config = bench.file("a.conf", content=f"[generic]\n[disk]\nexportname = {bench.file('disk', MIB)}\nsplice = true\n".encode())
    assert f"{config}:4" in output(bench.server_program, "--check", "--config", config)


@test("a missing configuration, a port in use and a wrong option end with a message that names them")
def cannot_start(bench: Bench) -> None:
    assert "/nowhere/x.conf" in output(bench.server_program, "--foreground", "--config", "/nowhere/x.conf", status=1)
    disk = bench.file("disk", MIB)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = output(bench.server_program, "--foreground", "--listen", f"127.0.0.1:{port}", "--export", f"d={disk}", status=1)
        assert str(port) in text, text
    assert "--frobnicate" in output(bench.server_program, "--frobnicate", status=2)
    for words in (("--listen", "127.0.0.1", "--export", f"d={disk}"), ("--export", "a"), ("--export", "a=a.img")):
        text = output(bench.server_program, "--foreground", *words, status=2)
        assert "1 error; not started" in text and words[1] in text, text
        assert "1 error; holdfast-server would not start" in output(bench.server_program, "--check", *words, status=2)


@test("a word after the path of --export that is not readonly is part of the path, and a warning says so")
def comma(bench: Bench) -> None:
    disk = bench.file("a.img", MIB)
    clue = f"{disk} exists, but everything after it except \",readonly\" is part of the path"
    server = bench.serve(f"a={disk},ro")
    server.wait_for_log(clue)
    text = output(bench.server_program, "--check", "--export", f"a={disk},ro", "--export", f"b={disk}2,ro")
    assert text.count("is part of the path") == 1, text
    assert "part of" not in output(bench.server_program, "--check", "--export", f"a={disk},readonly")


@test("a section [Generic], and status by a socket for NBD clients, are answered with what was meant")
def meant(bench: Bench) -> None:
    config = bench.file("capital.conf", content=f"[Generic]\nallowlist = true\n[disk]\nexportname = {bench.file('disk', MIB)}\n".encode())
    text = output(bench.server_program, "--check", "--config", config, status=1)
    assert f"{config}:1: error: [Generic]: missing exportname; did you mean [generic]?" in text, text
    sock = bench.folder / "nbd"
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nunixsock = {sock}\nduallisten = true\n[disk]\nexportname = {bench.folder}/disk\n")
    said = output(bench.server_program, "status", "--socket", sock, status=1)
    assert "NBD clients connect to this socket; name the statussocket" in said, said
    server.stop()


@test("--help and --version answer on standard output and succeed")
def help_texts(bench: Bench) -> None:
    for program in (bench.server_program, bench.client_program):
        assert program.name in output(program, "--help")
        assert "0.1.0" in output(program, "--version")


@test("SIGHUP takes a new configuration, and connections live on")
def reload(bench: Bench) -> None:
    first, second = bench.file("first", MIB), bench.file("second", 2 * MIB)
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n[first]\nexportname = {first}\n")
    handle = connect(server.uri("first"))
    config = bench.folder / "server.conf"
    config.write_text(config.read_text().replace("[first]", "[second]").replace(str(first), str(second)))
    server.signal(signal.SIGHUP)
    wait_for(lambda: not refused(server.uri("second")), "the new export")
    assert refused(server.uri("first"))
    handle.pwrite(b"still here", 0)
    assert handle.pread(10, 0) == b"still here"


@test("an export whose disk is another after a reload is refused until the connections to the old one have ended")
def other_disk(bench: Bench) -> None:
    first, second = bench.random_file("first", MIB), bench.random_file("second", MIB)
    image, next_image = bench.random_file("image", MIB), bench.random_file("next", MIB)
    sock = bench.folder / "status"
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nstatussocket = {sock}\n"
                                f"[disk]\nexportname = {first}\n[golden]\nexportname = {image}\nreadonly = true\n")
    handle, reader = connect(server.uri("disk")), connect(server.uri("golden"))
    config = bench.folder / "server.conf"
    config.write_text(config.read_text().replace(str(first), str(second)).replace(str(image), str(next_image)))
    server.signal(signal.SIGHUP)
    server.wait_for_log(f"export disk: 1 connection still uses {first}")
    server.wait_for_log("configuration reloaded")
    assert refused(server.uri("disk"))
    server.wait_for_log(f"{second} is not the disk that was exported before; 1 connection still uses the old one ({first})")
    assert f"waiting for 1 connection that still uses {first}" in output(bench.server_program, "status", "--socket", sock)
    # Of read-only disks, who has the old one is not given the new one beside it, and others are.
    assert refused(server.uri("golden"))
    with socket.socket() as other:
        other.settimeout(60)
        other.bind(("127.0.0.2", 0))
        other.connect(("127.0.0.1", server.port))
        other.sendall(struct.pack(">IQII", 3, 0x49484156454F5054, 1, 6) + b"golden" + struct.pack(">IHHQQI", 0x25609513, 0, 0, 1, 0, 512))
        got = b""
        while len(got) < 18 + 10 + 16 + 512:
            more = other.recv(4096)
            assert more, got
            got += more
        assert got[-512:] == next_image.read_bytes()[:512]
    handle.pwrite(b"to the old disk", 0)
    handle.shutdown()
    reader.shutdown()
    wait_for(lambda: not refused(server.uri("disk")), "the old connection to be gone")
    fresh = connect(server.uri("disk"))
    assert fresh.pread(MIB, 0) == second.read_bytes()
    assert first.read_bytes()[:15] == b"to the old disk"


@test("a mistake in a file of the includedir keeps its exports away and no other, unless the configuration is strict")
def skipped_file(bench: Bench) -> None:
    (bench.folder / "more").mkdir()
    bench.file("more/good.conf", content=f"[good]\nexportname = {bench.file('disk', MIB)}\n".encode())
    bad = bench.file("more/bad.conf", content=f"[bad]\nexportname = {bench.folder}/disk\nreadonli = true\n".encode())
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nincludedir = {bench.folder}/more\n"
                                f"[large]\nexportname = {bench.folder}/disk\nfilesize = {2 * MIB}\n")
    assert not refused(server.uri("good")) and refused(server.uri("bad"))
    server.wait_for_log(f"{bad}:3: readonli: unknown key")
    server.wait_for_log(f"{bad}: skipped; its exports are not served until it is fixed")
    server.wait_for_log(f"{bench.folder}/disk has {MIB} bytes, less than filesize = {2 * MIB}")
    config = bench.folder / "server.conf"
    assert "would start without these files" in output(bench.server_program, "--check", "--config", config, status=5)
    # A reload leaves all as it was.
    server.signal(signal.SIGHUP)
    server.wait_for_log("the old one stays in effect")
    assert not refused(server.uri("good"))
    config.write_text(config.read_text().replace("[large]", "strict = true\n[large]"))
    assert "would not start" in output(bench.server_program, "--check", "--config", config, status=1)
    output(bench.server_program, "--foreground", "--config", config, status=1)


@test("a bad new configuration is reported, and the old one stays")
def bad_reload(bench: Bench) -> None:
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n[disk]\nexportname = {bench.file('disk', MIB)}\n")
    config = bench.folder / "server.conf"
    config.write_text(config.read_text() + "nonsense = 1\n")
    server.signal(signal.SIGHUP)
    server.wait_for_log(f"{config}:6")
    assert not refused(server.uri("disk"))


@test("a reload of which the opener cannot be told leaves both processes with the old configuration")
def untold_reload(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\nallowlist = true\n"
                                f"[first]\nexportname = {disk}\n")
    config = bench.folder / "server.conf"
    config.write_text(config.read_text().replace("[first]", "[second]"))
    pid = server.process.pid
    opener = opener_of(server)
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def sockets() -> set[str]:
        return {name for file in Path(f"/proc/{pid}/fd").iterdir() if (name := os.readlink(file)).startswith("socket:")}

    os.kill(opener, signal.SIGSTOP)
    try:
        before = sockets()
        server.signal(signal.SIGHUP)
        wait_for(lambda: bool(sockets() - before), "the request for the files")
        # No descriptor is left for the request that follows, commit.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    finally:
        os.kill(opener, signal.SIGCONT)
    server.wait_for_log("the reload failed; the old configuration stays in effect")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert "configuration reloaded" not in server.log()
    assert exports_of(server) == {"first"} and not refused(server.uri("first"))
    server.signal(signal.SIGHUP)
    server.wait_for_log("configuration reloaded")
    assert exports_of(server) == {"second"} and not refused(server.uri("second"))


@test("SIGTERM under load finishes what is in flight, answers nothing with an error, and leaves")
def stop_under_load(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', 64 * MIB)}")
    handle = connect(server.uri("disk"))
    errors: list[nbd.Error] = []
    answered: list[int] = []
    started = threading.Event()

    def load() -> None:
        try:
            for i in range(100_000):
                handle.pwrite(i.to_bytes(8, "big") * 512, i % 16_000 * 4096)
                answered.append(i)
                started.set()
        except nbd.Error as error:
            errors.append(error)

    loader = threading.Thread(target=load)
    loader.start()
    assert started.wait(60)
    assert server.stop() == 0
    loader.join(60)
    # To the client this is an outage: the link is gone, and no request was answered with an error.
    assert errors and not loader.is_alive()
    assert errors[0].errnum not in (errno.ESHUTDOWN, errno.EIO), errors
    content = (bench.folder / "disk").read_bytes()
    for i in answered:
        at = i % 16_000 * 4096  # a later write to the same place has a larger number
        assert int.from_bytes(content[at:at + 8], "big") >= i, f"write {i} was answered and is not there"


@test("a second server may not write to a file that the first one serves")
def exclusive(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    first, second = bench.serve(f"disk={disk}"), bench.serve(f"disk={disk}")
    handle = connect(first.uri("disk"))
    assert refused(second.uri("disk"))
    second.wait_for_log(str(disk))
    handle.shutdown()
    first.stop()
    assert not refused(second.uri("disk"))


@test("a file that is not there is refused with its name, and served as soon as it is there")
def late_file(bench: Bench) -> None:
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n[disk]\nexportname = {bench.folder}/late\n")
    assert refused(server.uri("disk"))
    server.wait_for_log(f"{bench.folder}/late")
    bench.file("late", MIB)
    assert not refused(server.uri("disk"))


@test("maxconnections holds for an export, and a place is free again when a client leaves")
def max_connections(bench: Bench) -> None:
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n[disk]\nexportname = {bench.file('disk', MIB)}\nmaxconnections = 2\n")
    one, two = connect(server.uri("disk")), connect(server.uri("disk"))
    assert refused(server.uri("disk"))
    two.shutdown()
    wait_for(lambda: not refused(server.uri("disk")), "a free place")
    one.shutdown()


@test("the server listens on IPv6 where it is asked to")
def ipv6(bench: Bench) -> None:
    port = free_port()
    disk = bench.file("disk", MIB)
    bench.start(port, bench.server_program, "--foreground", "--listen", f"[::1]:{port}", "--listen", f"127.0.0.1:{port}",
                "--export", f"disk={disk}")
    assert answers(port)
    assert output("nbdinfo", "--size", f"nbd://[::1]:{port}/disk").strip() == str(MIB)
