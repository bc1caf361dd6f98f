"""A request to try: with a real row where raw rows are taken, else with placeholders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError
from runtime_lib.serving import apart
from runtime_lib.serving.address import url_of
from runtime_lib.serving.page.examples import curl, example_row, shown
from runtime_lib.settings import Settings

__all__ = ["example"]


def example(settings: Settings, folder: str) -> str:
    """A command for the shell that asks the project's server for a prediction by the model in `folder`."""
    from runtime_lib.training.model import read_columns

    url = url_of(settings)
    if row := _raw_row(settings, Path(folder)):
        return _command(f"{url}/raw/invocations", row)
    return _command(f"{url}/invocations", example_row(read_columns(Path(folder))))


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
    return {name: values[0] for name, values in as_json(row[names]).items()} if names else None


def _command(address: str, row: Mapping[str, Any]) -> str:
    record = {name: shown(value) for name, value in row.items()}
    return curl(address, json.dumps({"dataframe_records": [record]}))


if __name__ == "__main__":
    apart.answer(example)
