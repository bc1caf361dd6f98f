"""A column of a batch, whatever the batch is: pandas from the months, Arrow from the log."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError

if TYPE_CHECKING:
    from runtime_lib.data.quality.rule import Rule

__all__ = ["as_mask", "column", "column_names", "frame", "mistyped"]


def column_names(batch: Any) -> list[str]:
    """The names of a DataFrame's, an Arrow table's or a record batch's columns."""
    return [*batch.columns] if hasattr(batch, "iloc") else [*batch.schema.names]


def column(batch: Any, name: str, rule: Rule) -> Any:
    """One column as an Arrow array; of categories their values, of pandas' gaps nulls.

    Raises:
        DataError: there is none of that name, or it holds values of several types.
    """
    import pyarrow as pa

    _check(batch, [name], rule)
    if not hasattr(batch, "iloc"):
        values = batch.column(batch.schema.get_field_index(name))
    else:
        try:
            values = pa.Array.from_pandas(_in_utc(batch[name]))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(
                f"Quality rule '{rule.name}': column '{name}' cannot be judged, it holds values of several "
                f"types ({error}). Bring them to one in load() or features()."
            ) from error
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values


def frame(batch: Any, names: tuple[str, ...], rule: Rule) -> Any:
    """Some columns as a DataFrame.

    Raises:
        DataError: one of them is not there.
    """
    _check(batch, names, rule)
    if hasattr(batch, "iloc"):
        return batch[[*names]]
    return batch.select([*names]).to_pandas()


def as_mask(values: Any) -> Array:
    """Truths of Arrow as `bool` `(n,)`; unknown is false."""
    return np.asarray(values.fill_null(False), dtype=bool)


def mistyped(values: Any, name: str, rule: Rule, wanted: str) -> DataError:
    """An error about a column of another type."""
    return DataError(
        f"Quality rule '{rule.name}': column '{name}' is of type {values.type}, and the rule takes {wanted}. "
        f"Change the rule, or the column in load() or features()."
    )


def _in_utc(values: Any) -> Any:
    """Times of a zone as those of UTC without one: pandas warns of what Arrow does to get at the others."""
    import pandas as pd

    return values.dt.tz_convert(None) if isinstance(values.dtype, pd.DatetimeTZDtype) else values


def _check(batch: Any, names: tuple[str, ...] | list[str], rule: Rule) -> None:
    there = column_names(batch)
    for name in names:
        if name not in there:
            near = get_close_matches(name, there, 1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(map(str, there))}."
            raise DataError(f"Quality rule '{rule.name}': there is no column '{name}'. {hint}")
