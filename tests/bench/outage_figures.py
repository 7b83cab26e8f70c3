"""What the rounds have shown: a round's times from its I/O, their medians, the table. Pure: text and numbers in, text out."""
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

OURS = "holdfast"
BARS = {"new": 0.5, "in_flight": 3.0, "stall": 5.0}
ROWS = {"new": "first new I/O", "in_flight": "in flight done", "stall": "longest stall"}
KINDS = {"dropped": "packets dropped", "stopped": "service stopped"}
LOST = float("inf")


@dataclass(frozen=True)
class Round:
    """Seconds from the server's return; LOST where it never came. `doubt`: how far the return's time may be wrong."""

    new: float  # until the first write ended well that had been begun after the outage began
    in_flight: float  # until the writes had ended that were in flight when the outage began
    stall: float  # the longest that any write, begun whenever, was not done though the server was back
    errors: int
    doubt: float
    failure: str = ""  # why there was no round at all


# (peer, kind, length): its rounds
Rounds = Mapping[tuple[str, str, float], Sequence[Round]]


def failed(why: str) -> Round:
    return Round(LOST, LOST, LOST, 0, 0, why)


def read_round(text: str) -> Round:
    """From what outage_round.pl printed."""
    times: dict[str, float] = {}
    writes: list[tuple[float, float, bool]] = []  # begun, ended, without an error
    for line in text.splitlines():
        match line.split():
            case ["io", began, ended, error]:
                writes.append((float(began), LOST if ended == "-" else float(ended), error in ("0", "-")))
            case [word, time]:
                times[word] = float(time)
    begin, back, until = times["begin"], times["return"], times["until"]

    def after_return(ended: float, well: bool) -> float:
        return max(ended - back, 0) if well else LOST

    # A write that ended between the two was not on the link that died: the service was still finishing what it had.
    in_flight = [after_return(ended, well) for began, ended, well in writes if began <= begin and (ended > begin or not well)]
    new = [after_return(ended, well) for began, ended, well in writes if began > begin and ended > back]
    waits = [min(ended, until) - max(began, back) if well else LOST for began, ended, well in writes if ended > back or not well]
    first, last = min(new, default=LOST), max(in_flight, default=0)
    stall = LOST if LOST in (first, last) else max(waits)
    return Round(first, last, stall, sum(not well for _, _, well in writes), times["doubt"])


def median(rounds: Sequence[Round], row: str) -> float:
    """LOST when half of them or more are. Of the stalls it is the longest of all."""
    values = [getattr(entry, row) for entry in rounds]
    return max(values) if row == "stall" else statistics.median(values)


def lost(rounds: Sequence[Round]) -> int:
    return sum(entry.new == LOST for entry in rounds)


def seconds(value: float) -> str:
    return "lost" if value == LOST else f"{value:.2f} s"


def ratio(rounds: Rounds, peers: Sequence[str], kind: str, length: float, row: str) -> float | None:
    """Ours to the best peer's, where both have a time; a hundredth of a second is as good as none."""
    times = {peer: median(rounds[peer, kind, length], row) for peer in peers if rounds.get((peer, kind, length))}
    ours = times.pop(OURS, LOST)
    best = min(times.values(), default=LOST)
    return None if LOST in (ours, best) else max(ours, 0.01) / max(best, 0.01)


def table(rounds: Rounds, peers: Sequence[str]) -> str:
    """Everything side by side."""
    lines = [f"{'':34}" + "".join(f"{peer:>14}" for peer in peers) + f"{'bar':>10}{'to the best peer':>20}"]
    for kind, length in dict.fromkeys((kind, length) for _, kind, length in rounds):
        lines.append(f"{KINDS[kind]}, {length:g} s")
        cells = {peer: rounds.get((peer, kind, length), ()) for peer in peers}
        for row, title in ROWS.items():
            by = ratio(rounds, peers, kind, length, row)
            ours = cells.get(OURS)
            verdict = "" if not ours else " met" if median(ours, row) <= BARS[row] else " not met"
            title += " (of all)" if row == "stall" else " (median)"
            lines.append(f"    {title:30}" + "".join(f"{seconds(median(cells[peer], row)) if cells[peer] else '-':>14}"
                                                     for peer in peers)
                         + f"{BARS[row]:>8g} s{'-' if by is None else f'{by:.2f}':>12}{verdict:>8}")
        lines.append(f"    {'I/O errors; rounds lost':30}"
                     + "".join(f"{f'{sum(entry.errors for entry in cells[peer])}; {lost(cells[peer])}/{len(cells[peer])}':>14}"
                               for peer in peers))
    doubts = [entry.doubt for entries in rounds.values() for entry in entries]
    lines.append(f"Seconds from the server's return, whose time is known to {statistics.median(doubts) * 1000:.0f} ms as a rule and to "
                 f"{max(doubts) * 1000:.0f} ms at worst.")
    lines += sorted({f"{peer}: {entry.failure}" for (peer, _, _), entries in rounds.items() for entry in entries if entry.failure})
    return "\n".join(lines)


def as_json(rounds: Rounds, peers: Sequence[str]) -> list[dict[str, object]]:
    """One object for each peer, kind and length; a time that never came is null."""

    def plain(value: object) -> object:
        return None if value == LOST else value

    return [{"peer": peer, "kind": kind, "length": length, "lost": lost(entries),
             "medians": {row: plain(median(entries, row)) for row in ("new", "in_flight")},
             "longest_stall": plain(median(entries, "stall")),
             "to_best_peer": {row: ratio(rounds, peers, kind, length, row) for row in ROWS} if peer == OURS else None,
             "rounds": [{name: plain(value) for name, value in asdict(entry).items()} for entry in entries]}
            for (peer, kind, length), entries in rounds.items()]
