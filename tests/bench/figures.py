"""What `run` measured, and what it must be: medians, ratios to the best peer, the bars. Pure: numbers in, numbers out.

A ratio to the best peer is ours to that peer's that is best in this very figure: fastest in a rate, thriftiest in CPU.
"""
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

OURS = "holdfast-server"
PEERS = ("nbd-server", "nbdkit", "qemu-nbd")

LEAST_RATE = 1.0  # of the best peer's, in each workload
LEAST_MEAN = 1.5  # the geometric mean of that over fio's workloads
MOST_CPU = 0.6  # of the best peer's, in each of fio's workloads
LEAST_KEPT = 0.95  # of the rate with fewer connections; what is within a twentieth is noise
MOST_IDLE = 16.0  # KiB for a connection
LEAST_SHARE = 0.5  # what the slowest of many clients gets, of their mean
# A load whose busiest thread runs for longer than this share of the time may be what holds the server up.
LOAD_IS_FULL = 0.9
# More of the machine's CPU than this, used by others or stolen by its host, and the figures are not worth much.
QUIET = 0.05


@dataclass(frozen=True)
class Sample:
    """One server under one load, once."""

    rate: float  # requests (of nbdcopy: MiB) a second
    cpu: float  # of the whole server, user and system, for one of them, in microseconds
    pss: float  # of the whole server at its most, in KiB, and its resident size, which counts what is shared more than once
    rss: float
    load: float  # how much of the time the load's busiest thread ran: 1 is all of it
    others: float  # how much of the machine's CPU went to neither the server nor the load
    stolen: float  # how much of it the machine's own host took
    p50: float = 0  # latency of a request in microseconds; 0 where the load does not tell
    p99: float = 0


@dataclass(frozen=True)
class Crowd(Sample):
    """The same with many connections: `rate` is that of all together."""

    slowest: float = 0  # the rate of the client that got least, and of the mean client
    mean: float = 0
    idle: float = 0  # KiB of memory for a connection that is open and has nothing to do: see resources.py
    threads: float = 0  # of the whole server, with these connections


@dataclass
class Results:
    """All of a run. `about` says when and where; `workloads` and `crowds` have the samples by name, then by server."""

    about: dict[str, object]
    servers: list[str]  # in the order of the columns; what is neither ours nor a peer is another build of ours
    workloads: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    crowds: dict[int, dict[str, list[Crowd]]] = field(default_factory=dict)  # by the number of connections
    # Of loads with a missed bar, by what was looked at (a server, and its connections where that is not the load's own): the functions
    # that take most of its time, most first.
    profiles: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @staticmethod
    def of_json(made: dict) -> "Results":
        return Results(
            made["about"], made["servers"],
            {name: {server: [Sample(**sample) for sample in samples] for server, samples in by_server.items()}
             for name, by_server in made["workloads"].items()},
            {int(count): {server: [Crowd(**sample) for sample in samples] for server, samples in by_server.items()}
             for count, by_server in made["crowds"].items()},
            made.get("profiles", {}), made["failures"])


@dataclass(frozen=True)
class Bar:
    """A promise and what was measured; `value` is None where ours or every peer has no sample."""

    what: str
    value: float | None
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        """To the two digits that are shown."""
        if self.value is None:
            return False
        shown = round(self.value, 2)
        return shown >= self.limit if self.at_least else shown <= self.limit

    @property
    def text(self) -> str:
        value = "not measured" if self.value is None else f"{self.value:.2f}"
        return f"{self.what}: {value} (at {'least' if self.at_least else 'most'} {self.limit:g})"


def is_fio(workload: str) -> bool:
    return not workload.startswith("nbdcopy")


def median(samples: Iterable[Sample], which: str) -> float | None:
    values = [getattr(sample, which) for sample in samples]
    return statistics.median(values) if values else None


def to_best_peer(samples: dict[str, list[Sample]], which: str, most_is_best: bool) -> float | None:
    medians = {server: value for server, taken in samples.items() if (value := median(taken, which)) is not None}
    peers = [medians[peer] for peer in PEERS if peer in medians]
    best = (max if most_is_best else min)(peers, default=0)
    return medians[OURS] / best if OURS in medians and best else None


def best_peer(samples: dict[str, list[Sample]]) -> str | None:
    """The fastest."""
    rates = {peer: rate for peer in PEERS if (rate := median(samples.get(peer, ()), "rate")) is not None}
    return max(rates, key=lambda peer: rates[peer], default=None)


def mean_ratio(results: Results) -> float | None:
    ratios = [to_best_peer(samples, "rate", True) for name, samples in results.workloads.items() if is_fio(name)]
    known = [ratio for ratio in ratios if ratio]
    return statistics.geometric_mean(known) if known and len(known) == len(ratios) else None


def workload_bars(name: str, samples: dict[str, list[Sample]]) -> list[Bar]:
    bars = [Bar(f"{name}: rate to the best peer's", to_best_peer(samples, "rate", True), LEAST_RATE, True)]
    if is_fio(name):
        bars.append(Bar(f"{name}: CPU to the best peer's", to_best_peer(samples, "cpu", False), MOST_CPU, False))
    return bars


def crowd_bars(crowds: dict[int, dict[str, list[Crowd]]]) -> list[Bar]:
    bars = []
    before: float | None = None
    counts = sorted(crowds)
    for count in counts:
        ours = crowds[count].get(OURS, [])
        rate = median(ours, "rate")
        if count != counts[0]:
            bars.append(Bar(f"{count} connections: rate to that of fewer", rate / before if rate and before else None, LEAST_KEPT, True))
        if count > 1:
            shares = [sample.slowest / sample.mean for sample in ours if sample.mean]
            bars.append(Bar(f"{count} connections: the slowest client to the mean", statistics.median(shares) if shares else None,
                            LEAST_SHARE, True))
        before = max(before or 0, rate or 0)
    if counts and counts[-1] >= 100:
        bars.append(Bar(f"{counts[-1]} connections: KiB of memory for one that is idle", median(crowds[counts[-1]].get(OURS, ()), "idle"),
                        MOST_IDLE, False))
    return bars


def bars(results: Results) -> list[Bar]:
    """All that apply to what was measured."""
    found = [bar for name, samples in results.workloads.items() for bar in workload_bars(name, samples)]
    if any(is_fio(name) for name in results.workloads):
        found.append(Bar("geometric mean of the rates to the best peer of each", mean_ratio(results), LEAST_MEAN, True))
    return found + crowd_bars(results.crowds)


def missed_workloads(results: Results) -> list[str]:
    return [name for name, samples in results.workloads.items() if not all(bar.met for bar in workload_bars(name, samples))]


def missed_crowds(results: Results) -> list[tuple[int, int]]:
    """Numbers of connections at which ours is slower than with fewer, and how many fewer."""
    rates = {count: median(samples.get(OURS, ()), "rate") or 0 for count, samples in sorted(results.crowds.items())}
    missed = [bar.what for bar in crowd_bars(results.crowds) if not bar.met]
    return [(count, max((fewer for fewer in rates if fewer < count), key=lambda fewer: rates[fewer])) for count in rates
            if f"{count} connections: rate to that of fewer" in missed]


def disturbance(results: Results) -> str:
    """Says loudly when others used the machine meanwhile; empty when it was quiet."""
    samples = [sample for table in (results.workloads, results.crowds) for by_server in table.values()
               for taken in by_server.values() for sample in taken]
    if not samples:
        return ""
    others, stolen = (median(samples, which) or 0 for which in ("others", "stolen"))
    if max(others, stolen) <= QUIET:
        return ""
    return (f"THE MACHINE WAS BUSY: other programs used {others:.0%} of its CPU, and its host took {stolen:.0%} "
            "(medians over all loads). Compare nothing but ratios, and those with doubt.")
