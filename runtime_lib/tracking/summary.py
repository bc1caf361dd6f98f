"""What a run says of itself in a line: its name, and what changed since the run before it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime_lib.task.kinds import KINDS
from runtime_lib.task.metric import Metric

__all__ = [
    "CHANGED_TAG",
    "ERROR_TAG",
    "KILLED",
    "MODELS",
    "NEEDS_TAG",
    "NOTE_TAG",
    "SINCE_TAG",
    "TRAINER_TAG",
    "WORST_TAG",
    "Known",
    "SideBySide",
    "changes",
    "figure",
    "note",
    "run_name",
    "side_by_side",
]

# What changed, in words, and the name of the run that it was compared with.
CHANGED_TAG, SINCE_TAG = "mlops.changed", "mlops.changed_since"
# Why a run has no model.
ERROR_TAG, KILLED = "mlops.error", "its process was killed"
NEEDS_TAG = "mlops.needs"  # the columns that the model needs most, in words
WORST_TAG = "mlops.worst"  # the held-out row that was answered worst, and why, in words
TRAINER_TAG = "mlops.trainer"  # which of several candidates is kept, by its name
NOTE_TAG = "mlflow.note.content"  # what MLflow shows as a run's description, as Markdown
_MOST = 6  # parameters that are named
# Who is judged on the held-out rows, in the order of tables and drawings.
MODELS = ("candidate", "logistic", "linear", "naive")
_SHOWN = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind().metrics))
_MOST_SHOWN = 2  # of them, the most telling come first


@dataclass(frozen=True)
class Known:
    """A run as the store or the spool holds it; parameters by dotted name, as text."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    status: str = "FINISHED"


@dataclass(frozen=True)
class SideBySide:
    """Each candidate's figure; in words, by how much the best is ahead of the next, with its interval."""

    metric: str
    each: Mapping[str, float]
    ahead: str
    least: str
    most: str


def run_name(run: Known, metric: str) -> str:
    """The newest month, the figure or how it ended, and the network: `2013-09 · 0.7168 · mlp 64-32`.

    MLflow cuts a name in its list, so the figure comes early.
    """
    score = figure(run.metrics, metric)
    end = f"{score:.4f}" if score is not None else run.status.lower()
    if run.status in ("FAILED", "KILLED"):
        end = run.status.lower()
    newest = run.tags.get("mlops.months", "").rpartition(" to ")[2]
    return " · ".join(part for part in (newest, end, _what(run)) if part)


def figure(metrics: Mapping[str, float], metric: str) -> float | None:
    """The metric on the held-out months, before they are judged on the validation months."""
    return metrics.get(f"test/{metric}", metrics.get(f"validation_{metric}"))


def changes(now: Known, before: Known) -> list[str]:
    """What differs between two runs, each in a few words; empty: nothing that is known."""
    found = [*_params(now.params, before.params), *_columns(now.tags, before.tags)]
    moved = {
        words: f"{old} → {new}"
        for tag, words in {"mlops.months": "months", "mlops.version": "library"}.items()
        if (old := before.tags.get(tag)) and (new := now.tags.get(tag)) and old != new
    }
    found += [f"{words} {move}" for words, move in moved.items()]
    if "months" not in moved and now.data and before.data and now.data != before.data:
        found.append("rows of " + ", ".join(sorted(_differing(now.data, before.data))))
    if code := sorted(_differing(_json(now.tags, "mlops.code"), _json(before.tags, "mlops.code"))):
        found.append("code " + ", ".join(code))
    found += _commit(now.tags, before.tags)
    where = [f"{run.tags.get('mlops.framework')} on {run.tags.get('mlops.device')}" for run in (before, now)]
    if "None" not in " ".join(where) and where[0] != where[1]:
        found.append(" → ".join(where))
    return found


def note(run: Known, verdict: str = "") -> str:
    """A run's description as Markdown: what changed, figures, verdict or why it failed, machine."""
    since = f" since {run.tags[SINCE_TAG]}" if SINCE_TAG in run.tags else ""
    parts = [
        f"**Changed{since}**: {run.tags[CHANGED_TAG]}." if CHANGED_TAG in run.tags else "",
        _figures(run.metrics),
        _side_by_side(run),
        f"**Needs most**: {run.tags[NEEDS_TAG]}." if NEEDS_TAG in run.tags else "",
        f"**Worst answer**: {run.tags[WORST_TAG]}." if WORST_TAG in run.tags else "",
        verdict,
        f"**{run.status.capitalize()}**: {run.tags[ERROR_TAG]}." if ERROR_TAG in run.tags else "",
        _trained_on(run.tags),
    ]
    return "\n\n".join(part for part in parts if part)


def _figures(metrics: Mapping[str, float]) -> str:
    """The held-out figures beside those of the baselines, and the epoch that was kept."""
    lines = []
    if "test/rows" in metrics:
        names = [name for name in _SHOWN if f"test/{name}" in metrics][:_MOST_SHOWN]
        told = [f"{name} {metrics[f'test/{name}']:.4f}{_beside(metrics, name)}" for name in names]
        lines.append(f"**On {metrics['test/rows']:,.0f} held-out rows**: {', '.join(told)}.")
    if "kept_epoch" in metrics:
        kept, last = metrics["kept_epoch"], metrics.get("epochs_run", metrics["kept_epoch"])
        lines.append(f"Epoch {kept:.0f} of {last:.0f} is kept.")
    return " ".join(lines)


def side_by_side(metrics: Mapping[str, float], metric: Metric) -> SideBySide | None:
    """How the candidates of a training did on the validation months; None where there was one.

    Args:
        metrics: of the run, by name. metric: the task's first.
    """
    if "ahead" not in metrics:
        return None
    start, end = "trainer/", f"/{metric.name}"
    names = [name for name in metrics if name.startswith(start) and name.endswith(end)]
    form = "{:.4f}" if metric.best else "{:.2%}"
    return SideBySide(
        metric.name,
        {name.removeprefix(start).removesuffix(end): metrics[name] for name in names},
        *(form.format(metrics[name]) for name in ("ahead", "ahead_least", "ahead_most")),
    )


def _side_by_side(run: Known) -> str:
    """Which candidate is kept, and by how much it is ahead; empty where there was one."""
    kind = KINDS.get(run.params.get("task", ""))
    found = side_by_side(run.metrics, kind().metric) if kind else None
    if found is None:
        return ""
    figures = ", ".join(f"{name} {value:.4f}" for name, value in found.each.items())
    return (
        f"**Kept of several**: {run.tags.get(TRAINER_TAG)}, ahead by {found.ahead} ({found.least} to "
        f"{found.most}) in {found.metric} on the validation months ({figures})."
    )


def _beside(metrics: Mapping[str, float], name: str) -> str:
    others = [who for who in reversed(MODELS[1:]) if f"test/{who}/{name}" in metrics]
    told = ", ".join(f"{who} {metrics[f'test/{who}/{name}']:.4f}" for who in others)
    return f" ({told})" if told else ""


def _trained_on(tags: Mapping[str, str]) -> str:
    """Machine, device and plan as Markdown, from the run's tags; empty where they are not known."""
    if "mlops.framework" not in tags:
        return ""
    reasons = _json(tags, "mlops.plan").get("reasons", ())
    return (
        f"Trained on **{tags.get('mlops.chip', 'unknown')}** with **{tags['mlops.framework']}** on "
        f"**{tags.get('mlops.device')}**: {tags.get('mlops.device_reason')}."
        + (f"\n\nPlan: {'; '.join(reasons)}." if reasons else "")
    )


def _what(run: Known) -> str:
    """What was trained: a network with its widths, or the name of another trainer."""
    kept = run.tags.get(TRAINER_TAG, "")
    own = {
        name.removeprefix(f"{kept}."): value for name, value in run.params.items() if name.startswith(kept)
    }
    return _network(own) or kept or run.params.get("trainer", "")


def _network(params: Mapping[str, str]) -> str:
    if "architecture" not in params:
        return ""
    kind = params["architecture"].rpartition(".")[2]
    lists = [v for name, v in params.items() if name != "image" and re.fullmatch(r"\[\d+(, \d+)*\]", v)]
    return f"{kind} {'-'.join(re.findall(r'[0-9]+', ' '.join(lists)))}".strip()


def _params(now: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    # The number of inputs follows from the columns, which are named themselves.
    differing = [name for name in _differing(now, before) if name != "inputs"]
    named = [f"{name} {before.get(name, 'unset')} → {now.get(name, 'unset')}" for name in differing[:_MOST]]
    more = len(differing) - len(named)
    return [*named, f"{more} more parameters"] if more else named


def _columns(now: Mapping[str, str], before: Mapping[str, str]) -> Iterator[str]:
    new, old = _json(now, "mlops.columns"), _json(before, "mlops.columns")
    if not new or not old:
        return
    for words, names in (
        ("with", [name for name in new if name not in old]),
        ("without", [name for name in old if name not in new]),
    ):
        if names:
            more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
            yield f"{words} {', '.join(names[:_MOST])}{more}"


def _commit(now: Mapping[str, str], before: Mapping[str, str]) -> Iterator[str]:
    key = "mlflow.source.git.commit"
    old, new = before.get(key), now.get(key)
    if old and new and old != new:
        yield f"commit {old[:7]} → {new[:7]}"


def _differing(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    if not now or not before:
        return []
    return [name for name in {**now, **before} if now.get(name) != before.get(name)]


def _json(tags: Mapping[str, str], tag: str) -> Any:
    """A tag's content; empty where it is missing, or was cut because it was too long."""
    try:
        return json.loads(tags.get(tag, "{}"))
    except ValueError:
        return {}
