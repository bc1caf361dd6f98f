"""Which changes count.

A column has drifted when, in two of the last three windows,

- the window has rows enough;
- the effect may be as large as matters: its value and 1.645 times its error reach the threshold, else one of
  just that size would be found every other time;
- it is no accident: q < 0.05 after Benjamini-Hochberg across columns;
- it is larger than what is typical of so many rows, and of windows in a row (`profiles.typical`).

Where fewer windows have rows enough, all must agree. Missing values and categories never seen in training
are tests of their own: a merged or dropped cell would hide them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

from runtime_lib.monitoring.drift.column import ColumnDrift, Evidence, WindowDrift
from runtime_lib.monitoring.drift.compare import Compared, RateChange, compare
from runtime_lib.monitoring.drift.reference import Reference
from runtime_lib.profiles import statistics
from runtime_lib.profiles.effects import Name
from runtime_lib.profiles.table import TableProfile
from runtime_lib.profiles.typical import Typical
from runtime_lib.settings import Monitoring

__all__ = ["drift", "threshold_of"]

_TITLES: Mapping[str, str] = {
    "psi": "PSI {:.2f}",
    "ks": "KS distance {:.2f}",
    "wasserstein": "moved by {:.2f} standard deviations",
    "cramers_v": "Cramér's V {:.2f}",
}
_Z = 1.645  # one-sided 95 %


def drift(
    reference: Reference, windows: Sequence[TableProfile], rules: Monitoring | None = None
) -> list[ColumnDrift]:
    """Compare windows with the reference, column by column.

    Args:
        windows: in the order of time, the last `rules.windows` of them decide; each folded by
            `Reference.fold`, of all its columns, or of all but the answers.
        rules: default: those of a project that sets none.

    Returns:
        One entry per column of the windows, those that have drifted first, then by effect.
    """
    rules = rules or Monitoring()
    names = list(windows[0].columns)
    together = _tested(reference, reduce(TableProfile.merge, windows), names)
    judged = [
        _tested(reference, each, names) for each in windows[-rules.windows :] if each.rows >= rules.min_rows
    ]
    found = [
        _decide(name, reference, together[name], [each[name] for each in judged], rules) for name in names
    ]
    return sorted(found, key=lambda c: (not c.drifted, -(c.effect or 0.0)))


@dataclass(frozen=True)
class _Tested:
    """A comparison with its q-values."""

    compared: Compared
    q: float | None
    nulls: RateChange
    unseen: RateChange | None


def _tested(reference: Reference, live: TableProfile, names: Sequence[str]) -> dict[str, _Tested]:
    """Turn p-values into q-values, one family of tests at a time."""
    found = {
        name: compare(reference.profile.columns[name], live.columns[name], reference.measures.get(name, ""))
        for name in names
    }
    shapes = _q({name: c.p for name, c in found.items() if c.p is not None})
    nulls = _q({name: c.nulls.q for name, c in found.items()})
    unseen = _q({name: c.unseen.q for name, c in found.items() if c.unseen})
    return {
        name: _Tested(
            c,
            shapes.get(name),
            replace(c.nulls, q=nulls[name]),
            c.unseen and replace(c.unseen, q=unseen[name]),
        )
        for name, c in found.items()
    }


def _q(p: dict[str, float]) -> dict[str, float]:
    return dict(zip(p, statistics.benjamini_hochberg(list(p.values())), strict=True))


def _decide(
    name: str, reference: Reference, whole: _Tested, windows: Sequence[_Tested], rules: Monitoring
) -> ColumnDrift:
    typical = reference.typical.get(name, Typical())
    shows = [_shows(each, typical, rules) for each in windows]
    evidence = tuple(
        _evidence(effect, whole, windows, shows, typical, rules) for effect in whole.compared.effects
    )
    compared = whole.compared
    # In words as of the window that differs most: all rows together may hide what is new.
    change = max(windows, key=lambda each: _value(each, "psi") or 0.0, default=whole).compared.change
    reasons = _reasons(evidence, change, len(windows))
    nulls, unseen = whole.nulls, whole.unseen
    if _lasts("nulls", windows, shows, typical, rules):
        nulls = replace(nulls, flagged=True)
        reasons.append(f"missing values {nulls.reference:.1%} → {nulls.live:.1%}")
    if unseen and _agree("unseen", shows, rules):
        unseen = replace(unseen, flagged=True)
        reasons.append(f"{unseen.live:.1%} of values never seen in training")
    second: Literal["ks", "cramers_v"] = "ks" if compared.kind == "number" else "cramers_v"
    values = {effect: found.value for effect, found in compared.effects.items()}
    return ColumnDrift(
        name=name,
        kind=compared.kind,
        rows=compared.rows,
        effect=values.get("psi"),
        second=values.get(second),
        second_name=second,
        p=compared.p,
        q=whole.q,
        change=change,
        nulls=nulls,
        unseen=unseen,
        cells=compared.cells,
        reasons=tuple(reasons),
        evidence=evidence,
        windows=tuple(
            WindowDrift(w.compared.rows, _value(w, "psi"), w.q, tuple(s))
            for w, s in zip(windows, shows, strict=True)
        ),
    )


def _shows(window: _Tested, typical: Typical, rules: Monitoring) -> list[str]:
    """What a window shows by itself: names of effects, `nulls`, `unseen`."""
    c, shown = window.compared, []
    if c.present >= rules.min_rows and window.q is not None and window.q < rules.alpha:
        for name, effect in c.effects.items():
            large = effect.value + _Z * effect.error >= threshold_of(name, rules)
            if large and effect.value > typical.of(name, c.present, "once"):
                shown.append(str(name))
    if _rate_shows(window.nulls, rules) and abs(window.nulls.effect) > typical.of("nulls", c.rows, "once"):
        shown.append("nulls")
    if window.unseen and c.present >= rules.min_rows and _rate_shows(window.unseen, rules):
        shown.append("unseen")
    return shown


def _rate_shows(rate: RateChange, rules: Monitoring) -> bool:
    return rate.q < rules.alpha and abs(rate.effect) + _Z * rate.error >= rules.rate_threshold


def threshold_of(name: str, rules: Monitoring) -> float:
    """From where an effect matters."""
    return {
        "psi": rules.drift_threshold,
        "ks": rules.ks_threshold,
        "wasserstein": rules.wasserstein_threshold,
        "cramers_v": rules.cramers_threshold,
    }[name]


def _agree(name: str, shows: Sequence[Sequence[str]], rules: Monitoring) -> bool:
    """Whether windows enough show it: where there are few, all."""
    return bool(shows) and sum(name in each for each in shows) >= min(rules.persistence, len(shows))


def _lasts(
    name: Name,
    windows: Sequence[_Tested],
    shows: Sequence[Sequence[str]],
    typical: Typical,
    rules: Monitoring,
) -> bool:
    """Whether windows agree, and by more than windows that follow each other agree by chance."""
    if not _agree(name, shows, rules):
        return False
    if len(windows) < rules.windows:
        return True
    rows = min(each.compared.rows for each in windows)
    return _reached(name, windows, rules) > typical.of(name, rows, "lasting")


def _reached(name: Name, windows: Sequence[_Tested], rules: Monitoring) -> float:
    """The effect that as many windows have as must agree; 0 without windows."""
    largest = sorted((_value(each, name) or 0.0 for each in windows), reverse=True)
    return largest[min(rules.persistence, len(largest)) - 1] if largest else 0.0


def _value(window: _Tested, name: Name) -> float | None:
    if name == "nulls":
        return abs(window.nulls.effect)
    effect = window.compared.effects.get(name)
    return effect and effect.value


def _evidence(
    name: Name,
    whole: _Tested,
    windows: Sequence[_Tested],
    shows: Sequence[Sequence[str]],
    typical: Typical,
    rules: Monitoring,
) -> Evidence:
    effect = whole.compared.effects[name]
    rows = min((each.compared.rows for each in windows), default=0)
    often: Literal["once", "lasting"] = "lasting" if len(windows) >= rules.windows else "once"
    return Evidence(
        name,
        effect.value,
        _reached(name, windows, rules) if windows else effect.value,
        effect.error,
        effect.bound,
        threshold_of(name, rules),
        typical.of(name, rows, often) if rows else 0.0,
        sum(name in each for each in shows),
        _lasts(name, windows, shows, typical, rules),
    )


def _reasons(evidence: Sequence[Evidence], change: str, windows: int) -> list[str]:
    """The effect that stands out most, in a sentence."""
    found = [each for each in evidence if each.counts]
    if not found:
        return []
    most = max(found, key=lambda each: each.reached / each.threshold)
    usual = f", usual up to {most.typical:.2g}" if most.typical else ""
    title = _TITLES[most.name].format(most.reached)
    seen = f", in {most.windows} of {windows} windows" if windows > 1 else ""
    return [f"{title} (matters from {most.threshold:g}{usual}){seen}: {change}"]
