"""The bars between two machines: ours against NVMe/TCP. Pure, like figures.py, whose results and samples these are."""
from figures import Bar, Results, Sample, median

OURS, AGAINST = "holdfast", "NVMe/TCP"
LEAST_RATE = {"4k": 1.0, "128k": 0.9}
MOST_CPU = 1.1


def ratio(samples: dict[str, list[Sample]], which: str) -> float | None:
    """Ours to NVMe/TCP's: of medians."""
    ours, theirs = (median(samples.get(name, ()), which) for name in (OURS, AGAINST))
    return ours / theirs if ours is not None and theirs else None


def missed_workloads(results: Results) -> list[str]:
    return [name for name in results.workloads if any(bar.what.startswith(f"{name}:") and not bar.met for bar in bars(results))]


def bars(results: Results) -> list[Bar]:
    found = []
    for name, samples in results.workloads.items():
        block = next(block for block in LEAST_RATE if block in name.replace(",", "").split())
        found += [Bar(f"{name}: rate to {AGAINST}'s", ratio(samples, "rate"), LEAST_RATE[block], True),
                  Bar(f"{name}: server's CPU an I/O to {AGAINST}'s", ratio(samples, "cpu"), MOST_CPU, False)]
    return found
