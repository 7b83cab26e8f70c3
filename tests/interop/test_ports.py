"""The ports that tests give to their servers."""
import re
import subprocess
import sys
from pathlib import Path

from bench import Bench, free_port
from harness.registry import test

HERE = Path(__file__).resolve().parent
COUNT = 200


@test("no port is given to two servers of tests, also of tests that run at the same time, and none is one of outgoing connections")
def ports(bench: Bench) -> None:
    ours = [free_port() for _ in range(COUNT)]
    other = subprocess.Popen([sys.executable, "-B", "-c", f"import bench; print([bench.free_port() for _ in range({COUNT})], flush=True); input()"],
                             cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdin and other.stdout
        theirs = [int(word) for word in re.findall(r"\d+", other.stdout.readline())]
        ours += [free_port() for _ in range(COUNT)]
        other.stdin.write("\n")
    assert len(theirs) == COUNT and len(set(ours + theirs)) == 3 * COUNT
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not [port for port in ours + theirs if first <= port <= last]
