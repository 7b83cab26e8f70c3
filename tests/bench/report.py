"""A run's results as text: the table of a terminal, the Markdown of FIGURES.md. Pure."""
from collections.abc import Callable, Sequence

import figures
from figures import Bar, Results, Sample

Rows = Sequence[Sequence[str]]
# The ratio of ours to what it is held against, in "rate" or in "cpu"; None where there is none.
Ratio = Callable[[dict[str, list[Sample]], str], float | None]


def number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def columns(rows: Rows) -> str:
    """The first column to the left, the others to the right; long texts in lines of their own."""
    if any(len(cell) > 100 for row in rows for cell in row):
        return "\n".join("\n    ".join(row) for row in rows)
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))).rstrip()
                     for row in rows)


def markdown(rows: Rows) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    numbers = any(char.isdigit() for char in rows[-1][-1][:1]) or rows[-1][-1] == "-"
    return "\n".join([line(rows[0]), line(["---", *("---:" if numbers else "---" for _ in rows[0][1:])]), *map(line, rows[1:])])


def to_best_peer(samples: dict[str, list[Sample]], which: str) -> float | None:
    return figures.to_best_peer(samples, which, which == "rate")


def rate_rows(results: Results, held_against: str = "the best peer", ratio: Ratio = to_best_peer) -> list[list[str]]:
    rows = [["requests/s (CPU us a request)", *results.servers, f"to {held_against}"]]
    for name, samples in results.workloads.items():
        row = [name]
        for server in results.servers:
            taken = samples.get(server, [])
            rate, cpu, load = (figures.median(taken, which) for which in ("rate", "cpu", "load"))
            full = "*" if load is not None and load > figures.LOAD_IS_FULL else ""
            row.append("-" if rate is None else f"{number(rate)}{full} ({number(cpu, 1)})")
        rows.append([*row, f"{number(ratio(samples, 'rate'), 2)} ({number(ratio(samples, 'cpu'), 2)})"])
    return rows


def latency_rows(results: Results) -> list[list[str]]:
    """Of the workloads with one request at a time: there it is the server's, elsewhere the queue's."""
    rows = [["latency in us, median / 99th percentile", *results.servers]]
    for name, samples in results.workloads.items():
        if not name.endswith("depth 1"):
            continue
        row = [name]
        for server in results.servers:
            p50, p99 = (figures.median(samples.get(server, []), which) for which in ("p50", "p99"))
            row.append(f"{number(p50)} / {number(p99)}")
        rows.append(row)
    return rows if len(rows) > 1 else []


def memory_rows(results: Results) -> list[list[str]]:
    rows = [["memory at most, MiB: proportional (resident)", *results.servers]]
    for name, samples in results.workloads.items():
        row = [name]
        for server in results.servers:
            pss, rss = (figures.median(samples.get(server, []), which) for which in ("pss", "rss"))
            row.append("-" if pss is None or rss is None else f"{pss / 1024:.1f} ({rss / 1024:.1f})")
        rows.append(row)
    return rows if len(rows) > 1 else []


def crowd_rows(results: Results) -> list[list[str]]:
    rows = [["connections: reads/s (the slowest to the mean)", *results.servers]]
    for count, samples in sorted(results.crowds.items()):
        row = [str(count)]
        for server in results.servers:
            taken = samples.get(server, [])
            rate, slowest, mean, load = (figures.median(taken, which) for which in ("rate", "slowest", "mean", "load"))
            full = "*" if load is not None and load > figures.LOAD_IS_FULL else ""
            row.append("-" if rate is None or slowest is None or not mean else f"{number(rate)}{full} ({slowest / mean:.2f})")
        rows.append(row)
    return rows if len(rows) > 1 else []


def idle_rows(results: Results) -> list[list[str]]:
    rows = [["connections: KiB of memory for one that is idle (threads in all)", *results.servers]]
    for count, samples in sorted(results.crowds.items()):
        if count < 100:  # what the server gives back of its own outweighs what so few cost
            continue
        row = [str(count)]
        for server in results.servers:
            idle, threads = (figures.median(samples.get(server, []), which) for which in ("idle", "threads"))
            row.append("-" if idle is None else f"{idle:,.1f} ({number(threads)})")
        rows.append(row)
    return rows if len(rows) > 1 else []


def profile_rows(results: Results, functions: int, share_of: str = "the server's CPU time") -> list[list[str]]:
    rows = [["where a bar is missed", f"what the server does, and its share of {share_of}"]]
    rows += [[f"{load}: {server}", ", ".join(found[:functions])] for load, by_server in results.profiles.items()
             for server, found in by_server.items()]
    return rows if len(rows) > 1 else []


def tables(results: Results) -> list[list[list[str]]]:
    made = [rate_rows(results) if results.workloads else [], latency_rows(results), memory_rows(results), crowd_rows(results),
            idle_rows(results), profile_rows(results, 20)]
    return [rows for rows in made if rows]


def figures_tables(results: Results) -> list[list[list[str]]]:
    """Without the memory under load, which says little beside that of the idle connections, and with the beginning of profiles."""
    whole = [rows for rows in tables(results) if rows not in (memory_rows(results), profile_rows(results, 20))]
    return whole + [rows for rows in [profile_rows(results, 6)] if rows]


def notes(results: Results, shown: Sequence[Rows]) -> list[str]:
    """What a reader of the tables must know."""
    found = []
    if any("*" in cell for rows in shown for row in rows for cell in row):
        found.append(f"*: what makes the load was itself busy for over {figures.LOAD_IS_FULL:.0%} of the time: the server may be able "
                     "to do more.")
    if disturbance := figures.disturbance(results):
        found.append(disturbance)
    return found + results.failures


def terminal(results: Results, shown: Sequence[Rows], bars: Sequence[Bar]) -> str:
    lines = [f"{'pass' if bar.met else 'MISS'}  {bar.text}" for bar in bars]
    lines.append(f"{sum(bar.met for bar in bars)} of {len(bars)} bars are met.")
    parts = [*map(columns, shown), "\n".join(lines), "\n".join(f"{key}: {value}" for key, value in results.about.items()),
             "\n".join(notes(results, shown))]
    return "\n\n".join(part for part in parts if part) + "\n"


def figures_section(results: Results, shown: Sequence[Rows], bars: Sequence[Bar]) -> str:
    """A section of FIGURES.md: the tables, the conditions of the measurement, and the missed bars."""
    about = results.about
    missed = [bar for bar in bars if not bar.met]
    parts = [f"{about['date']}; {about['machine']}. Medians of {about['rounds']} rounds of {about['seconds']} s, all servers in turn: "
             f"{about['versions']}.",
             *map(markdown, shown), "\n".join(notes(results, shown)),
             f"{len(bars) - len(missed)} of {len(bars)} bars are met." + (" Where we lose:" if missed else ""),
             "\n".join(f"- {bar.text}" for bar in missed)]
    return "\n\n".join(part for part in parts if part) + "\n"


def full_markdown(results: Results, title: str, shown: Sequence[Rows], bars: Sequence[Bar], plots: Sequence[str]) -> str:
    parts = [f"# {title}", "  \n".join(f"{key}: {value}" for key, value in results.about.items()), *map(markdown, shown),
             *(f"![]({plot})" for plot in plots), "\n".join(f"- {'met' if bar.met else '**missed**'}: {bar.text}" for bar in bars),
             "\n".join(notes(results, shown))]
    return "\n\n".join(part for part in parts if part) + "\n"
