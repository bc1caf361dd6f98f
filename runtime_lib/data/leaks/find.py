"""All that is suspicious about a split and the figures of the model that was trained on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib.data.columns import Array, Column
from runtime_lib.data.images import digests
from runtime_lib.data.leaks import columns as of_columns
from runtime_lib.data.leaks.keys import counting, key_levels
from runtime_lib.data.leaks.means import encoded, groupings
from runtime_lib.data.leaks.rows import repeated_keys, repeated_rows
from runtime_lib.data.leaks.signal import Counts, Signal, count_categories, count_numbers, least, signals
from runtime_lib.data.leaks.suspect import METRIC, Suspect
from runtime_lib.task.task import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["beside_figures", "find_suspects", "near_perfect"]

_METRIC_LIMIT = 0.99
_DAY = 86_400


def find_suspects(parts: Mapping[str, pd.DataFrame], columns: Sequence[Column], task: Task) -> list[Suspect]:
    """Look for columns and rows that know the label; one suspect a column, the strongest first.

    Text and images are looked at only as parts of rows that come twice.

    Args:
        parts: the tables `train`, `validation` and `test` of the split, with `id`, `time` and `label`.
        columns: the model's inputs.
        task: whose questions of yes and no are looked at, each alone.
    """
    first: dict[str, Suspect] = {}
    for what, whole in _wholes(parts, columns, task):
        found = [*whole.telling(), *whole.clock(), *whole.means(), *whole.keys(), *whole.repeated()]
        for suspect in found:
            why = f"{suspect.why} (asked for {what})" if what else suspect.why
            first.setdefault(suspect.column, replace(suspect, why=why))
    return list(first.values())


def near_perfect(figures: Mapping[str, float]) -> Suspect | None:
    """Figures that are too good: an area under the ROC curve above 0.99, with 95 % confidence.

    Args:
        figures: of held-out rows, as from `task.figures`; without `roc_auc`, `rate` and `rows` there is
            nothing to say.

    At least 268 rows of the rarer label without a mistake, see `signal.least`. Tables on which models are
    honestly that good exist (printed digits, a machine's own states): a person confirms them once.
    """
    if not {"roc_auc", "rate", "rows"} <= set(figures):
        return None
    rarer = round(figures["rows"] * min(figures["rate"], 1 - figures["rate"]))
    if least(figures["roc_auc"], rarer) <= _METRIC_LIMIT:
        return None
    why = (
        f"ROC AUC {figures['roc_auc']:.4f} on {figures['rows']:,.0f} held-out rows: hardly any outcome can "
        f"be known so well beforehand; the label is probably among the inputs, spread over several columns"
    )
    return Suspect(METRIC, "metric", figures["roc_auc"], why)


def beside_figures(suspects: Iterable[Suspect], figures: Mapping[str, float]) -> list[Suspect]:
    """The suspects, one for each column, and the figures where none of these explains how good they are."""
    found: dict[str, Suspect] = {}
    for suspect in suspects:
        found.setdefault(suspect.column, suspect)
    if not any(s.explains_figures for s in found.values()) and (metric := near_perfect(figures)):
        found[metric.column] = metric
    return list(found.values())


@dataclass(frozen=True)
class _Whole:
    """All parts in one, arrays of `n` rows. `texts`: codes, levels; `part`: 0 train, 1 validation, 2 test."""

    numbers: Mapping[str, Array]
    texts: Mapping[str, tuple[Array, list[str]]]
    label: Array
    part: Array
    table: pd.DataFrame
    inputs: list[str]

    def telling(self) -> list[Suspect]:
        counts = self._counts()
        strongest = {name: of_columns.strongest(list(signals(count))) for name, count in counts.items()}
        found = [s for name, signal in strongest.items() if (s := of_columns.told(name, signal))]
        found.sort(key=lambda suspect: -suspect.figure)
        known = {suspect.column for suspect in found}
        rest: dict[str, Signal] = {name: s for name, s in strongest.items() if name not in known}
        found += filter(None, [of_columns.alone(rest)])
        for name in rest:
            levels = self.texts[name][1] if name in self.texts else []
            found += filter(None, [of_columns.certain(name, counts[name], levels)])
            found += filter(None, [of_columns.word(name, counts[name], levels)])
        return found

    def clock(self) -> list[Suspect]:
        if (seconds := self._seconds()) is None:
            return []
        tried = (of_columns.event(name, values, seconds, self.label) for name, values in self.numbers.items())
        return [suspect for suspect in tried if suspect]

    def means(self) -> list[Suspect]:
        seconds = self._seconds()
        day = None if seconds is None or np.isnan(seconds).any() else (seconds // _DAY).astype(np.int64)
        if day is not None:
            day -= day.min()
        groups = list(groupings({name: codes for name, (codes, _) in self.texts.items()}, day))
        tried = (
            encoded(name, values, self.label, self.part, group)
            for name, values in self.numbers.items()
            for group in groups
        )
        return [suspect for suspect in tried if suspect]

    def keys(self) -> list[Suspect]:
        levels = {name: levels for name, (_, levels) in self.texts.items()}
        rows = {name: int((codes >= 0).sum()) for name, (codes, _) in self.texts.items()}
        numbers = (counting(name, values) for name, values in self.numbers.items())
        return [*key_levels(levels, rows), *(suspect for suspect in numbers if suspect)]

    def repeated(self) -> list[Suspect]:
        test = self.part == 2
        by_key = repeated_keys(self.table, test)
        found = by_key or repeated_rows(self.table[self.inputs], self.label, test)
        return [found] if found else []

    def _counts(self) -> dict[str, Counts]:
        held_out = self.part > 0
        counts = {name: count_numbers(v, self.label, held_out) for name, v in self.numbers.items()}
        for name, (codes, levels) in self.texts.items():
            counts[name] = count_categories(codes, len(levels), self.label, held_out)
        return counts

    def _seconds(self) -> Array | None:
        """Of the rows' time, NaN where it is missing; None where `time` is a number that orders the rows."""
        time = self.table["time"]
        if time.dtype.kind != "M":
            return None
        seconds: Any = time.astype("int64").to_numpy("float64") / _per_second(time)
        return np.where(time.isna(), np.nan, seconds)


def _wholes(
    parts: Mapping[str, pd.DataFrame], columns: Sequence[Column], task: Task
) -> Iterator[tuple[str, _Whole]]:
    """What is asked, and all rows with the answers to that."""
    import pandas as pd

    table = pd.concat([parts[name] for name in ("train", "validation", "test")], ignore_index=True)
    sizes = [len(parts[name]) for name in ("train", "validation", "test")]
    numbers = {
        c.name: table[c.name].to_numpy("float64", na_value=np.nan) for c in columns if c.kind == "number"
    }
    texts = {c.name: _factorized(table[c.name]) for c in columns if c.kind == "category"}
    table = table.assign(**{c.name: digests(table[c.name]) for c in columns if c.is_image})
    names, part = [column.name for column in columns], np.repeat([0, 1, 2], sizes)
    for what, label in task.questions(task.read(table["label"])).items():
        yield what, _Whole(numbers, texts, label, part, table, names)


def _per_second(time: Any) -> float:
    return {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[time.dt.unit]


def _factorized(values: Any) -> tuple[Array, list[str]]:
    import pandas as pd

    codes, levels = pd.factorize(values)
    return codes, [str(level) for level in levels]
