"""What a person may get wrong with a task or a trainer, done on small tables, and what is said then."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from runtime_lib.data.features import Features
from runtime_lib.errors import MlopsError
from runtime_lib.settings import Settings, load
from runtime_lib.task.kinds import gate_metric, read_task, task_of
from runtime_lib.training.trial import trial
from tests.support.pages import quotes
from tests.training.trainers.conftest import project

__all__ = ["Refused", "compare", "declared", "labels", "later", "learned", "metric", "task", "trained"]

Refused = Callable[[], object]


def compare(page: str, refused: Sequence[Refused]) -> None:
    """The page's quotes are what is said, in this order; `…` stands for anything."""
    said = [told(each) for each in refused]
    shown = quotes(page)
    assert len(shown) == len(said), "a quote on the page is not provoked, or the other way round"
    for quote, found in zip(shown, said, strict=True):
        assert re.fullmatch(".*".join(map(re.escape, quote.split("…"))), found), (
            f"the page quotes\n{quote}\nthe library says\n{found}"
        )


def told(refused: Refused) -> str:
    try:
        refused()
    except MlopsError as error:
        return str(error)
    raise AssertionError("it was not refused")


def labels(kind: str, *values: Any) -> Refused:
    """`label` returns these for a month."""
    raw = pd.DataFrame({"number": range(len(values))})

    def features(raw: pd.DataFrame) -> pd.DataFrame:
        time = pd.Timestamp("2013-01-01", tz="UTC")
        return pd.DataFrame({"id": raw["number"].astype(str), "time": time, "input": 1.0})

    table = Features(features, lambda raw: pd.Series(values, index=raw.index), _task(kind=kind))
    return lambda: table.known(raw, "2013-01")


def learned(kind: str, values: Sequence[Any]) -> Refused:
    """The training months have these labels."""
    return lambda: _task(kind=kind).learn(values)


def later(known: Sequence[str], other: str) -> Refused:
    """The training months have the classes `known`, a later one has `other`."""
    return lambda: _task(kind="multiclass").learn(known).read([other])


def task(**table: Any) -> Refused:
    """params.yaml has this table `task`."""
    return lambda: _task(**table)


def metric(kind: str, name: str) -> Refused:
    """mlops.toml names it for the gate."""
    settings = _project(kind, MLOPS_REGISTRY__METRIC=name)
    return lambda: gate_metric(settings, read_task(settings))


def trained(make: Callable[[int, int], Any], kind: str = "binary", **params: Any) -> Refused:
    """`model` returns what `make` gives for the numbers of inputs and outputs."""
    return lambda: trial(_project(kind), lambda inputs, outputs, _: make(inputs, outputs), params)


def declared(column: str, made: Any) -> Refused:
    """params.yaml declares a column as text, and `model` returns this."""

    def refused() -> None:
        settings = _project("binary")
        path = settings.root / "params.yaml"
        before = path.read_text()
        try:
            path.write_text(f"{before}inputs:\n  text: [{column}]\n")
            trial(settings, lambda inputs, outputs, _: made, {})
        finally:
            path.write_text(before)

    return refused


def _task(**table: Any) -> Any:
    return task_of({"task": table})


def _project(kind: str, **environ: str) -> Settings:
    return load(project(kind).root, environ={"MLOPS_PROJECT__PACKAGE": "flights", **environ})
