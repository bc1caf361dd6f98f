"""The one way to open a stored model, and the one to have it answer for a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.data.columns import Array, Column, check_rows
from runtime_lib.errors import CapacityError
from runtime_lib.hardware.device.device import Answers
from runtime_lib.hardware.device.limits import applied
from runtime_lib.settings import Settings
from runtime_lib.training.model import Model

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["answer_table", "held_out_columns", "open_model", "within_limits"]


def open_model(
    settings: Settings,
    folder: Path,
    *,
    framework: Answers | None = None,
    most_rows: int = 0,
) -> Model:
    """Read a model folder as the settings say.

    Args:
        framework: that a server answers with, where `auto` may be numpy (default: `training.framework`, and
            never numpy: a model is judged by what trained it).
        most_rows: that are asked for at once; more of them than this machine's memory has room for are
            then predicted in pieces. 0: whoever predicts sees to that.

    Raises:
        ModelError: a file is missing, damaged, of a later format, or not trusted.
        MissingExtraError: the framework is not installed.
    """
    model = Model.load(
        folder,
        framework=framework or settings.training.framework,
        trusted=(settings.project.package,),
        force_gpu=settings.hardware.force_gpu,
        light=framework is not None,
    )
    if not most_rows:
        return model
    try:
        return replace(model, predict_rows=model.plan(settings, most_rows).predict_rows)
    except CapacityError:  # a plan is an estimate: a server in a small container starts all the same
        return model


def answer_table(settings: Settings, model: Model, table: pd.DataFrame) -> Array:
    """Predict a table of features within the limits of this machine, see `Model.predict`.

    Args:
        table: with the model's inputs; other columns are ignored.

    Raises:
        DataError: an input is missing, or a value cannot be used.
        CapacityError: not even one row at a time fits.
    """
    inputs = {column.name: table[column.name] for column in model.columns if column.name in table.columns}
    rows = check_rows(inputs, held_out_columns(model.columns))
    with within_limits(settings, model, len(table)) as able:
        return able.predict(rows)


@contextmanager
def within_limits(settings: Settings, model: Model, rows: int) -> Iterator[Model]:
    """Yield the model as it may predict so many rows on this machine, whose limits hold meanwhile.

    Raises:
        CapacityError: not even one row at a time fits.
    """
    plan = model.plan(settings, rows)
    with applied(plan):
        yield replace(model, predict_rows=plan.predict_rows)


def held_out_columns(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns as held-out months may hold them: a value may be missing that never was in training.

    The model then takes the training median, or no level, for it. A server refuses such a row.
    """
    return tuple(replace(column, nullable=True) for column in columns)
