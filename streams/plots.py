"""Plots of signals, drawn on the server: where each line and bar is, in the units of an SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

WIDTH, HEIGHT = 440, 170
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 10, 24
BUCKETS = 24
Event = dict[str, Any]


@dataclass(frozen=True)
class Bar:
    """A part of a column."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass
class Plot:
    """What is drawn, with its two axes."""

    title: str
    keys: list[tuple[str, str]]
    rules: list[tuple[float, str]] = field(default_factory=list)  # y and its label
    moments: list[tuple[float, str, str]] = field(default_factory=list)  # x, its label, and where that is anchored
    bars: list[Bar] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)  # kind and points
    dots: list[tuple[str, float, float, str]] = field(default_factory=list)
    words: str = ""  # for whoever cannot see it
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT

    @property
    def is_empty(self) -> bool:
        return not self.bars and not self.dots


@dataclass(frozen=True)
class Span:
    """From when to when, in so many steps."""

    start: datetime
    end: datetime

    @property
    def step(self) -> timedelta:
        return (self.end - self.start) / BUCKETS

    def bucket(self, event: Event) -> int:
        return min(BUCKETS - 1, max(0, int((datetime.fromisoformat(event["ts"]) - self.start) / self.step)))

    def word(self, number: int) -> str:
        at = self.start + self.step * number
        return at.strftime("%H:%M") if self.step < timedelta(hours=3) else at.strftime("%-d %b")


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so much of them is not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def latency(events: list[Event], span: Span) -> Plot:
    """Half of the commands, and nineteen of twenty, showed their first output within this."""
    plot = Plot("Until the first output", [("key", "half within"), ("key b", "19 of 20 within")])
    values: list[list[float]] = [[] for _ in range(BUCKETS)]
    for event in events:
        if (seconds := event["payload"].get("first_output")) is not None:
            values[span.bucket(event)].append(seconds)
    everything = [one for bucket in values for one in bucket]
    _axes(plot, span, max(everything, default=0), seconds_word)
    top = _top(max(everything, default=0))
    for kind, share in (("a", 0.5), ("b", 0.95)):
        points = []
        for number, bucket in enumerate(values):
            if bucket:
                value = quantile(bucket, share)
                x, y = _x(number + 0.5), _y(value, top)
                points.append(f"{x:.1f},{y:.1f}")
                plot.dots.append((kind, x, y, f"{span.word(number)}: {seconds_word(value)}, of {len(bucket)}"))
        plot.lines.append((kind, " ".join(points)))
    if everything:
        half, most = quantile(everything, 0.5), quantile(everything, 0.95)
        plot.words = f"Half within {seconds_word(half)}, 19 of 20 within {seconds_word(most)}."
    return plot


def outcomes(events: list[Event], span: Span) -> Plot:
    """How many commands came to rest, and how."""
    kinds = ("completed", "failed", "cancelled")
    plot = Plot("Commands by outcome", [(kind, kind) for kind in kinds])
    counts = [dict.fromkeys(kinds, 0) for _ in range(BUCKETS)]
    for event in events:
        if (status := event["payload"].get("status")) in kinds:
            counts[span.bucket(event)][status] += 1
    most = max(sum(bucket.values()) for bucket in counts)
    _axes(plot, span, most, count_word)
    for number, bucket in enumerate(counts):
        _stack(plot, span, number, list(bucket.items()), _top(most), count_word)
    totals = {kind: sum(bucket[kind] for bucket in counts) for kind in kinds}
    plot.words = ", ".join(f"{count} {kind}" for kind, count in totals.items()) + "."
    return plot


def usage(events: list[Event], span: Span, name: str, title: str, word: Callable[[float], str], peak: bool) -> Plot:
    """What commands used of something: all together, or the most that one did."""
    plot = Plot(title, [])
    values = [0.0] * BUCKETS
    for event in events:
        value, number = float(event["payload"].get(name) or 0), span.bucket(event)
        values[number] = max(values[number], value) if peak else values[number] + value
    _axes(plot, span, max(values), word)
    for number, value in enumerate(values):
        _stack(plot, span, number, [("a", value)], _top(max(values)), word)
    plot.words = f"{word(max(values) if peak else sum(values))} {'at the most' if peak else 'in all'}."
    return plot


def seconds_word(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.3g} s" if value < 600 else f"{value / 60:.0f} min"


def bytes_word(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def count_word(value: float) -> str:
    return f"{value:.0f}"


def _axes(plot: Plot, span: Span, most: float, word: Callable[[float], str]) -> None:
    top = _top(most)
    halves = (0, top / 2, top) if word is not count_word or top % 2 == 0 else (0, top)
    plot.rules = [(_y(value, top), word(value) if value else "0") for value in halves]
    anchors = {0: "", BUCKETS // 2: "middle", BUCKETS: "right"}
    plot.moments = [(_x(number), span.word(number), anchor) for number, anchor in anchors.items()]


def _stack(
    plot: Plot, span: Span, number: int, parts: list[tuple[str, float]], top: float, word: Callable[[float], str]
) -> None:
    below = 0.0
    width = (WIDTH - LEFT - RIGHT) / BUCKETS
    for kind, value in parts:
        if value:
            height = max(1.0, _y(0, top) - _y(value, top))
            y = _y(below, top) - height
            title = f"{span.word(number)}: {word(value)}" + (f" {kind}" if len(parts) > 1 else "")
            plot.bars.append(
                Bar(kind, round(_x(number) + 1, 1), round(y, 1), round(width - 2, 1), round(height, 1), title)
            )
            below += value


def _x(number: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * number / BUCKETS


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top, 1)


def _top(most: float) -> float:
    """A round number that is not below it."""
    if most <= 0:
        return 1.0
    step = 1.0
    while step < most:
        step *= 10
    while step >= most:
        step /= 10
    return next(step * times for times in (1, 2, 4, 5, 6, 8, 10) if step * times >= most)
