"""Curves, bars and tables of counts as SVG text: for pages, and as files of their own that MLflow shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from math import ceil, isnan, log10

__all__ = ["OWN", "STYLE", "Series", "alone", "bars", "curves", "matrix", "trend"]

# Colours that stay apart for all kinds of sight, on light and on dark ground.
STYLE = """
.chart { --ink: #1b2430; --muted: #667080; --line: #e3e7ec; --ground: #fff;
  --candidate: #2f6fde; --linear: #b66a00; --naive: #8a94a3; }
@media (prefers-color-scheme: dark) { .chart { --ink: #e7ebf0; --muted: #98a3b3; --line: #2c3540;
  --ground: #1b2129; --candidate: #6ea3ff; --linear: #e3a548; --naive: #7d8896; } }
.chart text { font: 12px system-ui, -apple-system, Roboto, Arial, sans-serif; fill: var(--muted); }
.chart text.strong { fill: var(--ink); } .chart .ground { fill: var(--ground); }
.chart .grid { stroke: var(--line); } .chart .guide { stroke: var(--muted); stroke-dasharray: 4 4; }
.chart .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .candidate, .chart .live { stroke: var(--candidate); }
.chart .logistic, .chart .linear { stroke: var(--linear); }
.chart .naive, .chart .held-out { stroke: var(--naive); }
.chart .bar { fill: var(--candidate); } .chart .minus { fill: var(--naive); }
.chart .mark { stroke: var(--ink); stroke-width: 2; }
.chart circle { fill: var(--ground); stroke-width: 2; } .chart .tint { fill: var(--candidate); }
"""

OWN = """
:root { --v0: #2f6fde; --v1: #b66a00; --v2: #0b8577; --v3: #9c3fb0; --v4: #66740f; --v5: #8a94a3; }
@media (prefers-color-scheme: dark) {
  :root { --v0: #6ea3ff; --v1: #e3a548; --v2: #4cc9bb; --v3: #d48be3; --v4: #b9c75a; --v5: #7d8896; } }
.v0 { --own: var(--v0); } .v1 { --own: var(--v1); --dash: 7 3; } .v2 { --own: var(--v2); --dash: 2 3; }
.v3 { --own: var(--v3); --dash: 9 3 2 3; } .v4 { --own: var(--v4); --dash: 4 4; } .v5 { --own: var(--v5); }
.chart .own { stroke: var(--own); stroke-dasharray: var(--dash); } .chart circle.own { fill: var(--own); }
"""
"""The style of `trend`: one colour and one dash for each of what is watched; `v5` is for all further ones."""

_WIDTH, _HEIGHT = 440, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 46
_BAR = 24
_TREND = 150  # the height of a trend


@dataclass(frozen=True)
class Series:
    """A curve: its name in the legend, its class in `STYLE`, its points from left to right."""

    name: str
    kind: str
    points: Sequence[Sequence[float]]
    dots: bool = False


@dataclass(frozen=True)
class _Axis:
    """From a value to its place in px."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * step / 5 for step in range(6)]


def curves(
    series: Sequence[Series],
    *,
    x: str,
    y: str,
    x_range: tuple[float, float] = (0.0, 1.0),
    y_range: tuple[float, float] = (0.0, 1.0),
    guide: Sequence[Sequence[float]] = (),
    mark: float | None = None,
    names: float | None = 1.0,
) -> str:
    """Draw curves in one frame.

    Args:
        x, y: what the axes show.
        guide: points of a dashed line to compare with.
        mark: where a dashed line stands upright.
        names: how high the curves' names stand at the right, where there are several: 0 below, 1 above; None:
            nowhere.
    """
    across = _Axis(*x_range, _LEFT, _WIDTH - _RIGHT)
    up = _Axis(*y_range, _HEIGHT - _BOTTOM, _TOP)
    parts = [*_frame(across, up, x, y)]
    if guide:
        parts.append(f'<polyline class="guide" fill="none" points="{_path(guide, across, up)}"/>')
    if mark is not None:
        at = across(mark)
        parts.append(f'<path class="guide" d="M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
    for one in reversed(series):  # the first is drawn last, above the others
        parts.append(f'<polyline class="curve {one.kind}" points="{_path(one.points, across, up)}"/>')
        if one.dots:
            parts += [
                f'<circle class="{one.kind}" cx="{across(p[0]):.1f}" cy="{up(p[1]):.1f}" r="3.5"/>'
                for p in one.points
            ]
    if len(series) > 1 and names is not None:
        top = _TOP + 16 + (1 - names) * (_HEIGHT - _TOP - _BOTTOM - 20 * len(series) - 10)
        parts += [_legend(one, top + 20 * place) for place, one in enumerate(series)]
    return _svg("".join(parts), _WIDTH, _HEIGHT, f"{y} against {x}: {', '.join(s.name for s in series)}")


def trend(series: Sequence[Series], *, title: str, times: Sequence[tuple[float, str]]) -> str:
    """Draw figures over time, above zero.

    Args:
        series: each of a kind of `OWN`; a point without a value (NaN) leaves a gap.
        times: from left to right, those that are named below; the first and the last are the ends.
    """
    values = [point[1] for one in series for point in one.points if not isnan(point[1])]
    across = _Axis(times[0][0], times[-1][0], _LEFT, _WIDTH - _RIGHT)
    up = _Axis(0.0, _round_up(max(values, default=1.0)), _TREND - 26, _TOP)
    parts = []
    for tick in (0.0, up.high / 2, up.high):
        at = up(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    for place, (when, name) in enumerate(times):
        side = "start" if not place else "end" if place == len(times) - 1 else "middle"
        at = across(when)
        parts.append(f'<text x="{at:.1f}" y="{_TREND - 8}" text-anchor="{side}">{escape(name)}</text>')
    for one in reversed(series):
        parts += _pieces(one, across, up)
    return _svg("".join(parts), _WIDTH, _TREND, title)


def _pieces(one: Series, across: _Axis, up: _Axis) -> Iterator[str]:
    for known, points in groupby(one.points, key=lambda point: not isnan(point[1])):
        piece = list(points)
        if known and len(piece) > 1:
            yield f'<polyline class="curve own {one.kind}" points="{_path(piece, across, up)}"/>'
        elif known:
            at = f'cx="{across(piece[0][0]):.1f}" cy="{up(piece[0][1]):.1f}"'
            yield f'<circle class="own {one.kind}" {at} r="2"/>'


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, …, of which the half is a short number too."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** ceil(log10(value))
    return next(unit * part for part in (0.2, 0.5, 1.0, 2.0) if unit * part >= value)


def bars(
    items: Sequence[tuple[str, float]],
    *,
    title: str,
    marks: Mapping[str, float] | None = None,
    form: str = ".4f",
) -> str:
    """Draw a bar for each of these names, at least one; a value below zero goes to the left.

    Args:
        marks: a value to compare with, by name. form: of the numbers.
    """
    marks = marks or {}
    values = [*(value for _, value in items), *(marks[name] for name, _ in items if name in marks)]
    low, high = min(0.0, *values), max(1e-12, *values)
    across, height = _Axis(low, high, 150, _WIDTH - 64), len(items) * _BAR + 12
    parts = []
    for place, (name, value) in enumerate(items):
        top, zero, end = 6 + place * _BAR, across(0), across(value)
        right = max(zero, end, across(marks.get(name, low)))
        kind = "minus" if value < 0 else "bar"
        parts.append(
            f'<text class="strong" x="142" y="{top + 16}" text-anchor="end">{escape(_short(name))}'
            f"<title>{escape(name)}</title></text>"
            f'<rect class="{kind}" x="{min(zero, end):.1f}" y="{top + 4}" width="{abs(end - zero):.1f}" '
            f'height="{_BAR - 9}" rx="2"/>'
            f'<text x="{right + 6:.1f}" y="{top + 16}">{value:{form}}</text>'
        )
        if name in marks:
            parts.append(f'<path class="mark" d="M{across(marks[name]):.1f} {top + 1}v{_BAR - 3}"/>')
    return _svg("".join(parts), _WIDTH, height, title)


def matrix(
    counts: Sequence[Sequence[int]], *, rows: Sequence[str], columns: Sequence[str], title: str
) -> str:
    """Draw a table of counts, each with its share of the row, tinted by that share."""
    left, top = min(150, 24 + 7 * max(len(_short(name)) for name in rows)), 34
    side = min(128.0, (_WIDTH - left) / len(columns))
    height = 74 if side > 60 else 40  # of many classes, the share alone has room
    parts = [
        f'<text x="{left + side * (place + 0.5):.0f}" y="22" text-anchor="middle">'
        f"{escape(_fitting(name, side))}<title>{escape(name)}</title></text>"
        for place, name in enumerate(columns)
    ]
    for line, (name, values) in enumerate(zip(rows, counts, strict=True)):
        middle = top + height * line + height / 2
        parts.append(
            f'<text x="{left - 10}" y="{middle + 4:.0f}" text-anchor="end">{escape(_short(name))}'
            f"<title>{escape(name)}</title></text>"
        )
        parts += [
            _cell(value, sum(values) or 1, left + side * place, middle, side, height)
            for place, value in enumerate(values)
        ]
    return _svg("".join(parts), _WIDTH, top + height * len(rows) + 4, title)


def _cell(value: int, whole: int, x: float, middle: float, side: float, height: float) -> str:
    box = f'x="{x:.1f}" y="{middle - height / 2:.1f}" width="{side - 4:.1f}" height="{height - 4}" rx="4"'
    at, share = f'x="{x + side / 2 - 2:.1f}"', f"{value / whole:.1%}"
    if side > 60:
        told = (
            f'<text class="strong" {at} y="{middle - 2:.1f}" text-anchor="middle">{value:,}</text>'
            f'<text {at} y="{middle + 16:.1f}" text-anchor="middle">{share}</text>'
        )
    else:
        share = f"{value / whole:.0%}" if value else ""
        share = share if side > 36 else share.rstrip("%")  # "100%" would be wider than its cell
        told = f'<text {at} y="{middle + 2:.1f}" text-anchor="middle">{share}<title>{value:,}</title></text>'
    tint = f'<rect class="tint" {box} opacity="{0.06 + 0.4 * value / whole:.2f}"/>'
    return f'<rect class="ground" {box}/>{tint}{told}'


def alone(svg: str) -> str:
    """The chart as a file of its own, with its colours and a ground."""
    head, body = svg.split(">", 1)
    # MLflow's page gives an image no size of its own.
    width, height = head.partition('viewBox="0 0 ')[2].partition('"')[0].split()
    ground = '<rect class="ground" width="100%" height="100%"/>'
    size = f'width="{1.5 * int(width):.0f}" height="{1.5 * int(height):.0f}"'
    return f'{head} {size} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{ground}{body}\n'


def _frame(across: _Axis, up: _Axis, x: str, y: str) -> list[str]:
    parts = []
    for tick in up.ticks():
        at = up(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_number(tick, up)}</text>')
    for tick in across.ticks():
        end = _HEIGHT - _BOTTOM + 18
        at = across(tick)
        # A label in the middle of a mark at the edge would be cut.
        side, at = ("end", _WIDTH - 2) if at > _WIDTH - 2 * _RIGHT else ("middle", at)
        parts.append(f'<text x="{at:.1f}" y="{end}" text-anchor="{side}">{_number(tick, across)}</text>')
    middle = (_HEIGHT - _BOTTOM + _TOP) / 2
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>'
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">'
        f"{escape(y)}</text>"
    )
    return parts


def _legend(one: Series, y: float) -> str:
    left = _WIDTH - _RIGHT - 96
    return (
        f'<path class="curve {one.kind}" d="M{left} {y - 4:.1f}h18"/>'
        f'<text class="strong" x="{left + 26}" y="{y:.1f}">{escape(one.name)}</text>'
    )


def _number(value: float, axis: _Axis) -> str:
    span = axis.high - axis.low
    return f"{value:.0f}" if span >= 5 else f"{value:.1f}" if span >= 0.95 else f"{value:.3f}"


def _path(points: Sequence[Sequence[float]], across: _Axis, up: _Axis) -> str:
    return " ".join(f"{across(p[0]):.1f},{up(p[1]):.1f}" for p in points)


def _fitting(name: str, side: float) -> str:
    """As much of a name as stands above a cell; a letter is some 7 px wide."""
    most = max(int(side / 7), 1)
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"


def _svg(body: str, width: int, height: int, title: str) -> str:
    label = escape(title, quote=True)
    return f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{body}</svg>'
