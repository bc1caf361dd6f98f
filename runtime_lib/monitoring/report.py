"""The report as one HTML file that needs no other: no script, no font, no address to load from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

from runtime_lib.drawing.page import fill, safe
from runtime_lib.errors import require
from runtime_lib.files import atomic_file, write_json
from runtime_lib.monitoring.drift import Cell, ColumnDrift
from runtime_lib.monitoring.labelled import drawn
from runtime_lib.monitoring.loop.trail import WORDS
from runtime_lib.monitoring.slices import Slice
from runtime_lib.monitoring.verdict import Verdict

__all__ = ["render", "write_page", "write_report"]

WIDTH, HEIGHT = 190, 44  # of the small bars, in px
_MOST_ROWS = 15  # of a table whose end nobody reads
# matplotlib knows no CSS variables: it draws in these colours, and they are replaced by the page's own.
INK, LIVE, REFERENCE, LIMIT = "#010203", "#010204", "#010205", "#010206"
VARIABLES = {INK: "var(--muted)", LIVE: "var(--live)", REFERENCE: "var(--reference)", LIMIT: "var(--bad)"}


def write_report(verdict: Verdict) -> None:
    """Write `report.json`, and the page with the same figures."""
    write_json(verdict.report_json, verdict.to_dict())
    write_page(verdict, verdict.report_html)


def write_page(verdict: Verdict, path: Path) -> None:
    """Write the report atomically: a browser that reloads gets the old page or the new one."""
    with atomic_file(path) as temporary:
        temporary.write_text(render(verdict), encoding="utf-8")


def render(verdict: Verdict) -> str:
    """Return the page. Names and values come from the data and are escaped."""
    columns = [*verdict.predictions, *sorted(verdict.columns, key=_place)]
    return fill(
        Path(__file__).with_name("report.html.j2"),
        extra="monitoring",
        v=verdict,
        summary=_summary(verdict),
        checks=_checks(verdict),
        columns=columns,
        scale=verdict.rules.drift_threshold * 4,  # one runaway column must not flatten all others
        bars={c.name: safe(_bars(c.cells)) for c in columns},
        chart=safe(_chart(verdict)),
        drawn=[each._replace(svg=safe(each.svg)) for each in drawn(verdict.labelled, verdict.performance)],
        tests=_tests,
        reached=_reached,
        usual=_is_usual,
        ticks=_ticks(verdict.timeline.days),
        shade=_shade,
        shown=lambda column: sum(bool(window.shows) for window in column.windows),
        most=_MOST_ROWS,
        slices=[each for each in verdict.slices if _is_below(each, verdict.performance.best)],
        words=WORDS,
        period=_span(verdict.first, verdict.last),
    )


def _summary(v: Verdict) -> str:
    if v.state == "early":
        return f"{v.rows:,} predictions so far; a decision on drift needs {v.rules.min_rows:,}."
    drifted = [c.name for c in v.columns if c.drifted]
    inputs = (
        f"{len(drifted)} of {len(v.columns)} inputs drifted"
        if drifted
        else f"None of {len(v.columns)} inputs drifted"
    )
    answer = "and so did the prediction." if v.prediction_drifted else "and the prediction did not."
    if not drifted:
        answer = "but the prediction did." if v.prediction_drifted else "nor did the prediction."
    return f"{inputs}, {answer} {v.performance.reason}"


def _checks(v: Verdict) -> list[dict[str, Any]]:
    """The three conditions for retraining, each with what was needed and found."""
    p = v.performance
    known, limit = p.live is not None and p.held_out is not None, p.limit(v.rules.max_drop) or 0.0
    side, worse, beyond = ("upper", "below", "less") if p.best else ("lower", "above", "more")
    return [
        {
            "what": "Labelled predictions",
            "needed": f"at least {v.rules.min_rows:,}",
            "found": f"{p.labelled:,}",
            "met": p.labelled >= v.rules.min_rows,
        },
        {
            "what": f"Live {p.title}",
            "needed": f"{v.rules.max_drop:.0%} {worse} held-out: {limit:.3f} or {beyond}"
            if p.held_out
            else "no held-out figure",
            "found": f"{p.live:.3f}" if p.live is not None else "unknown",
            "met": known and (p.drop or 0.0) >= v.rules.max_drop,
        },
        {
            "what": f"Its 95 % {side} bound",
            "needed": f"{worse} held-out: {p.held_out:.3f}" if p.held_out else "no held-out figure",
            "found": f"{p.bound:.3f}" if p.bound is not None else "unknown",
            "met": known and p.surely_worse,
        },
    ]


def _tests(column: ColumnDrift) -> list[tuple[str, str, bool]]:
    """The side tests of a column as (what, figure, flagged)."""
    nulls = column.nulls
    found = []
    if nulls.reference or nulls.live:
        found.append(("missing", f"{nulls.reference:.1%} → {nulls.live:.1%}", nulls.flagged))
    if column.unseen and column.unseen.live:
        found.append(("unseen", f"{column.unseen.live:.1%}", column.unseen.flagged))
    return found


def _reached(column: ColumnDrift, name: str) -> float:
    """The effect that the verdict rests on."""
    return next((each.reached for each in column.evidence if each.name == name), 0.0)


def _place(column: ColumnDrift) -> tuple[bool, float]:
    """Where the page lists it: what has drifted first, then by the effect that is shown."""
    return not column.drifted, -_reached(column, "psi")


def _is_usual(column: ColumnDrift) -> bool:
    """Whether what would matter shows in no window, as the training rows varied as much themselves."""
    if column.drifted or any(window.shows for window in column.windows):
        return False
    large = [each for each in column.evidence if each.reached >= each.threshold]
    return bool(large) and all(each.reached <= each.typical for each in large)


def _ticks(days: Sequence[str]) -> list[dict[str, Any]]:
    """Where a date is written above the days: at the first, and each so many further."""
    step = max(1, -(-len(days) // 6))
    return [
        {
            "place": at,
            "span": min(step, len(days) - at),
            "label": _day(days[at]),
        }
        for at in range(0, len(days), step)
    ]


def _is_below(each: Slice, best: float) -> bool:
    return each.live < each.others if best else each.live > each.others


def _day(name: str) -> str:
    return f"{datetime.fromisoformat(name):%-d %b}"


def _shade(effect: float | None) -> str:
    """How a day is drawn, by how many times its largest effect is what matters."""
    if effect is None:
        return "none"
    return "over" if effect > 2 else "near" if effect >= 1 else "some" if effect >= 0.5 else ""


def _span(first: datetime, last: datetime) -> str:
    if first.date() == last.date():
        return f"{first:%-d %b %Y, %H:%M} to {last:%H:%M} UTC"
    return f"{first:%-d %b %Y} to {last:%-d %b %Y}"


def _bars(cells: Sequence[Cell]) -> str:
    """Draw reference (wide, pale) behind live (narrow) per cell as SVG; each shows its shares on hover."""
    if not cells:
        return ""
    top = max(max(c.reference, c.live) for c in cells) or 1.0
    step = WIDTH / len(cells)
    parts = []
    for i, cell in enumerate(cells):
        parts.append(f"<g><title>{escape(cell.label)}: {cell.reference:.1%} → {cell.live:.1%}</title>")
        for share, inset, kind in ((cell.reference, 0.06, "reference"), (cell.live, 0.26, "live")):
            height = share / top * (HEIGHT - 2)
            parts.append(
                f'<rect class="{kind}" x="{(i + inset) * step:.1f}" y="{HEIGHT - height:.1f}" '
                f'width="{(1 - 2 * inset) * step:.1f}" height="{height:.1f}"/>'
            )
        parts.append("</g>")
    return f'<svg class="bars" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def _chart(v: Verdict) -> str:
    """Performance and the number of labels per day or week, as SVG in the page's colours."""
    require("matplotlib", extra="monitoring")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style = {"svg.fonttype": "none", "svg.hashsalt": "report", "font.family": "sans-serif", "font.size": 10}
    out = StringIO()
    with mpl.rc_context(style):
        figure = Figure(figsize=(9.6, 3.9), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw_performance(above, v)
        _draw_counts(below, v)
        for axes in (above, below):
            _plain(axes)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    drawn = out.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    for colour, variable in VARIABLES.items():
        drawn = drawn.replace(colour, variable)
    return drawn.replace("<svg ", '<svg class="time" role="img" ', 1)


def _draw_performance(axes: Any, v: Verdict) -> None:
    p = v.performance
    known = [(i, q) for i, q in enumerate(v.periods) if q.live is not None]
    at = [i for i, _ in known]
    if known:
        axes.vlines(
            at, [q.lower for _, q in known], [q.upper for _, q in known], color=LIVE, alpha=0.35, lw=5
        )
        axes.plot(at, [q.live for _, q in known], "o-", color=LIVE, ms=5, lw=1.5)
    end = len(v.periods) - 0.45
    if p.held_out is not None:
        limit, sides = p.limit(v.rules.max_drop) or 0.0, ("bottom", "top") if p.best else ("top", "bottom")
        lines = ((p.held_out, REFERENCE, "-", sides[0], "held-out"), (limit, LIMIT, "--", sides[1], "limit"))
        for height, colour, dash, side, text in lines:
            axes.axhline(height, color=colour, ls=dash, lw=1.4)
            axes.text(end, height, f" {text} {height:.3f}", color=INK, va=side, ha="left", fontsize=9)
    if not known:
        middle = p.held_out or 0.5
        around = 0.15 if p.best else 0.3 * middle
        axes.set_ylim(middle - around, middle + around)
        axes.text(0.5, 0.8, "too few labels for a figure", transform=axes.transAxes, color=INK, ha="center")
    axes.set_ylabel(f"{p.title}, 90 % interval", color=INK)


def _draw_counts(axes: Any, v: Verdict) -> None:
    at = range(len(v.periods))
    axes.bar(at, [q.predictions for q in v.periods], color=REFERENCE, alpha=0.45, width=0.7)
    axes.bar(at, [q.labelled for q in v.periods], color=LIVE, width=0.4)
    shown = [i for i in at if i % (len(v.periods) // 12 + 1) == 0]
    axes.set_xticks(shown, [f"{datetime.fromisoformat(v.periods[i].start):%-d %b}" for i in shown])
    axes.set_xlim(-0.55, len(v.periods) - 0.45)
    axes.yaxis.set_major_locator(_ticker().MaxNLocator(2, integer=True))
    axes.set_ylabel("rows", color=INK)


def _ticker() -> Any:
    from matplotlib import ticker

    return ticker


def _plain(axes: Any) -> None:
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(INK)
    axes.tick_params(colors=INK, length=0)
    axes.grid(axis="y", color=INK, alpha=0.15, lw=0.7)
    axes.set_axisbelow(True)
