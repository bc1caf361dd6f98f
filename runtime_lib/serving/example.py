"""A request to try: with a real row where raw rows are taken, else with placeholders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import DataError
from runtime_lib.serving import apart
from runtime_lib.serving.address import url_of
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from runtime_lib.data.columns import Column

__all__ = ["example"]

_LONGEST = 1_000  # characters of a list in the request


def example(settings: Settings, folder: str) -> str:
    """A command for the shell that asks the project's server for a prediction by the model in `folder`."""
    from runtime_lib.training.model import read_columns

    url = url_of(settings)
    if row := _raw_row(settings, Path(folder)):
        return _curl(f"{url}/raw/invocations", row)
    return _curl(f"{url}/invocations", _placeholders(read_columns(Path(folder))))


def _raw_row(settings: Settings, folder: Path) -> dict[str, Any] | None:
    """The last raw row here, with the columns that `features` needs; None where raw rows are not taken."""
    from runtime_lib.data.months import month_files, read_table
    from runtime_lib.data.raw import as_json
    from runtime_lib.data.skew import needed_columns
    from runtime_lib.serving.raw import open_raw

    try:
        raw = open_raw(settings, folder)
        row = raw.types.cast(read_table(month_files(settings.raw)[-1]).tail(1))
    except DataError:
        return None
    names = needed_columns(raw.features.features, row)
    return {name: _shown(values[0]) for name, values in as_json(row[names]).items()} if names else None


def _placeholders(columns: Sequence[Column]) -> dict[str, Any]:
    return {c.name: None if c.nullable else _placeholder(c) for c in columns}


def _placeholder(column: Column) -> Any:
    """For an image in words: its pixels would fill the screen."""
    if column.is_image:
        return f"nested lists of {' x '.join(map(str, column.shape))} pixels, 0 to {column.largest}"
    return 0.0 if column.kind == "number" else "text"


def _shown(value: Any) -> Any:
    """In words where it is a list, as an image is, that would fill the screen."""
    if isinstance(value, list) and len(json.dumps(value)) > _LONGEST:
        return f"nested lists of {' x '.join(map(str, _sizes(value)))} values"
    return value


def _sizes(value: Any) -> list[int]:
    return [len(value), *_sizes(value[0])] if isinstance(value, list) and value else []


def _curl(address: str, row: Mapping[str, Any]) -> str:
    body = json.dumps({"dataframe_records": [row]}).replace("'", r"'\''")
    return f"curl {address} -H 'Content-Type: application/json' -d '{body}'"


if __name__ == "__main__":
    apart.answer(example)
