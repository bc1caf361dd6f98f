"""The profile of the training data: what live data is compared with.

A profile is a small JSON document (a few kB) that travels with the model, so that monitoring never needs the
training data itself:

    {"format": 2, "task": see `Task.to_dict`, "rows": n,
     "columns": {name: number or category profile, below},
     "answers": {name: profile of the held-out answers}, see `Task.watched`; or null,
     "label": a number that stands for the held-out labels, see `Task.constant`; or null,
     "performance": the held-out metrics with their number of rows, or null}

    number:    {"kind": "number", "rows", "nulls", "edges", "counts", "quantiles": {"0.5": …}}
    category:  {"kind": "category", "rows", "nulls", "counts": {value: n}, "other", "complete"}
    text:      the profile of a number, its length in characters, with "of": {"kind": "text"}
    image:     the profile of a number, its mean brightness from 0 to 1, with "of": the column, see
               `Column.to_dict`

Bin `i` of a number column is `edges[i-1] < x <= edges[i]`; the first and the last bin lie outside the range
seen in training.

Format 1, until 0.6, had no `task`, and `prediction` in place of `answers`: the probability's profile.
Raise `FORMAT` when a reader of the old documents would misread a new one, keep reading the old number in
`read_profile`, and add a document of the old format to the tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime_lib.data.images import brightness
from runtime_lib.errors import DataError
from runtime_lib.files import check_format
from runtime_lib.task.task import Task

if TYPE_CHECKING:
    from runtime_lib.data.columns import Column

__all__ = ["BINS", "FORMAT", "as_categories", "as_numbers", "build_profile", "measured", "read_profile"]

FORMAT = 2
BINS = 20
MOST_VALUES = 1_000  # a column with more values is an identifier: its profile would outgrow the model
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)

Floats = NDArray[np.float64]


def build_profile(
    table: Mapping[str, Any],
    columns: Sequence[Column],
    *,
    task: Task,
    answer: Floats | None = None,
    label: NDArray[Any] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Describe the training rows, and the model's answers on rows it was not trained on.

    Args:
        table: a DataFrame or mapping with the training values of every column, each of shape `(n,)`.
        columns: the model's inputs.
        answer: on `m` held-out rows; those on training rows would look better than life.
        label: of the same held-out rows, `(m,)`.
        metrics: on the same held-out rows, as from `Task.figures`.

    Raises:
        DataError: no rows, a column is missing, a number column holds text or an infinity.
    """
    missing = [c.name for c in columns if c.name not in table]
    if missing:
        raise DataError(f"The training table lacks {', '.join(missing)}: it has {', '.join(table)}.")
    described = {c.name: _describe_column(table[c.name], c) for c in columns}
    rows = {d["rows"] for d in described.values()}
    if rows in ({0}, set()):
        raise DataError("The training table is empty: there is nothing to compare live data with.")
    if len(rows) > 1:
        raise DataError(f"The training table's columns have different lengths: {sorted(rows)}.")
    watched = {} if answer is None else task.watched(answer)
    answers = {name: _describe(values, name, kind) for name, (kind, values) in watched.items()}
    performance = None if metrics is None else {name: float(value) for name, value in metrics.items()}
    return {
        "format": FORMAT,
        "task": task.to_dict(),
        "rows": rows.pop(),
        "columns": described,
        "answers": answers or None,
        "label": None if label is None else task.constant(label),
        "performance": performance,
    }


def read_profile(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document as one of this format.

    Raises:
        DataError: it is of a later format.
    """
    if check_format(profile.get("format"), newest=FORMAT, where="The model's profile") > 1:
        return dict(profile)
    prediction = profile.get("prediction")
    answers = {"probability": prediction} if prediction else None
    label = (prediction or {}).get("label_rate")
    return {**profile, "format": FORMAT, "task": {"kind": "binary"}, "answers": answers, "label": label}


def as_numbers(values: Any, name: str) -> Floats:
    """Return `values` as float64, shape `(n,)`, with NaN for a missing value."""
    try:
        if hasattr(values, "to_numpy"):  # a pandas Series: its own missing values become NaN
            return np.asarray(values.to_numpy(dtype="float64", na_value=np.nan))
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"Column '{name}' is to hold numbers but holds others: {error}.") from error


def as_categories(values: Any) -> list[str | None]:
    """Return `values` as texts, with None for a missing value (None, NaN or pandas' NA)."""
    return [None if _missing(value) else str(value) for value in np.asarray(values, dtype=object)]


def measured(values: Any, kind: str) -> Any:
    """Return what a profile counts of a column's values.

    Args:
        values: as `check_rows` gives them, or as the prediction log holds them.
        kind: of a column: of text the lengths, of images the mean brightness, of others the values.
    """
    if kind == "image":
        return brightness(values)
    if kind == "text":
        return [np.nan if text is None else len(text) for text in as_categories(values)]
    return values


def _missing(value: Any) -> bool:
    # NaN differs from itself; pandas' NA answers no comparison, but has a name.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def _describe_column(values: Any, column: Column) -> dict[str, Any]:
    if column.has_groups:
        return _describe(values, column.name, column.kind)
    described = _describe(measured(values, column.kind), column.name, "number")
    return {**described, "of": column.to_dict() if column.is_image else {"kind": "text"}}


def _describe(values: Any, name: str, kind: str) -> dict[str, Any]:
    if kind == "category":
        return _describe_category(as_categories(values))
    return _describe_number(as_numbers(values, name), name)


def _describe_number(values: Floats, name: str) -> dict[str, Any]:
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise DataError(f"Column '{name}', row {row} is infinite: make it missing or drop the row.")
    present = values[~np.isnan(values)]
    edges = _cut(present) if present.size else np.empty(0)
    quantiles: Any = np.quantile(present, QUANTILES) if present.size else []
    return {
        "kind": "number",
        "rows": int(values.size),
        "nulls": int(values.size - present.size),
        "edges": edges.tolist(),
        "counts": np.bincount(np.searchsorted(edges, present), minlength=edges.size + 1).tolist(),
        "quantiles": {str(q): float(v) for q, v in zip(QUANTILES, quantiles, strict=False)},
    }


def _cut(values: Floats) -> Floats:
    """Edges of equal-mass bins; a value that fills a whole one, like 0 mm of rain, gets a bin of its own."""
    distinct = np.unique(values)
    if distinct.size <= BINS:
        return np.unique(np.append(np.nextafter(distinct[0], -np.inf), distinct))
    # An observed value as edge, not a point between two: the bins of integers stay readable.
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1), method="inverted_cdf")
    heavy = edges[1:][np.diff(edges) == 0]
    return np.unique(np.concatenate([edges, np.nextafter(heavy, -np.inf), [np.nextafter(edges[0], -np.inf)]]))


def _describe_category(values: Sequence[str | None]) -> dict[str, Any]:
    counts = Counter(values)
    nulls = counts.pop(None, 0)
    kept = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:MOST_VALUES]
    return {
        "kind": "category",
        "rows": len(values),
        "nulls": nulls,
        "counts": dict(kept),
        "other": len(values) - nulls - sum(n for _, n in kept),
        "complete": len(kept) == len(counts),
    }
