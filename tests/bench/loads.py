"""What the servers are put under: fio's nbd engine, nbdcopy, and a crowd of clients of our own (load.cc)."""
import json
import os
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import resources
from figures import Crowd, Sample
from resources import MachineTime, Memory
from bench import MIB, Server

CORES = os.cpu_count() or 1
CROWDS = (1, 10, 100, 1000)
CROWD_DEPTH, CROWD_BLOCK = 4, 4096


@dataclass(frozen=True)
class Fio:
    name: str
    mode: str
    block: str
    depth: int
    jobs: int = 1


@dataclass(frozen=True)
class Nbdcopy:
    name: str
    into: bool  # into the server, or out of it


WORKLOADS: tuple[Fio | Nbdcopy, ...] = (
    Fio("randread 4k, depth 1", "randread", "4k", 1),
    Fio("randread 4k, depth 32", "randread", "4k", 32),
    Fio("randread 4k, depth 32, 4 connections", "randread", "4k", 32, 4),
    Fio("randwrite 4k, depth 32", "randwrite", "4k", 32),
    Fio("read 128k, depth 8", "read", "128k", 8),
    Fio("write 128k, depth 8", "write", "128k", 8),
    Nbdcopy("nbdcopy out, MiB/s", False),
    Nbdcopy("nbdcopy in, MiB/s", True),
)


class LoadFailed(Exception):
    """The load, or the server under it; the text says which."""


@dataclass
class Watch:
    """What a server and the machine use from its construction to stop()."""

    pid: int
    memory: Memory = Memory()
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._cpu = resources.cpu_seconds(self.pid)
        self._machine = MachineTime.now()

    def look(self) -> None:
        """Keeps the most memory that was seen."""
        now = resources.memory(self.pid)
        self.memory = Memory(*(max(pair) for pair in zip((self.memory.pss, self.memory.rss, self.memory.whole, self.memory.threads),
                                                        (now.pss, now.rss, now.whole, now.threads))))

    def stop(self, load_cpu: float) -> None:
        machine = MachineTime.now()
        self.seconds = time.monotonic() - self.began
        self.cpu = resources.cpu_seconds(self.pid) - self._cpu
        whole = self.seconds * CORES
        self.others = max(0.0, machine.busy - self._machine.busy - self.cpu - load_cpu) / whole
        self.stolen = (machine.stolen - self._machine.stolen) / whole


@contextmanager
def looking(watch: Watch) -> Iterator[None]:
    """Looks at the memory meanwhile, a few times a second."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.3):
            watch.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        watch.look()


def watched(server: Server, command: list[str]) -> tuple[str, float, Watch]:
    """Runs a load to its end: what it printed, its own CPU seconds with its children's, what the server used."""
    watch = Watch(server.process.pid)
    with tempfile.TemporaryFile("w+") as output, looking(watch):
        load = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(load.pid, 0)
        load.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        watch.stop(cpu)
        output.seek(0)
        text = output.read()
    if load.returncode:
        raise LoadFailed(f"`{shlex.join(command)}` ended with {load.returncode}:\n{text[-1000:]}")
    return text, cpu, watch


def sample(watch: Watch, done: float, rate: float, load: float, p50: float = 0, p99: float = 0) -> Sample:
    return Sample(rate, watch.cpu * 1e6 / max(done, 1), watch.memory.pss, watch.memory.rss, load, watch.others, watch.stolen, p50, p99)


def fio_command(workload: Fio, uri: str, size: int, seconds: float, folder: Path) -> list[str]:
    return ["fio", "--name=load", "--ioengine=nbd", f"--uri={uri}", f"--rw={workload.mode}", f"--bs={workload.block}",
            f"--iodepth={workload.depth}", f"--numjobs={workload.jobs}", "--group_reporting", "--norandommap", f"--size={size}M",
            f"--runtime={seconds:g}", "--time_based", "--lat_percentiles=1", "--output-format=json", f"--aux-path={folder}"]


def fio(workload: Fio, server: Server, disk: Path, seconds: float, folder: Path) -> Sample:
    size = disk.stat().st_size // MIB
    text, cpu, watch = watched(server, fio_command(workload, server.uri("disk"), size, seconds, folder))
    job = json.loads(text[text.index("{"):])["jobs"][0]
    if job["error"]:
        raise LoadFailed(f"fio: error {job['error']} in {workload.name}")
    way = job["write" if "write" in workload.mode else "read"]
    # From before its submission: libnbd sends what it is given at once, and may have the answer already when it returns.
    percentiles = way["lat_ns"].get("percentile", {})
    # The run times of all its processes together: a process does nothing but this load.
    busy = cpu / (job["job_runtime"] / 1000) if job["job_runtime"] else 0
    return sample(watch, way["total_ios"], way["iops"], busy,
                  percentiles.get("50.000000", 0) / 1000, percentiles.get("99.000000", 0) / 1000)


def nbdcopy(workload: Nbdcopy, server: Server, disk: Path, seconds: float, folder: Path) -> Sample:
    """The whole file, as often as the time allows."""
    size = disk.stat().st_size // MIB
    uri = server.uri("disk")
    ways = [str(source(disk, folder)), uri] if workload.into else [uri, "null:"]
    words = shlex.join(["nbdcopy", *ways])
    # The shell counts, so that what is measured has no pauses in it.
    script = f"end=$(($(date +%s%N) + {int(seconds * 1e9)})); n=0; until [ $(date +%s%N) -ge $end ]; do {words} || exit; n=$((n + 1)); done; echo $n"
    text, cpu, watch = watched(server, ["sh", "-c", script])
    copied = int(text.split()[-1]) * size
    return sample(watch, copied, copied / watch.seconds, cpu / watch.seconds / CORES)


def source(disk: Path, folder: Path) -> Path:
    """What is copied into the server: as large as its disk, without holes."""
    path = folder / "source"
    if not path.exists():
        subprocess.run(["cp", "--sparse=never", disk, path], check=True)
    return path


def run(workload: Fio | Nbdcopy, server: Server, disk: Path, seconds: float, folder: Path) -> Sample:
    return (fio if isinstance(workload, Fio) else nbdcopy)(workload, server, disk, seconds, folder)


def settled_memory(pid: int, patience: float = 15) -> resources.Memory:
    """When it has been the same for three seconds: a server gives back what it does not need a little later."""
    before, since, ends = resources.memory(pid), time.monotonic(), time.monotonic() + patience
    while time.monotonic() < min(since + 3, ends):
        time.sleep(0.5)
        now = resources.memory(pid)
        if (now.whole, now.threads) != (before.whole, before.threads):
            before, since = now, time.monotonic()
    return before


def crowd(program: Path, connections: int, server: Server, seconds: int) -> Crowd:
    """So many readers of one image; then what each costs when it is idle."""
    pid = server.process.pid
    before = resources.memory(pid)
    words = [str(program), str(server.port), "disk", *(str(number) for number in (connections, CROWD_DEPTH, CROWD_BLOCK, seconds, CORES))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        assert load.stdin and load.stdout and load.stderr

        def line() -> str:
            text = load.stdout.readline()
            if not text:
                raise LoadFailed(f"{connections} connections: {load.stderr.read().strip()}")
            return text

        try:
            line()
            watch = Watch(pid)
            load.stdin.write("go\n")
            load.stdin.flush()
            seen = json.loads(line())
            watch.stop(seen["cpu_us"] / 1e6)
            watch.look()
            idle = settled_memory(pid)
        finally:
            load.stdin.close()
            load.kill()
    made = sample(watch, seen["requests"], seen["requests"] / seconds, seen["busiest_thread_us"] / 1e6 / watch.seconds,
                  seen["p50_ns"] / 1000, seen["p99_ns"] / 1000)
    return Crowd(**vars(made), slowest=seen["slowest"] / seconds, mean=seen["requests"] / seconds / connections,
                 idle=(idle.whole - before.whole) / connections, threads=idle.threads)
