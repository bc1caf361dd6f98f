"""The profile of the training data: what live data is compared with.

A profile is a small JSON document (some kB a column) that travels with the model, so that monitoring never
needs the training data itself:

    {"format": 2, "task": see `Task.to_dict`, "rows": n,
     "columns": {name: see `profiles.stored`, with "typical": see `profiles.typical`},
     "answers": {name: the same of the held-out answers}, see `Task.watched`; or null,
     "label": a number that stands for the held-out labels, see `Task.constant`; or null,
     "performance": the held-out metrics with their number of rows, or null}

    text:      the profile of a number, its length in characters, with "of": {"kind": "text"}
    image:     the profile of a number, its mean brightness from 0 to 1, with "of": the column, see
               `Column.to_dict`

Format 1, until 0.6, had no `task`, and `prediction` in place of `answers`: the probability's profile. Until
0.8 a column of numbers had some twenty bins, and nothing was typical. Raise `FORMAT` when a reader of the old
documents would misread a new one, keep reading the old number in `read_profile`, and add a document of the
old format to the tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime_lib.data.images import brightness
from runtime_lib.errors import DataError
from runtime_lib.files import check_format
from runtime_lib.profiles.blocks import Places, places_of_names, places_of_numbers
from runtime_lib.profiles.category import CategoryFold, CategoryProfile
from runtime_lib.profiles.effects import cells_of
from runtime_lib.profiles.number import NumberFold, NumberProfile
from runtime_lib.profiles.stored import to_dict
from runtime_lib.profiles.typical import vary
from runtime_lib.profiles.values import coded_names, is_missing
from runtime_lib.task.task import Task

if TYPE_CHECKING:
    from runtime_lib.data.columns import Column

__all__ = ["FORMAT", "as_categories", "as_numbers", "build_profile", "measured", "read_profile"]

FORMAT = 2

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]
# Numbers, or what `coded_names` gives.
_Column = Floats | tuple[list[str], NDArray[np.intp]]


def build_profile(
    table: Mapping[str, Any],
    columns: Sequence[Column],
    *,
    task: Task,
    answer: Floats | None = None,
    label: NDArray[Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    time: Times | None = None,
    answer_time: Times | None = None,
) -> dict[str, Any]:
    """Describe the training rows, and the model's answers on rows it was not trained on.

    Args:
        table: a DataFrame or mapping with the training values of every column, each of shape `(n,)`.
        columns: the model's inputs.
        answer: on `m` held-out rows; those on training rows would look better than life.
        label: of the same held-out rows, `(m,)`.
        metrics: on the same held-out rows, as from `Task.figures`.
        time: of the training rows, `(n,)`; default: they come in their order of time.
        answer_time: of the held-out rows, `(m,)`.

    Raises:
        DataError: no rows, a column is missing, a number column holds text or an infinity.
    """
    missing = [c.name for c in columns if c.name not in table]
    if missing:
        raise DataError(f"The training table lacks {', '.join(missing)}: it has {', '.join(table)}.")
    lengths = {len(table[c.name]) for c in columns}
    if lengths in ({0}, set()):
        raise DataError("The training table is empty: there is nothing to compare live data with.")
    if len(lengths) > 1:
        raise DataError(f"The training table's columns have different lengths: {sorted(lengths)}.")
    described = _describe({c.name: _values(table[c.name], c) for c in columns}, time)
    for column in columns:
        if not column.has_groups:
            described[column.name]["of"] = column.to_dict() if column.is_image else {"kind": "text"}
    watched = {} if answer is None else task.watched(answer)
    answers = _describe(
        {
            name: coded_names(values) if kind == "category" else as_numbers(values, name)
            for name, (kind, values) in watched.items()
        },
        answer_time,
    )
    performance = None if metrics is None else {name: float(value) for name, value in metrics.items()}
    return {
        "format": FORMAT,
        "task": task.to_dict(),
        "rows": lengths.pop(),
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
    return [None if is_missing(value) else str(value) for value in np.asarray(values, dtype=object)]


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


def _values(values: Any, column: Column) -> _Column:
    if column.kind == "category":
        return coded_names(values)
    return as_numbers(measured(values, column.kind), column.name)


def _describe(table: Mapping[str, _Column], time: Times | None) -> dict[str, Any]:
    """The profile of each column, and how much it varies."""
    profiles = {name: _profile(name, values) for name, values in table.items()}
    ordered = time is None or bool((np.diff(time) >= np.timedelta64(0)).all())
    order = None if ordered or time is None else np.argsort(time, kind="stable")
    typical = vary(_places(table, profiles, order))
    return {
        name: {**to_dict(profile), "typical": typical[name].to_dict()} for name, profile in profiles.items()
    }


def _profile(name: str, values: _Column) -> NumberProfile | CategoryProfile:
    if isinstance(values, tuple):
        names, codes = values
        *counts, nulls = np.bincount(codes, minlength=len(names) + 1).tolist()
        fold = CategoryFold()
        fold.add(dict(zip(names, counts, strict=True)), nulls)
        return fold.profile()
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise DataError(f"Column '{name}', row {row} is infinite: make it missing or drop the row.")
    numbers = NumberFold()
    numbers.add(values)
    return numbers.profile()


def _places(
    table: Mapping[str, _Column],
    profiles: Mapping[str, NumberProfile | CategoryProfile],
    order: NDArray[Any] | None,
) -> Iterator[tuple[str, NumberProfile | None, int, Places]]:
    for name, values in table.items():
        profile = profiles[name]
        if isinstance(profile, NumberProfile):
            size, places = profile.counts.size, places_of_numbers(profile, np.asarray(values))
        else:
            labels = cells_of(profile, profile).labels
            size, places = len(labels) - 1, places_of_names(labels, *values)
        numbers = profile if isinstance(profile, NumberProfile) else None
        yield name, numbers, size, places if order is None else places[order]
