"""Plots as SVG, without a library: grouped bars, and lines over a logarithmic axis. Pure: numbers in, text out."""
import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

COLOURS = ("#1b6ca8", "#d1495b", "#edae49", "#66a182", "#8d6a9f", "#555555", "#a05a2c")
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 60, 70
WIDTH, HEIGHT = 1000, 420


def ticks(most: float) -> list[float]:
    """Round numbers from 0 to at least `most`, about five of them."""
    if most <= 0:
        return [0, 1]
    raw = most / 5
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * 0.999)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def text(x: float, y: float, words: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, more: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {more}/>'


def frame(title: str, names: Sequence[str], axis: Sequence[float], body: Sequence[str]) -> str:
    """The title, the legend and the horizontal lines of the axis, around the body."""
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             text(LEFT, 22, title, "start", ' font-size="16" font-weight="bold"')]
    x = float(LEFT)
    for number, name in enumerate(names):
        parts += [f'<rect x="{x:.1f}" y="34" width="12" height="12" fill="{COLOURS[number % len(COLOURS)]}"/>', text(x + 17, 44, name, "start")]
        x += 40 + 7.2 * len(name)
    for value in axis:
        y = height_of(value, axis)
        parts += [line(LEFT, y, WIDTH - RIGHT, y, 'stroke="#dddddd"'), text(LEFT - 6, y + 4, short(value), "end")]
    return "\n".join([*parts, *body, "</svg>"]) + "\n"


def height_of(value: float, axis: Sequence[float]) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / axis[-1]


def wrapped(words: str, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def bars(title: str, names: Sequence[str], groups: Mapping[str, Sequence[float | None]], bar: float | None = None) -> str:
    """A group for each entry, a bar in it for each name; `bar` is a dashed line across all."""
    axis = ticks(max([value for values in groups.values() for value in values if value is not None] + [bar or 0]))
    room = (WIDTH - LEFT - RIGHT) / max(len(groups), 1)
    width = room * 0.8 / max(len(names), 1)
    body = []
    for at, (group, values) in enumerate(groups.items()):
        for number, value in enumerate(values):
            if value is None:
                continue
            x, y = LEFT + room * (at + 0.1) + width * number, height_of(value, axis)
            body.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{HEIGHT - BOTTOM - y:.1f}" '
                        f'fill="{COLOURS[number % len(COLOURS)]}"><title>{escape(f"{group}, {names[number]}: {value:g}")}</title></rect>')
        body += [text(LEFT + room * (at + 0.5), HEIGHT - BOTTOM + 18 + 14 * number, words)
                 for number, words in enumerate(wrapped(group, int(room / 6.5)))]
    if bar is not None:
        body.append(line(LEFT, height_of(bar, axis), WIDTH - RIGHT, height_of(bar, axis), 'stroke="black" stroke-dasharray="6 4"'))
    return frame(title, names, axis, body)


def lines(title: str, names: Sequence[str], across: str, points: Mapping[str, Mapping[float, float]]) -> str:
    """A line for each name through its points (x to y), x on a logarithmic axis that is called `across`."""
    xs = sorted({x for by_x in points.values() for x in by_x})
    axis = ticks(max((y for by_x in points.values() for y in by_x.values()), default=1))
    span = math.log(xs[-1] / xs[0]) if len(xs) > 1 else 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + 30 + (WIDTH - LEFT - RIGHT - 60) * math.log(x / xs[0]) / span, height_of(y, axis)

    body = [text(place(x, 0)[0], HEIGHT - BOTTOM + 18, f"{x:,g}") for x in xs]
    body.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 42, across))
    for number, name in enumerate(names):
        path = [place(x, y) for x, y in sorted(points.get(name, {}).items())]
        colour = COLOURS[number % len(COLOURS)]
        body.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in path)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in path]
    return frame(title, names, axis, body)
