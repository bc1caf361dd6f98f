"""The champion as a rival: next to the candidate on the held-out table, or what stands in for that.

It is judged on the same rows as the candidate, and compared row by row. Where it cannot predict them, the
figures of its own promotion will do if they are of the same rows. Figures of other rows are compared with
nothing: a worse model could pass by a changed column, and a better one be refused for ever.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError, MissingExtraError, ModelError
from runtime_lib.registry.files import fetch
from runtime_lib.registry.gate import Other
from runtime_lib.registry.versions import figures_of, held_out
from runtime_lib.settings import Settings
from runtime_lib.task.metric import Metric
from runtime_lib.task.task import Task
from runtime_lib.training.judge import answer_table, open_model
from runtime_lib.training.model import read_columns

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["Judged", "Rival", "fingerprint", "rival"]


@dataclass(frozen=True)
class Judged:
    """The candidate on the held-out table: labels and answers `(n, …)`, and its task."""

    folder: Path
    task: Task
    metric: Metric
    label: Array
    answer: Array


@dataclass(frozen=True)
class Rival:
    """The champion beside the candidate (None: no comparison), a `note`, and whether it `blocks` without."""

    beside: Other | None
    note: str = ""
    blocks: bool = False


def rival(settings: Settings, holder: ModelVersion, candidate: Judged, table: pd.DataFrame) -> Rival:
    """Judge the champion on the held-out table, or say what stands in for that.

    Args:
        holder: the champion's version.
        candidate: what is judged next to it.
        table: the held-out rows, with `id` and `label`.
    """
    try:
        held = fetch(settings, holder)
        model = open_model(settings, held.folder)
        if model.task.kind != candidate.task.kind:
            return Rival(None, _another_task(holder, model.task, candidate.task), blocks=True)
        theirs = answer_table(settings, model, table)
    except (DataError, ModelError, MissingExtraError) as error:
        return _unjudged(settings, holder, candidate, table, error)
    try:
        return Rival(_beside(candidate, candidate.task.translate(theirs, model.task)))
    except DataError as error:
        why = f"the champion (version {holder.version}) cannot be compared: {error}"
        return Rival(None, why, blocks=True)


def _unjudged(
    settings: Settings, holder: ModelVersion, candidate: Judged, table: pd.DataFrame, error: Exception
) -> Rival:
    """What stands in for a champion that does not answer for these rows."""
    why = f"the champion (version {holder.version}) cannot be judged on this test table: {error}"
    figures = held_out(holder)
    if figures and figures_of(holder).get("table") == fingerprint(table):
        note = f"{why} Its figures at its own promotion are of these rows too."
        return Rival(_apart(candidate, figures), note)
    if _shares_nothing(settings, holder, candidate):
        return Rival(None, f"{why} It shares no column with this model: another problem, and no rival.")
    return Rival(None, f"{why} Its own figures are of other rows, so nothing can be compared.", blocks=True)


def _beside(candidate: Judged, answer: Array) -> Other:
    gain = candidate.metric.compare(candidate.label, candidate.answer, answer)
    return Other(candidate.task.figures(candidate.label, answer), gain)


def _apart(candidate: Judged, figures: Mapping[str, float]) -> Other:
    """By two figures of the same rows; how they vary together is not known, so the error is that of both."""
    metric = candidate.metric
    value, error = (
        metric.value(candidate.label, candidate.answer),
        metric.error(candidate.label, candidate.answer),
    )
    return Other(figures, metric.apart(value, figures.get(metric.name, math.nan), (error, error)))


def _another_task(holder: ModelVersion, theirs: Task, ours: Task) -> str:
    return (
        f"the champion (version {holder.version}) answers a {theirs.kind} task, this model a {ours.kind} "
        f"one: they cannot be compared, and whoever asks the champion would get other answers."
    )


def fingerprint(table: pd.DataFrame) -> str:
    """Identify the rows by their ids and labels, in any order, whatever their columns: sha256, as hex."""
    from pandas.api.types import is_numeric_dtype

    label = table["label"]
    known = label.astype("float64") if is_numeric_dtype(label) else label
    rows = sorted(f"{row}\t{value}\n" for row, value in zip(table["id"], known, strict=True))
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _shares_nothing(settings: Settings, holder: ModelVersion, candidate: Judged) -> bool:
    try:
        columns = read_columns(fetch(settings, holder).folder)
    except ModelError:  # unreadable: in doubt it is a rival
        return False
    return not {c.name for c in columns} & {c.name for c in read_columns(candidate.folder)}
