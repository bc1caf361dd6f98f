"""Which task: as params.yaml says, or as a model was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from runtime_lib.errors import ModelError, SettingsError
from runtime_lib.settings import Settings
from runtime_lib.settings.params import read_params
from runtime_lib.task.binary import Binary
from runtime_lib.task.metric import Metric
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.regression import Regression
from runtime_lib.task.task import Task

__all__ = ["BINARY", "KINDS", "from_dict", "gate_metric", "metric_name", "read_task", "task_of"]

KINDS: Mapping[str, type[Task]] = {kind.kind: kind for kind in (Binary, Multiclass, Regression, Quantile)}
BINARY = Binary()

# What a person may write beside the kind; the rest is learned.
_WRITTEN = {"quantile": ("levels",)}


def read_task(settings: Settings) -> Task:
    """Return the task of a project: the table `task` of its params.yaml; binary where there is none.

    Raises:
        SettingsError: the table names no known kind, or holds what a kind does not take.
    """
    if not (settings.root / "params.yaml").exists():
        return BINARY
    return task_of(read_params(settings.root))


def task_of(params: Mapping[str, Any]) -> Task:
    """Return the task that the tables of params.yaml name.

    Raises:
        SettingsError: as `read_task`.
    """
    written = params.get("task", {"kind": BINARY.kind})
    if not isinstance(written, Mapping) or str(written.get("kind")) not in KINDS:
        found = written.get("kind") if isinstance(written, Mapping) else written
        raise SettingsError(
            f"params.yaml, task.kind: {found!r} is no kind of task. Choose one of {', '.join(KINDS)}."
        )
    kind, known = written["kind"], _WRITTEN.get(written["kind"], ())
    if unknown := [name for name in written if name not in ("kind", *known)]:
        raise SettingsError(
            f"params.yaml, task: unknown key '{unknown[0]}'. Known for {kind}: {', '.join(('kind', *known))}."
        )
    given = {name: value for name, value in written.items() if name != "kind"}
    if wrong := [name for name, value in given.items() if not isinstance(value, list)]:
        raise SettingsError(f"params.yaml, task.{wrong[0]}: {given[wrong[0]]!r} is no list.")
    try:
        return KINDS[kind](**{name: tuple(value) for name, value in given.items()})
    except (TypeError, ValueError) as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(f"params.yaml, task: {given}: {error}.") from error


def gate_metric(settings: Settings, task: Task) -> Metric:
    """The metric of gate and monitoring: `registry.metric`, or the task's own where that is empty.

    Raises:
        SettingsError: it is none of this task's.
    """
    name = settings.registry.metric or task.metric.name
    if name not in task.metrics:
        raise SettingsError(
            f"registry.metric = {name!r} is no metric of a {task.kind} task. Choose one of "
            f"{', '.join(task.metrics)} in mlops.toml, or leave it out."
        )
    return task.metrics[name]


def metric_name(settings: Settings) -> str:
    """The name of that metric, for lists; whether the task has it is not looked at."""
    return settings.registry.metric or read_task(settings).metric.name


def from_dict(stored: Mapping[str, Any]) -> Task:
    """Return the task that `Task.to_dict` described.

    Raises:
        ModelError: it is of a kind that this version does not know.
    """
    kind = KINDS.get(str(stored.get("kind")))
    if kind is None:
        raise ModelError(
            f"The model's task is {stored.get('kind')!r}; this library knows {', '.join(KINDS)}. "
            f"Update runtime-lib."
        )
    known = {field.name for field in fields(kind)}
    given = {name: value for name, value in stored.items() if name in known}
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})
