"""A run's results as text: the table of a terminal, the Markdown of the README. Pure."""
from collections.abc import Sequence

import figures
from figures import Results

Rows = Sequence[Sequence[str]]


def number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def columns(rows: Rows) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))).rstrip()
                     for row in rows)


def markdown(rows: Rows) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    return "\n".join([line(rows[0]), line(["---", *("---:" for _ in rows[0][1:])]), *map(line, rows[1:])])


def rate_rows(results: Results) -> list[list[str]]:
    rows = [["requests/s (CPU us a request)", *results.servers, "to the best peer"]]
    for name, samples in results.workloads.items():
        row = [name]
        for server in results.servers:
            taken = samples.get(server, [])
            rate, cpu, load = (figures.median(taken, which) for which in ("rate", "cpu", "load"))
            full = "*" if load is not None and load > figures.LOAD_IS_FULL else ""
            row.append("-" if rate is None else f"{number(rate)}{full} ({number(cpu, 1)})")
        rate_ratio, cpu_ratio = figures.to_best_peer(samples, "rate", True), figures.to_best_peer(samples, "cpu", False)
        rows.append([*row, f"{number(rate_ratio, 2)} ({number(cpu_ratio, 2)})"])
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
        row = [str(count)]
        for server in results.servers:
            idle, threads = (figures.median(samples.get(server, []), which) for which in ("idle", "threads"))
            row.append("-" if idle is None else f"{idle:,.1f} ({number(threads)})")
        rows.append(row)
    return rows if len(rows) > 1 else []


def tables(results: Results) -> list[list[list[str]]]:
    made = [rate_rows(results) if results.workloads else [], latency_rows(results), memory_rows(results), crowd_rows(results),
            idle_rows(results)]
    return [rows for rows in made if rows]


def notes(results: Results) -> list[str]:
    """What a reader of the tables must know."""
    found = []
    if any("*" in cell for rows in tables(results) for row in rows for cell in row):
        found.append(f"*: the load's own threads were busy for over {figures.LOAD_IS_FULL:.0%} of the time: the server may be able to do more.")
    if disturbance := figures.disturbance(results):
        found.append(disturbance)
    return found + results.failures


def about(results: Results) -> str:
    return "\n".join(f"{key}: {value}" for key, value in results.about.items())


def terminal(results: Results) -> str:
    parts = [columns(rows) for rows in tables(results)]
    found = figures.bars(results)
    lines = [f"{'pass' if bar.met else 'MISS'}  {bar.text}" for bar in found]
    lines.append(f"{sum(bar.met for bar in found)} of {len(found)} bars are met.")
    parts += ["\n".join(lines), about(results)]
    parts += ["\n".join(notes(results))] if notes(results) else []
    return "\n\n".join(parts) + "\n"


def readme(results: Results) -> str:
    """The README's section: the tables, where and when they were made, and where we lose."""
    parts = [f"{results.about['date']}; {results.about['machine']}. Medians of {results.about['rounds']} rounds of "
             f"{results.about['seconds']} s, all servers in turn: {results.about['versions']}."]
    # Memory under load says little beside that of the idle connections, and is in build/bench/results.md.
    shown = [rate_rows(results) if results.workloads else [], latency_rows(results), crowd_rows(results), idle_rows(results)]
    parts += [markdown(rows) for rows in shown if rows]
    if notes(results):
        parts.append("\n".join(notes(results)))
    missed = [bar for bar in figures.bars(results) if not bar.met]
    met = len(figures.bars(results)) - len(missed)
    parts.append(f"{met} of {met + len(missed)} bars are met." + (" Where we lose:" if missed else ""))
    if missed:
        parts.append("\n".join(f"- {bar.text}" for bar in missed))
    return "\n\n".join(parts) + "\n"


def full_markdown(results: Results, plots: Sequence[str]) -> str:
    parts = ["# Holdfast beside its peers", about(results).replace("\n", "  \n"), *(markdown(rows) for rows in tables(results))]
    parts += [f"![]({plot})" for plot in plots]
    parts.append("\n".join(f"- {'met' if bar.met else '**missed**'}: {bar.text}" for bar in figures.bars(results)))
    parts += ["\n".join(notes(results))] if notes(results) else []
    return "\n\n".join(parts) + "\n"
