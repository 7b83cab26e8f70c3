"""The session option against the server, byte by byte: what an older connection still holds must never reach the disk after
the newer one has been let in, wherever it is held."""
import os
import re
import signal
import socket
import struct
import uuid
from pathlib import Path

from bench import MIB, Bench, Server, free_port, memory, output, serves, wait_for
from harness.registry import test
from nbd_wire import (ACK, BOOT, CLIENT_FLAGS, FIRST, FUA, GREETING, HOST, INVALID, MINE, NEW, OLD, OTHER_BOOT, POLICY, SECOND,
                      SESSION, UNKNOWN, answer, claim, dial, ended, enter, entered, go, hosting, option, read, receive,
                      refused, reply, write, wrote)

def slow(bench: Bench, disk: Path, seconds: int) -> Server:
    """Our server on a disk where the first write of every connection takes so long."""
    port = free_port()
    # -D: the server is our child, and the tracer its own. Leaks cannot be looked for under a tracer.
    return bench.start(port, "strace", "-D", "-f", "-q", "-o", bench.folder / "trace", "-E", "ASAN_OPTIONS=detect_leaks=0",
                       "-e", "trace=pwritev2", "-e", f"inject=pwritev2:delay_enter={seconds}000000:when=1",
                       bench.server_program, "--foreground", "--listen", f"127.0.0.1:{port}", "--export", f"disk={disk}")


def wait_until_with_disk(server: Server) -> None:
    """Until a thread of the server is in pwritev2."""
    def inside() -> bool:
        for task in Path(f"/proc/{server.process.pid}/task").iterdir():
            try:
                if (task / "syscall").read_text().split()[0] == "328":
                    return True
            except OSError:
                pass  # the thread has ended
        return False
    assert os.uname().machine == "x86_64", "another number of pwritev2 is wanted here"
    wait_for(inside, "a write to be with the disk")


def in_order(log: str, *texts: str) -> None:
    places = [log.find(text) for text in texts]
    assert -1 not in places and places == sorted(places), f"{texts} at {places} in:\n{log}"


# --- what an old connection may hold back ---

def overwritten_while_half_received(server: Server, with_session: bool, length: int, sent: int) -> bytes:
    """A write of which the old connection has sent a part; the client comes again and writes something newer; then the rest
    of the old write arrives. What the disk holds then."""
    with enter(server, 1 if with_session else None) as old:
        old.sendall(write(1, 0, length) + OLD * sent)
        with enter(server, 2 if with_session else None) as new:
            new.sendall(write(2, 0, length) + NEW * length)
            assert wrote(new, 2)
            try:
                old.sendall(OLD * (length - sent))
            except OSError:
                pass  # the server has closed it: all the better
            # The old write is done, or it never will be. Who fences nobody answers it.
            assert ended(old) if with_session else wrote(old, 1)
            return read(new, 0, length)


@test("session: a write that was half received when its successor came does not overwrite it")
def half_received(bench: Bench) -> None:
    for length, sent in ((65536, 32768), (4096, 0), (512, 511), (4 * MIB, 3 * MIB)):
        server = bench.serve(f"disk={bench.file(f'disk-{length}', 8 * MIB)}")
        assert overwritten_while_half_received(server, True, length, sent) == NEW * length, (length, sent)


@test("session: the same half write does overwrite its successor where nobody fences, also with other servers")
def half_received_unfenced(bench: Bench) -> None:
    disks = [bench.file(name, 8 * MIB) for name in ("ours", "nbdkit", "qemu")]
    port, other_port = free_port(), free_port()
    for server in (bench.serve(f"disk={disks[0]}"),
                   bench.start(port, "nbdkit", "-f", "-i", "127.0.0.1", "-p", str(port), "file", disks[1]),
                   bench.start(other_port, "qemu-nbd", "-t", "-e", "0", "-f", "raw", "-b", "127.0.0.1", "-p", str(other_port),
                               "-x", "disk", disks[2])):
        for length, sent in ((65536, 32768), (4 * MIB, 3 * MIB)):
            held = overwritten_while_half_received(server, False, length, sent)
            assert OLD in held, f"{server.process.args}: the corruption that this test is to see did not show"


@test("session: writes that nobody has read yet are thrown away when their successor comes")
def unread(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    blocks = MIB // 4096
    with enter(server, 1) as old, socket.create_connection(("127.0.0.1", server.port), timeout=60) as new:
        assert receive(new, GREETING)
        server.signal(signal.SIGSTOP)
        old.setblocking(False)
        try:
            for cookie in range(100_000):
                old.sendall(write(cookie, cookie % blocks * 4096, 4096, FUA) + OLD * 4096)
        except BlockingIOError:
            pass  # as many as fit
        old.settimeout(60)
        new.sendall(CLIENT_FLAGS + claim(2))
        server.signal(signal.SIGCONT)
        answer(new)
        new.sendall(go(b"disk") + write(7, 0, MIB) + NEW * MIB)
        entered(new)
        assert wrote(new, 7)
        assert ended(old)
        server.wait_for_log("closed: fenced")
        assert read(new, 0, MIB) == NEW * MIB
    thrown = re.search(r"export disk: 127\.0\.0\.1:\d+ fenced: 127\.0\.0\.1:\d+ replaces it in its session, generation 2 after 1; .*"
                       r" discarded (\d+) bytes of unread requests", server.log())
    assert thrown and int(thrown[1]) > 0, server.log()
    assert server.log().count(" fenced: ") == 1


@test("session: a write that is with the disk is awaited, and what follows it is not done")
def with_disk(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    server = slow(bench, disk, 3)
    with enter(server, 1) as old:
        old.sendall(write(1, 0, 4096) + OLD * 4096 + write(2, 8192, 4096) + OLD * 4096)
        wait_until_with_disk(server)
        with dial(server) as new:
            new.sendall(CLIENT_FLAGS + claim(2))
            answer(new)
            # It is done by now, or it could still come.
            assert disk.read_bytes()[:4096] == OLD * 4096
            assert disk.read_bytes()[4096:] == bytes(MIB - 4096)
            new.sendall(go(b"disk") + write(3, 0, 4096) + NEW * 4096)
            entered(new)
            assert wrote(new, 3)
            assert ended(old)
            server.wait_for_log("closed: fenced")
            assert read(new, 0, MIB) == NEW * 4096 + bytes(MIB - 4096)


@test("session: a connection that has claimed and not yet entered is fenced, too")
def claimed_only(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    with dial(server) as old:
        old.sendall(CLIENT_FLAGS + claim(1))
        answer(old)
        with enter(server, 2) as new:
            new.sendall(write(1, 0, 4096) + NEW * 4096)
            assert wrote(new, 1)
            try:
                old.sendall(go(b"disk") + write(1, 0, 4096) + OLD * 4096)
            except OSError:
                pass
            assert ended(old)
            assert read(new, 0, 4096) == NEW * 4096
    # Its GO is on the way already when the newer one comes.
    with dial(server) as old, dial(server) as new:
        old.sendall(CLIENT_FLAGS + claim(3))
        answer(old)
        new.sendall(CLIENT_FLAGS)
        server.signal(signal.SIGSTOP)
        old.sendall(go(b"disk") + (write(1, 0, 4096) + OLD * 4096) * 20)
        new.sendall(claim(4))
        server.signal(signal.SIGCONT)
        answer(new)
        new.sendall(go(b"disk") + write(5, 0, 4096) + NEW * 4096)
        entered(new)
        assert wrote(new, 5)
        assert ended(old)
        assert read(new, 0, 4096) == NEW * 4096


# --- who may take whose place ---

@test("session: a generation that is not higher is refused, and remembered when its connection has gone")
def not_higher(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    with enter(server, 5) as link:
        assert refused(server, 5) == POLICY
        assert refused(server, 4) == POLICY
        assert refused(server, 0) == POLICY
        link.sendall(write(1, 0, 4096) + NEW * 4096)
        assert wrote(link, 1), "a claim that was refused has fenced"
    server.wait_for_log("closed")
    assert refused(server, 5) == POLICY
    enter(server, 6).close()
    server.signal(signal.SIGHUP)
    assert refused(server, 6) == POLICY
    wait_for(lambda: server.log().count("closed:") == 2, "the server to let go")
    enter(server, 0xFFFFFFFF).close()
    assert " fenced: " not in server.log()


@test("session: other slots, sessions and exports are left alone")
def others(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}", f"other={bench.file('other', MIB)}")
    links = [enter(server, 9), enter(server, 9, slot=1), enter(server, 9, session=bytes(16)), enter(server, 9, name=b"other"),
             enter(server, None)]
    enter(server, 10).close()
    assert ended(links[0])
    for link in links[1:]:
        link.sendall(write(1, 0, 512) + NEW * 512)
        assert wrote(link, 1)
        link.close()


@test("session: a connection that enters another export than it claimed belongs to no session")
def another_export(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}", f"other={bench.file('other', MIB)}")
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + claim(1) + go(b"other"))
        answer(link)
        entered(link)
        enter(server, 2).close()
        link.sendall(write(1, 0, 512) + NEW * 512)
        assert wrote(link, 1)


@test("session: the default export and its name are one, and EXPORT_NAME belongs to the session as GO does")
def default_export(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + claim(1, b"") + option(1, b"disk"))
        answer(link)
        assert len(receive(link, 10)) == 10
        enter(server, 2).close()
        assert ended(link)
    server.wait_for_log("closed: fenced")


@test("session: maxconnections does not keep the successor out")
def maxconnections(bench: Bench) -> None:
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n[disk]\nmaxconnections = 1\n"
                                f"exportname = {bench.file('disk', MIB)}\n")
    links = [enter(server, 1)]
    for generation in range(2, 50):
        links.append(enter(server, generation))
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + go(b"disk"))
        assert reply(link)[0] == POLICY
    for link in links:
        link.close()


# --- waiting ---

@test("session: a claim that waits ends with its client, and a stop of the server does not wait for it")
def waiting_claim(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    server = slow(bench, disk, 5)
    gave_up = "abandoned while an older connection of its session was busy with the disk"
    with enter(server, 1) as old:
        old.sendall(write(1, 0, 4096) + OLD * 4096)
        wait_until_with_disk(server)
        with dial(server) as new:
            new.sendall(CLIENT_FLAGS + claim(2))
            assert ended(old)
        server.wait_for_log(gave_up)
        with dial(server) as new:  # the fence stands no less for that
            new.sendall(CLIENT_FLAGS + claim(3))
            answer(new)
            assert disk.read_bytes()[:4096] == OLD * 4096
    in_order(server.log(), gave_up, "closed: fenced")
    assert server.stop() == 0

    server = slow(bench, disk, 5)
    with enter(server, 1) as old:
        old.sendall(write(1, 0, 4096) + NEW * 4096)
        wait_until_with_disk(server)
        with dial(server) as new:
            new.sendall(CLIENT_FLAGS + claim(2))
            assert ended(old)
            assert server.stop() == 0
            assert ended(new)
    in_order(server.log(), gave_up, "closed: fenced", "stopped")
    assert disk.read_bytes()[:4096] == NEW * 4096


@test("session: of two claims that wait, the older gives way")
def two_waiting(bench: Bench) -> None:
    server = slow(bench, bench.file("disk", MIB), 5)
    with enter(server, 1) as first:
        first.sendall(write(1, 0, 4096) + OLD * 4096)
        wait_until_with_disk(server)
        with dial(server) as second, dial(server) as third:
            second.sendall(CLIENT_FLAGS + claim(2) + go(b"disk"))
            assert ended(first)
            third.sendall(CLIENT_FLAGS + claim(3))
            assert ended(second)
            answer(third)
    in_order(server.log(), "refused: a newer connection of its session or machine arrived", "closed: fenced")


@test("session: who waits longer than the handshake may take is refused, and the disk's answer still counts")
def late(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    server = slow(bench, disk, 14)
    with enter(server, 1) as old:
        old.sendall(write(1, 0, 4096) + OLD * 4096)
        wait_until_with_disk(server)
        with dial(server) as new:
            new.sendall(CLIENT_FLAGS + claim(2))
            assert reply(new)[0] in (POLICY, 0)
            assert ended(new)
        with dial(server) as new:
            new.sendall(CLIENT_FLAGS + claim(3))
            answer(new)
            assert disk.read_bytes()[:4096] == OLD * 4096
    in_order(server.log(), "is still busy with the disk", "closed: fenced")


# --- a host's older attachments ---

def attach(server: Server, attachment: int, session: bytes, boot: bytes = BOOT, generation: int = 1, name: bytes = b"disk",
           link: socket.socket | None = None) -> socket.socket:
    """Into transmission as an attachment of a host, whose older ones are fenced then."""
    link = link or dial(server)
    link.sendall(CLIENT_FLAGS + hosting(attachment, boot) + claim(generation, name, session))
    assert reply(link) == (ACK, b"")
    kind, data = reply(link)
    assert kind == SESSION, f"{kind:#x}: {data!r}"
    kind, data = reply(link)
    assert (kind, len(data)) == (HOST, 4) and data[3] & 1, f"{kind:#x}: {data!r}"
    assert reply(link) == (ACK, b"")
    link.sendall(go(name))
    entered(link)
    return link


def turned_away(server: Server, attachment: int, session: bytes, boot: bytes = BOOT, generation: int = 1) -> str:
    """The reason why this attachment may not be."""
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + hosting(attachment, boot) + claim(generation, b"disk", session))
        assert reply(link) == (ACK, b"")
        kind, data = reply(link)
        assert kind == POLICY, f"{kind:#x}: {data!r}"
        link.sendall(go(b"disk"))
        assert reply(link)[0] & 0x80000000, "GO was taken although the session was refused"
        return data.decode()


@test("host: writes of an attachment that was given up are not done once the next attachment is there")
def given_up(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}", f"same={bench.folder / 'disk'}")
    blocks = MIB // 4096
    old = attach(server, 5, FIRST)
    new = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    assert receive(new, GREETING)
    server.signal(signal.SIGSTOP)  # it hangs
    old.setblocking(False)
    try:
        for cookie in range(100_000):
            old.sendall(write(cookie, cookie % blocks * 4096, 4096, FUA) + OLD * 4096)
    except BlockingIOError:
        pass  # as many as fit
    new.sendall(CLIENT_FLAGS + hosting(6) + claim(1, b"same", SECOND) + go(b"same") + write(7, 0, MIB) + NEW * MIB)
    server.signal(signal.SIGCONT)
    with old, new:
        assert [reply(new)[0] for _ in range(4)] == [ACK, SESSION, HOST, ACK]
        entered(new)
        assert wrote(new, 7)
        old.settimeout(60)
        assert ended(old)
        server.wait_for_log("closed: fenced")
        assert read(new, 0, MIB) == NEW * MIB
        assert "newer attachment of its machine" in server.log()
        # The given up one comes again, as a handshake that a hung server takes up late.
        assert "attached the device again" in turned_away(server, 5, os.urandom(16))
        assert "superseded" in turned_away(server, 5, FIRST, generation=9)
        assert read(new, 0, MIB) == NEW * MIB


@test("host: a write of the attachment before that is with the disk is awaited")
def given_up_with_disk(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    server = slow(bench, disk, 3)
    with attach(server, 5, FIRST) as old:
        old.sendall(write(1, 0, 4096) + OLD * 4096 + write(2, 8192, 4096) + OLD * 4096)
        wait_until_with_disk(server)
        with attach(server, 6, SECOND) as new:
            assert disk.read_bytes() == OLD * 4096 + bytes(MIB - 4096)
            new.sendall(write(3, 0, 4096) + NEW * 4096)
            assert wrote(new, 3)
            assert ended(old)
            server.wait_for_log("closed: fenced")
            assert read(new, 0, 8192) == NEW * 4096 + bytes(4096)


@test("host: a machine that was reset fences its earlier boot, whose connection its kernel resets")
def reset_client(bench: Bench) -> None:
    server = slow(bench, bench.file("disk", MIB), 3)
    old = attach(server, 5, FIRST)
    old.sendall(write(1, 0, 4096) + OLD * 4096)
    wait_until_with_disk(server)
    old.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    old.close()  # as the kernel of the new boot does when it is asked
    with attach(server, 1, SECOND, boot=OTHER_BOOT) as new:
        new.sendall(write(3, 0, 4096) + NEW * 4096)
        assert wrote(new, 3)
        server.wait_for_log("closed: ")
        assert read(new, 0, 4096) == NEW * 4096
        assert "superseded" in turned_away(server, 9, os.urandom(16))


@test("host: a second live machine of the same identity is refused, and the first one goes on")
def clone(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    with attach(server, 5, FIRST) as first:
        for generation in (1, 2):
            said = turned_away(server, 1, SECOND, OTHER_BOOT, generation)
            assert "another machine with the same host identity" in said and "machine-id" in said, said
            first.sendall(write(1, 0, 4096) + NEW * 4096)
            assert wrote(first, 1)
        assert "refused: another machine with the same host identity" in server.log()
        with attach(server, 5, FIRST, generation=2) as again:  # it reconnects as ever
            assert ended(first)
            again.sendall(write(1, 0, 4096) + NEW * 4096)
            assert wrote(again, 1)
    server.wait_for_log("closed")
    attach(server, 1, SECOND, OTHER_BOOT, generation=3).close()


@test("host: readers of one export neither fence nor are fenced")
def readers(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)},readonly")
    links = []
    for attachment, boot in ((5, BOOT), (6, BOOT), (1, OTHER_BOOT), (4, BOOT)):
        link = dial(server)
        link.sendall(CLIENT_FLAGS + hosting(attachment, boot) + claim(1, b"disk", os.urandom(16)) + go(b"disk"))
        assert reply(link) == (ACK, b"")
        assert reply(link)[0] == SESSION
        kind, data = reply(link)
        assert kind == HOST and not data[3] & 1, f"{kind:#x}: {data!r}"
        assert reply(link) == (ACK, b"")
        entered(link)
        links.append(link)
    for link in links:
        assert read(link, 0, 4096) == bytes(4096)
        link.close()
    assert " fenced: " not in server.log()


# --- clients that mean no good ---

@test("session: malformed, repeated and countless sessions do no harm")
def hostile(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    link = enter(server, 7)
    with dial(server) as bad:
        bad.sendall(CLIENT_FLAGS)
        for data in (b"", bytes(23), MINE + bytes(8) + b"di\0sk", MINE + bytes(8) + b"n" * 4097, bytes(1 << 20)):
            bad.sendall(option(SESSION, data))
            assert reply(bad)[0] == INVALID, data[:50]
    for data, kind in ((b"n" * 4096, UNKNOWN), (b"nothere", UNKNOWN)):
        with dial(server) as bad:
            bad.sendall(CLIENT_FLAGS + claim(1, data))
            assert reply(bad)[0] == kind
    with dial(server) as bad:
        bad.sendall(CLIENT_FLAGS + claim(1, session=bytes(16)))
        answer(bad)
        bad.sendall(claim(2, session=bytes(16)))
        assert reply(bad)[0] == INVALID
    for _ in range(50):  # what the first ones need is there now
        enter(server, 1, session=os.urandom(16)).close()
    before = memory(server)
    for _ in range(2000):
        with dial(server) as bad:
            bad.sendall(CLIENT_FLAGS + claim(1, session=os.urandom(16), slot=5))
            answer(bad)
    grown = memory(server) - before
    # The address sanitizer keeps what is freed, for a while, to see it used.
    assert grown < 32 * MIB or "address" in bench.build.name, f"grew by {grown / MIB:.0f} MiB"
    assert refused(server, 7) == POLICY, "a session with a connection was forgotten"
    link.sendall(write(1, 0, 512) + NEW * 512)
    assert wrote(link, 1)
    serves(server)


@test("session: who may not use an export makes no claim on it")
def no_access(bench: Bench) -> None:
    allow = bench.file("allow", content=b"127.0.0.1\n")
    server = bench.serve(config=f"[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n[disk]\nauthfile = {allow}\n"
                                f"exportname = {bench.file('disk', MIB)}\n[other]\nexportname = {bench.file('other', MIB)}\n")
    with enter(server, 1) as link:
        allow.write_text("10.0.0.1\n")
        assert refused(server, 2) == UNKNOWN  # as if there were no such export
        link.sendall(write(1, 0, 512) + NEW * 512)
        assert wrote(link, 1)


# --- who the disk is ---

def identities(server: Server, name: bytes = b"disk", source: str = "127.0.0.1") -> tuple[bytes, str]:
    with socket.create_connection(("127.0.0.1", server.port), 60, (source, 0)) as link:
        receive(link, GREETING)
        link.sendall(CLIENT_FLAGS + claim(1, name, os.urandom(16)))
        return answer(link)


@test("session: the boot identity is the machine's, the export's stays with the disk and changes with it")
def identity(bench: Bench) -> None:
    disk = bench.file("disk", MIB)
    boot_id = uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
    server = bench.serve(f"disk={disk}", f"again={disk}", f"readonly={disk},readonly")
    boot, first = identities(server)
    assert boot == boot_id and first.startswith("file:"), first
    assert {identities(server, name)[1] for name in (b"disk", b"again", b"readonly")} == {first}
    with enter(server, 1) as link:
        link.sendall(write(1, 0, 512) + NEW * 512)
        assert wrote(link, 1)
    os.truncate(disk, 2 * MIB)  # written to, and grown: the same disk
    assert identities(server) == (boot, first)
    assert server.stop() == 0
    server = bench.serve(f"disk={disk}")
    assert identities(server) == (boot, first)
    os.replace(bench.file("replacement", 2 * MIB), disk)
    second = identities(server)[1]
    assert second != first
    disk.unlink()
    bench.file("disk", 2 * MIB)  # the inode may be used again
    assert identities(server)[1] not in (first, second)
    disk.unlink()
    with dial(server) as link:
        link.sendall(CLIENT_FLAGS + claim(1))
        assert reply(link)[0] == UNKNOWN


@test("session: an identity that the configuration gives counts, and every client of a virtual export has its own")
def configured_identity(bench: Bench) -> None:
    head = "[generic]\nport = @PORT@\nlistenaddr = 127.0.0.1\n"
    for address in ("127.0.0.1", "127.0.0.2"):
        bench.file(address, MIB)
    server = bench.serve(config=f"{head}[disk]\nidentity = root of host 7\nexportname = {bench.file('disk', MIB)}\n"
                                f"[each]\nexportname = {bench.folder}/%s\n")
    assert identities(server)[1] == "root of host 7"
    mine, other = identities(server, b"each"), identities(server, b"each", "127.0.0.2")
    assert mine != other and mine == identities(server, b"each")
    config = bench.folder / "server.conf"
    assert "[disk]: root of host 7" in output(bench.server_program, "--check", "--config", config)
    assert mine[1] not in output(bench.server_program, "--check", "--config", config)
    for wrong in ("identity = \\n", f"identity = {'x' * 256}", "identity = scheibe-\xe4"):
        config.write_text(f"[disk]\nexportname = /dev/null\n{wrong}\n")
        assert f"{config}:3: error: identity" in output(bench.server_program, "--check", "--config", config, status=1)
    config.write_text("[disk]\nexportname = /srv/%s\nidentity = one\n")
    assert f"{config}:3: error: identity" in output(bench.server_program, "--check", "--config", config, status=1)


@test("host: a server says which exports lose no acknowledged write with its machine")
def stable_writes(bench: Bench) -> None:
    server = bench.serve(config="\n".join(["[generic]", "listenaddr = 127.0.0.1", "port = @PORT@", "[cached]", f"exportname = {bench.file('a', MIB)}",
                                           "[direct]", f"exportname = {bench.file('b', MIB)}", "cache = none",
                                           "[durable]", f"exportname = {bench.file('c', MIB)}", "cache = writethrough", ""]))
    # A file is on a disk of which nobody knows whether it has a volatile cache.
    for name, stable in ((b"cached", 0), (b"direct", 0), (b"durable", 2)):
        with dial(server) as link:
            link.sendall(CLIENT_FLAGS + hosting(1) + claim(1, name, os.urandom(16)))
            assert reply(link) == (ACK, b"") and reply(link)[0] == SESSION
            kind, data = reply(link)
            assert (kind, data[3] & 2) == (HOST, stable), f"{name!r}: {kind:#x}, {data!r}"
