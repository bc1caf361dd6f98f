"""Data by month: ingest it, turn it into features, and split it by time.

One Parquet file a month, so that a new month is a new file and DVC stores the old ones once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib import tables
from runtime_lib.data.calendar import months
from runtime_lib.data.columns import Array, Kind
from runtime_lib.data.features import KEYS, Features
from runtime_lib.data.functions import find_rules
from runtime_lib.data.images import storable
from runtime_lib.data.ingest import fetch
from runtime_lib.data.leaks.suspect import Suspect
from runtime_lib.data.leaks.watch import Watch
from runtime_lib.data.quality.quarantine import Quarantine
from runtime_lib.data.quality.rule import Rule
from runtime_lib.data.raw import RawTypes, read_types, write_types
from runtime_lib.errors import DataError, SettingsError
from runtime_lib.files import atomic_folder, read_json, write_json
from runtime_lib.progress import track
from runtime_lib.settings import find_root, load
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.task import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ingest",
    "make_features",
    "month_files",
    "months",
    "read_features",
    "read_labels",
    "read_suspects",
    "read_table",
    "split",
]

# In the folders of features and of the split: what was suspicious when the features were made.
_SUSPECTS = "suspects.json"

_SHOWN = 5  # months that a message names


def ingest(load: Callable[[str], pd.DataFrame], folder: Path, *, first: str, last: str) -> None:
    """Write the table of each month to `folder`, as `load` returns it, or as it was read before (`reads`).

    Args:
        last: a month, or `latest`: the newest complete one.

    Raises:
        DataError: a month has no rows.
    """
    fetch(load, folder, months(first, last))


def make_features(
    features: Callable[[pd.DataFrame], pd.DataFrame],
    raw: Path,
    folder: Path,
    label: Callable[[pd.DataFrame], pd.Series[Any]] | None = None,
    *,
    task: Task = BINARY,
    inputs: Mapping[str, Kind] | None = None,
    rules: Sequence[Rule] | None = None,
) -> None:
    """Apply `features` and `label` to each month of `raw`; write the rows with a known outcome.

    Rows that break a quality rule are set aside first (`quality/quarantine`).

    Says which inputs are ids, dates, or filled only once the outcome is known; `evaluate` reports them.

    Args:
        features: of one month's raw rows, see `Features`.
        label: of the same rows, missing while it is open; None where `features` returns the column itself.
        task: what a label is.
        inputs: columns of text and images, see `read_inputs`. Files of images are read here, relative to the
            current folder, and their pixels stored.
        rules: of quality; None: those of the project that `raw` lies in.

    Raises:
        DataError: a key or a row is missing, an id comes twice, a label is another value, or an input is
            of a type that no model takes, or a declared one is not there or not of its kind; a quality rule
            that stops is broken, or leaves no row.
    """
    rules = _rules_of(raw) if rules is None else rules
    both, files = Features(features, label, task), month_files(raw)
    types, watch = RawTypes.of(files), Watch(KEYS, inputs)
    images = [name for name, kind in (inputs or {}).items() if kind == "image"]
    rows: dict[str, tuple[int, int]] = {}
    with atomic_folder(folder) as new:
        quarantine = Quarantine(rules, new)
        for path in track(files, "Make features"):
            held = quarantine.take(read_table(path), path)
            month = held.kept
            # As a server gives them to features(). Projects made before 0.6 keep what they were trained on.
            month = types.cast(month) if label else month
            table = both.with_outcomes(month, path.stem)
            table, month = held.judge_inputs(table, month, every_row=label is not None)
            quarantine.keep(held)
            watch.add(month, table)
            known = both.labelled(table, path.stem)
            rows[path.stem] = len(known), len(month)
            storable(known, images, Path()).to_parquet(new / path.name, index=False)
        write_types(types, new)
        _write_suspects(new, watch.suspects())
        quarantine.finish()
    _say_unlabelled(rows)
    for line in (*(f"Too good to be true? {each}" for each in watch.suspects()), *watch.notes()):
        print(line, flush=True)


def _rules_of(raw: Path) -> list[Rule]:
    """The quality rules of the project that a folder lies in; none where it lies in no project."""
    try:
        root = find_root(raw)
    except SettingsError:
        return []
    return find_rules(load(root).project.package)


def _say_unlabelled(rows: Mapping[str, tuple[int, int]]) -> None:
    """Print how many rows had no label, and the months with the largest share; `rows`: labelled, all."""
    open_rows = {month: (total - known) for month, (known, total) in rows.items() if known < total}
    if not open_rows:
        return
    most = sorted(open_rows, key=lambda month: open_rows[month] / rows[month][1], reverse=True)[:_SHOWN]
    named = ", ".join(f"{month} ({open_rows[month]:,} of {rows[month][1]:,})" for month in sorted(most))
    which = "in" if len(most) == len(open_rows) else "most in"
    print(
        f"Left out, as they have no label: {sum(open_rows.values()):,} rows, {which} {named}. "
        f"If labels have arrived since, `mlops run --refresh MONTH` reads them.",
        file=sys.stderr,
    )


def read_features(path: Path, task: Task) -> tuple[dict[str, Any], Array, pd.DataFrame]:
    """Read one table of features as (raw inputs by column, labels `(n,)` of `Task.read`, the whole table).

    Raises:
        DataError: the table cannot be read, or has a label that the task does not take.
    """
    table = read_table(path)
    inputs = {name: table[name].to_numpy() for name in table.columns if name not in KEYS}
    return inputs, read_labels(table["label"], task, path), table


def read_labels(values: Any, task: Task, path: Path) -> Array:
    """Turn a stored column of labels into those of the task.

    Raises:
        DataError: a label is none of the task's: the table was made for another kind.
    """
    if (wrong := task.wrong_labels(values)).any():
        row = int(wrong.argmax())
        raise DataError(
            f"{path}, row {row}: the label is {list(values)[row]!r}; task.kind in params.yaml is "
            f"{task.kind}, so it must be {task.labels}. Change label() or task.kind, then `mlops run`."
        )
    try:
        return task.read(values)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def split(folder: Path, out: Path, *, validation: int, test: int) -> None:
    """Split the months by time: the last `test` for the gate, `validation` before them, the rest to train.

    Never at random: rows of one day resemble each other, so a random split would leak the future.
    """
    import pandas as pd

    files = month_files(folder)
    if validation < 1 or test < 1 or len(files) <= validation + test:
        raise SettingsError(
            f"{len(files)} months cannot be split into {validation} for validation, {test} for test and "
            f"at least one for training. Change split.* or data.first/data.last in params.yaml."
        )
    cut = len(files) - test
    parts = {
        "train": files[: cut - validation],
        "validation": files[cut - validation : cut],
        "test": files[cut:],
    }
    with atomic_folder(out) as new:
        for name, paths in parts.items():
            table = pd.concat([read_table(path) for path in paths], ignore_index=True)
            table.to_parquet(new / f"{name}.parquet", index=False)
        _write_suspects(new, read_suspects(folder))
        if types := read_types(folder):
            write_types(types, new)


def _write_suspects(folder: Path, suspects: Sequence[Suspect]) -> None:
    if suspects:
        write_json(folder / _SUSPECTS, {"format": 1, "suspects": [each.to_dict() for each in suspects]})


def read_suspects(folder: Path) -> list[Suspect]:
    """What `make_features` found suspicious; nothing where it was made by an earlier release."""
    path = folder / _SUSPECTS
    if not path.exists():
        return []
    return [Suspect.from_dict(fields) for fields in read_json(path, made_by="mlops run")["suspects"]]


def month_files(folder: Path) -> list[Path]:
    if not (files := sorted(folder.glob("*.parquet"))):
        raise DataError(f"No months in {folder}: run `mlops run`.")
    return files


def read_table(path: Path) -> pd.DataFrame:
    return tables.read_table(path, fix="`mlops run` makes it again.")
