"""The page at `/`: the state of a server as HTML, which needs no script and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

from runtime_lib.drawing import charts
from runtime_lib.drawing.page import fill, safe
from runtime_lib.serving.page.troubles import Trouble, troubles
from runtime_lib.serving.status import SERIES_SECONDS, WHOLE, Change, Status
from runtime_lib.units import amount

__all__ = ["render"]

_COLOURS = 6  # of `charts.OWN`
_KINDS = {
    "single": "one version",
    "canary": "canary",
    "ab": "A/B test",
    "blue-green": "blue-green",
    "bandit": "bandit",
    "custom": "set by hand",
}


class _Tile(NamedTuple):
    title: str
    figure: str
    note: str = ""


def render(status: Status, *, reload: int = 10) -> str:
    """Return the page. All text of the status is escaped.

    Args:
        reload: seconds after which a browser loads it again; 0: not by itself.
    """
    found = troubles(status)
    colours = {v.version: f"v{min(i, _COLOURS - 1)}" for i, v in enumerate(status.versions)}
    return fill(
        Path(__file__).with_name("overview.html.j2"),
        extra="serve",
        s=status,
        own=safe(charts.OWN),
        tone=found[0].tone if found else "good",
        headline=_headline(found, status),
        troubles=found,
        asked=any(version.requests for version in status.versions),
        tiles=_tiles(status),
        kind=_KINDS[status.traffic.kind],
        shares=sorted(status.traffic.weights.items(), key=lambda item: -item[1]),
        colours=colours,
        charts=[*_charts(status, colours)],
        history=sorted(status.history, key=lambda change: change.time, reverse=True),
        moved=_moved,
        share=_share,
        figure=_figure,
        amount=amount,
        when=lambda time: _when(time, status.time),
        reload=reload,
    )


def _headline(found: list[Trouble], status: Status) -> str:
    if not any(worker.ready for worker in status.workers):
        return "Not ready"
    if status.log.failing:
        return "Not answering"
    if found:
        return "In trouble" if found[0].tone == "bad" else "Worth a look"
    return "All is well"


def _tiles(status: Status) -> Iterator[_Tile]:
    requests, errors = (sum(getattr(v, what) for v in status.versions) for what in ("requests", "errors"))
    rates = [v.rate_per_s for v in status.versions if v.rate_per_s is not None]
    ready = sum(worker.ready for worker in status.workers)
    slowest = [v.p99_ms for v in status.versions if v.weight and v.p99_ms is not None]
    yield _Tile("Requests", f"{requests:,}", f"{sum(v.rows for v in status.versions):,} rows")
    yield _Tile("A second", _figure(sum(rates) if rates else None), "over the last minute")
    yield _Tile("Slowest hundredth", _figure(max(slowest, default=None), "ms"), "p99, over the last minute")
    yield _Tile("Failed", f"{errors:,}", _part(errors, requests))
    yield _Tile("Workers ready", f"{ready} of {len(status.workers)}", f"engine {status.engine}")


def _charts(status: Status, colours: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """A title and a drawing each, of what there is a series of."""
    if not status.series:
        return
    start, end = (status.series[place].time for place in (0, -1))
    middle = start + (end - start) / 2
    times = [(time.timestamp(), f"{time:%H:%M}") for time in (start, middle, end)]
    asked = [version for version in colours if any(point.requests.get(version) for point in status.series)]
    told: dict[str, dict[str, list[tuple[float, float]]]] = {
        "Requests a second": {
            version: [
                (p.time.timestamp(), p.requests.get(version, 0) / SERIES_SECONDS) for p in status.series
            ]
            for version in asked
        },
        "Slowest hundredth (p99), ms": {
            version: [(p.time.timestamp(), _known(p.p99_ms.get(version))) for p in status.series]
            for version in asked
        },
    }
    for title, each in told.items():
        series = [charts.Series(version, colours[version], points) for version, points in each.items()]
        yield title, safe(charts.trend(series, title=title, times=times))


def _part(count: int, whole: int) -> str:
    if not count:
        return "none" if whole else ""
    share = count / whole
    return f"{share:.2%} of the requests" if share >= 1e-4 else "fewer than 1 in 10,000"


def _known(value: float | None) -> float:
    return nan if value is None else value


def _share(weight: int) -> str:
    """A weight as a percentage: `25` → `2.5 %`."""
    return f"{weight * 100 / WHOLE:g}\u00a0%"


def _figure(value: float | None, unit: str = "") -> str:
    """Three digits, or as many as a whole number has: `1234.5` → `1,234`, `0.01234` → `0.0123`."""
    if value is None:
        return "—"
    size = abs(value)
    told = f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"
    return f"{told} {unit}".rstrip()


def _moved(change: Change) -> str:
    """The versions whose weights changed: `5: 100 % → 90 %, 7: 0 % → 10 %`."""
    before, after = change.before or {}, change.after or {}
    return ", ".join(
        f"{version}: {_share(before.get(version, 0))} → {_share(after.get(version, 0))}"
        for version in {**before, **after}
        if before.get(version, 0) != after.get(version, 0)
    )


def _when(time: datetime, now: datetime) -> str:
    """The time of day, with the date where that is another than now's."""
    same = time.date() == now.date()
    return f"{time:%H:%M:%S}" if same else f"{time:%-d %b %Y, %H:%M}"
