"""What stands in a server's way: perf's samples of all its threads under a load, or (where perf cannot) its system calls counted."""
from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import resources

if TYPE_CHECKING:  # its folder is on the path where servers of this machine are measured
    from bench import Server

TOP = 20  # symbols, or system calls


def perf_works(folder: Path) -> bool:
    if shutil.which("perf") is None:
        return False
    data = folder / "probe.data"
    recorded = subprocess.run(["perf", "record", "-q", "-o", data, "--", "sh", "-c", "n=0; while [ $n -lt 20000 ]; do n=$((n + 1)); done"],
                              capture_output=True)
    seen = subprocess.run(["perf", "report", "-i", data, "--stdio"], capture_output=True, text=True)
    return recorded.returncode == 0 and any("%" in line for line in seen.stdout.splitlines())


def profile(server: Server, load: Callable[[], object], folder: Path) -> list[str]:
    """While load() runs: the function and its share of the server's CPU time, most first."""
    pids = ",".join(str(pid) for pid in resources.processes(server.process.pid))
    return with_perf(pids, load, folder) if perf_works(folder) else with_strace(pids, load, folder)


def with_perf(pids: str, load: Callable[[], object], folder: Path) -> list[str]:
    data = folder / "server.data"
    # Of processes and threads that are made meanwhile, too: that is perf's default.
    recording = subprocess.Popen(["perf", "record", "-q", "-F", "997", "-o", data, "-p", pids], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
    try:
        load()
    finally:
        recording.terminate()
        recording.wait()
    done = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "--sort", "symbol", "--percent-limit", "0.7"],
                          capture_output=True, text=True)
    return top_of_report(done.stdout)


def top_of_report(text: str) -> list[str]:
    """Of perf report --sort symbol."""
    # "  32.73%  [k] copy_folio_from_iter_atomic        -      -": what is sampled of branches is empty.
    words = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [f"{found[2].split('.')[0]} {found[0]}" for found in words if len(found) > 2][:TOP]


def with_strace(pids: str, load: Callable[[], object], folder: Path) -> list[str]:
    """perf cannot be used here: its system calls, as strace -c counts them."""
    output = folder / "server.strace"
    counting = subprocess.Popen(["strace", "-c", "-f", "-o", output, *(word for pid in pids.split(",") for word in ("-p", pid))],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        load()
    finally:
        counting.terminate()
        counting.wait()
    return [f"{words[-1]}() {words[0]}%" for line in output.read_text().splitlines() if len(words := line.split()) > 4 and words[0][0].isdigit()][:TOP]
