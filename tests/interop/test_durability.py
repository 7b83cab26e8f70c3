"""What a reply promises: the system calls of the server, seen from outside, in their order."""
import re
import subprocess

import nbd
from support import MIB, Bench, test, wait_for

CALL = re.compile(r"\b(pwritev2|fdatasync|sendto|sendmsg)\(.*= \d+$", re.MULTILINE)


@test("a flush and a FUA write are on stable storage before they are answered")
def stable_storage(bench: Bench) -> None:
    server = bench.serve(f"disk={bench.file('disk', MIB)}")
    handle = nbd.NBD()
    handle.connect_uri(server.uri("disk"))
    said = bench.folder / "strace.log"
    with said.open("w") as log:
        # -ff: a file for each thread, so that no call is cut in two by another thread's.
        strace = subprocess.Popen(["strace", "-ff", "-o", str(bench.folder / "trace"), "-e",
                                   "trace=pwritev2,fdatasync,sendto,sendmsg", "-p", str(server.process.pid)], stderr=log)
    wait_for(lambda: "attached" in said.read_text() or strace.poll() is not None, "strace to attach")
    handle.pwrite(b"plain", 0)
    handle.pwrite(b"fua", 4096, nbd.CMD_FLAG_FUA)
    handle.flush()
    handle.shutdown()
    server.wait_for_log("closed")  # its thread has gone on, so all that it called before is written down
    server.process.kill()  # which ends strace, too
    server.process.wait()
    assert strace.wait(60) in (0, 1, 137, -9), said.read_text()
    trace = "".join(text for file in bench.folder.glob("trace.*") if "pwritev2" in (text := file.read_text()))
    calls = [f"{call[1]}{' durable' if 'RWF_DSYNC' in call[0] else ''}" for call in CALL.finditer(trace)]
    reply = calls[1] if len(calls) > 1 else "a reply"
    assert calls == ["pwritev2", reply, "pwritev2 durable", reply, "fdatasync", reply], trace
