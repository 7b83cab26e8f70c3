"""A whole server as the kernel sees it: its processes and their children, their CPU time, their memory, their threads.
And the machine that it runs on."""
import contextlib
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
KERNEL_STACK = 16  # KiB for every thread (x86-64: THREAD_SIZE)


@dataclass(frozen=True)
class Memory:
    """In KiB. `whole` is what would be free if the server were not there: its proportional size, its page tables and its threads'
    kernel stacks; not its sockets, whose buffers depend on the moment."""

    pss: float = 0
    rss: float = 0
    whole: float = 0
    threads: int = 0


def processes(pid: int) -> Iterator[int]:
    """The process and all its living descendants."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (thread / "children").read_text().split():
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    yield from processes(int(child))


def cpu_seconds(pid: int) -> float:
    """User and system time of the process, its ended children and its living ones. The kernel keeps it exactly, in spite of the
    ticks that it is told in: a process's parts are scaled to its run time."""
    ticks = 0
    for each in processes(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(int(fields[number]) for number in (11, 12, 13, 14))
    return ticks / TICKS


def memory(pid: int) -> Memory:
    pss = rss = tables = threads = 0
    for each in processes(pid):
        with contextlib.suppress(OSError):
            sizes = fields_of(Path(f"/proc/{each}/smaps_rollup"))
            status = fields_of(Path(f"/proc/{each}/status"))
            pss += sizes.get("Pss", 0)
            rss += sizes.get("Rss", 0)
            tables += status.get("VmPTE", 0)
            threads += status.get("Threads", 0)
    return Memory(pss, rss, pss + tables + KERNEL_STACK * threads, threads)


def fields_of(path: Path) -> dict[str, int]:
    """The numbers of a file with lines like `Name:   123 kB`."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found


@dataclass(frozen=True)
class MachineTime:
    """CPU seconds of the whole machine since it started."""

    busy: float
    stolen: float

    @staticmethod
    def now() -> "MachineTime":
        user, nice, system, _idle, _wait, interrupts, soft, stolen = (
            int(word) / TICKS for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
        return MachineTime(user + nice + system + interrupts + soft, stolen)


def machine() -> str:
    """What it is, in a line."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} x {models[0] if models else platform.machine()}, {memory:.0f} GiB, Linux {platform.release()}"


def first_line(*command: str) -> str:
    """What a program says first, for versions; "?" where it says nothing."""
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.splitlines()[0].strip() if done.stdout.strip() else "?"
