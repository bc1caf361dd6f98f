"""Skew: whether rows get other features when they are scored than they got in training.

Found before it happens, on a sample of raw rows, in a test of the project. What has happened is found by
monitoring, in the prediction log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from runtime_lib.data.features import Features
from runtime_lib.data.raw import RawTypes, as_json, as_lists, as_stored
from runtime_lib.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ColumnSkew", "check_scoring", "compare", "needed_columns"]


@dataclass(frozen=True)
class ColumnSkew:
    """An input whose served values differ from those of training, with the first row where it does."""

    name: str
    rows: int
    id: str
    served: Any
    trained: Any

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        trained, served = ("missing" if v is None else f"{v!r:.80}" for v in (self.trained, self.served))
        rows = f"{self.rows:,} row{'s'[: self.rows != 1]}"
        return f"'{self.name}' in {rows} (id {self.id}: {trained} in training, {served} when scored)"


def compare(served: pd.DataFrame, trained: pd.DataFrame, columns: Sequence[str]) -> list[ColumnSkew]:
    """Compare inputs of the same `n` rows, in the same order; numbers to the last digit.

    Args:
        served: with a column `id`, an index from 0, and those of `columns` that it has.
        trained: the same of training.
        columns: to compare; where one side lacks a column, each row differs.
    """
    found = []
    for name in columns:
        ours, theirs = _plain(served, name), _plain(trained, name)
        different = [row for row, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]
        if different:
            first = different[0]
            found.append(
                ColumnSkew(name, len(different), str(served["id"].iloc[first]), ours[first], theirs[first])
            )
    return found


def check_scoring(
    features: Callable[[pd.DataFrame], pd.DataFrame],
    label: Callable[[pd.DataFrame], pd.Series[Any]] | None,
    raw: pd.DataFrame,
    *,
    later: Sequence[str] = (),
    rows: int = 20,
) -> None:
    """Check that rows which a server gets one by one have the features of the whole table.

    Each row goes through JSON and the types of the raw columns, as in a request, and is compared with its
    features among all rows. Then what is not known yet is blanked: the columns that `label` needs and
    `features` does not, and those of `later`.

    Args:
        features: the project's function of that name.
        label: the project's function of that name; None where it has none.
        raw: some hundred raw rows, as `load` returns them.
        later: raw columns that get their values after the prediction.
        rows: how many are sent one by one.

    Raises:
        DataError: names each column that differs, with a row and both values.
    """
    both = Features(features, label)
    file = BytesIO()
    raw.to_parquet(file, index=False)
    types, raw = RawTypes.of([file]), as_stored(raw)
    step = max(1, len(raw) // rows)
    whole = both.inputs(raw, "the sample").reset_index(drop=True)
    alone = _one_by_one(both, types, raw.iloc[::step])
    # In a project made before 0.6, rows are missing on both sides.
    same = whole.iloc[::step] if label else whole[whole["id"].isin(alone["id"])]
    _refuse(alone, same.reset_index(drop=True), "sent one by one as JSON")
    unknown = sorted({*later, *(_outcome(both, raw.head(rows)) if label else ())})
    blank = types.cast(raw.assign(**{name: None for name in unknown if name in raw.columns}))
    again = both.inputs(blank, f"the sample without {', '.join(unknown)}").reset_index(drop=True)
    _refuse(again, whole, f"without {', '.join(unknown)}")


def needed_columns(function: Callable[[pd.DataFrame], object], raw: pd.DataFrame) -> list[str]:
    """Return the raw columns without which `function` fails, found by trying."""

    def fails(name: str) -> bool:
        try:
            function(raw.drop(columns=name))
        except Exception:  # whatever the project's function does without it
            return True
        return False

    return [str(name) for name in raw.columns if fails(name)]


def _one_by_one(both: Features, types: RawTypes, picked: pd.DataFrame) -> pd.DataFrame:
    """The inputs of each row as of a request of its own."""
    import pandas as pd

    parts = []
    for row in range(len(picked)):
        sent = json.loads(json.dumps(as_json(picked.iloc[row : row + 1]), allow_nan=False))
        parts.append(both.inputs(types.parse(sent), "a single row"))
    return pd.concat(parts, ignore_index=True)


def _outcome(both: Features, raw: pd.DataFrame) -> set[str]:
    """The raw columns that `label` needs and `features` does not."""
    assert both.label is not None
    return set(needed_columns(both.label, raw)) - set(needed_columns(both.features, raw))


def _refuse(served: pd.DataFrame, trained: pd.DataFrame, how: str) -> None:
    if len(served) != len(trained):
        raise DataError(f"features() returned {len(served):,} rows {how}, and {len(trained):,} of them all.")
    if found := compare(served, trained, list(trained.columns)):
        raise DataError(
            f"Rows have other features {how}: {'; '.join(map(str, found))}. features() may use nothing of "
            f"other rows, nothing that is not known yet, and nothing that a type decides."
        )


def _plain(table: pd.DataFrame, name: str) -> list[Any]:
    """The values as comparable ones: a missing value is None, a number a float, an image nested lists."""
    if name not in table.columns:
        return ["(no column)"] * len(table)
    column = table[name]
    if column.dtype.kind in "biuf":
        column = column.astype("float64")
    return [
        None if missing else as_lists(value)
        for value, missing in zip(column.tolist(), column.isna(), strict=True)
    ]
