"""The champion as a rival: its figures on the held-out table, or what stands in for them where it has none.

It is judged on the same rows as the candidate. Where it cannot predict them, the figures of its own
promotion will do if they are of the same rows. Figures of other rows are compared with nothing: a worse model
could pass by a changed column, and a better one be refused for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime_lib.errors import DataError, MissingExtraError, ModelError
from runtime_lib.registry.files import Champion, fetch
from runtime_lib.registry.versions import figures_of, held_out
from runtime_lib.settings import Settings
from runtime_lib.training.judge import judge_table, open_model
from runtime_lib.training.model import read_columns

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["Rival", "fingerprint", "rival"]


@dataclass(frozen=True)
class Rival:
    """The champion's `figures` (None: none that count), a `note` on them, and whether it `blocks` without."""

    figures: Mapping[str, float] | None
    note: str = ""
    blocks: bool = False


def rival(settings: Settings, holder: ModelVersion, candidate: Champion, table: pd.DataFrame) -> Rival:
    """Judge the champion on the held-out table, or say what stands in for that.

    Args:
        holder: the champion's version.
        candidate: what is judged next to it.
        table: the held-out rows, with `id` and `label`.
    """
    try:
        held = fetch(settings, holder)
        return Rival(judge_table(settings, open_model(settings, held.folder), table))
    except (DataError, ModelError, MissingExtraError) as error:
        why = f"the champion (version {holder.version}) cannot be judged on this test table: {error}"
    if figures_of(holder).get("table") == fingerprint(table):
        return Rival(held_out(holder), f"{why} Its figures at its own promotion are of these rows too.")
    if _shares_nothing(settings, holder, candidate):
        return Rival(None, f"{why} It shares no column with this model: another problem, and no rival.")
    return Rival(None, f"{why} Its own figures are of other rows, so nothing can be compared.", blocks=True)


def fingerprint(table: pd.DataFrame) -> str:
    """Identify the rows by their ids and labels, in any order, whatever their columns: sha256, as hex."""
    from pandas.api.types import is_numeric_dtype

    label = table["label"]
    known = label.astype("float64") if is_numeric_dtype(label) else label
    rows = sorted(f"{row}\t{value}\n" for row, value in zip(table["id"], known, strict=True))
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _shares_nothing(settings: Settings, holder: ModelVersion, candidate: Champion) -> bool:
    try:
        columns = read_columns(fetch(settings, holder).folder)
    except ModelError:  # unreadable: in doubt it is a rival
        return False
    return not {c.name for c in columns} & {c.name for c in read_columns(candidate.folder)}
