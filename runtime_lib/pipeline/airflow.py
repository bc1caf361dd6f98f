"""The Airflow DAGs of a project, derived from its `dvc.yaml`.

Importing this needs only `airflow.sdk`, the standard operators and the light library. Each task runs
the project's own command line, so that a task does what the same command does in a terminal, and a
stage whose inputs did not change is skipped by DVC.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule
from airflow.sdk.definitions.asset import BaseAsset

from runtime_lib import settings as settings_file
from runtime_lib.hardware.admit.admission import Demand
from runtime_lib.monitoring.loop.airflow import asset_of
from runtime_lib.pipeline.graph import read_graph
from runtime_lib.pipeline.pre_execute import gate

__all__ = ["monitoring_dag", "pipeline_dag"]

# The environment was installed before; a task neither changes it nor the lock.
_MLOPS = "uv run --frozen --no-sync mlops"


def pipeline_dag(root: Path, *, demands: Mapping[str, Demand] | None = None, **options: Any) -> DAG:
    """A task per stage of `root/dvc.yaml`, then `promote`: the gate in front of the champion.

    A stage starts when the machine of its worker is fit for it (gate.py): table `hardware` of mlops.toml.
    It also runs when monitoring asks for a retraining, by an event of an asset (`monitoring.retrain`).

    Args:
        root: the project's folder.
        demands: what stages take, by name; `train` takes what the settings say, unless it is given here.
        options: passed on to `DAG`, for instance `schedule="@daily"`.
    """
    settings = settings_file.load(root)
    demands = {"train": Demand.of(settings.hardware), **(demands or {})}
    graph = read_graph(settings.root / "dvc.yaml")
    # A project runs one stage at a time: DVC's lock and the run's own would refuse a second one.
    options = {"max_active_runs": 1, "max_active_tasks": 1, **options}
    options["schedule"] = _or_asked(options, settings.project.package)
    with _dag(settings, "pipeline", options) as dag:
        tasks = {
            name: _task(
                settings.root, name, f"run --stage {name}", gate(settings.hardware, demands.get(name))
            )
            for name in graph.stages
        }
        for name, upstream in graph.upstream.items():
            for before in upstream:
                tasks[before] >> tasks[name]
        promote = _task(settings.root, "promote", "promote --exit-zero")
        list(tasks.values()) >> promote
    return dag


def monitoring_dag(root: Path, **options: Any) -> DAG:
    """One task: judge the champion's predictions, write the report, send alerts."""
    settings = settings_file.load(root)
    with _dag(settings, "monitoring", options) as dag:
        _task(settings.root, "monitor", "monitor --exit-zero")
    return dag


def _or_asked(options: Mapping[str, Any], package: str) -> Any:
    """The schedule of a DAG's options, or an event of the asset by which monitoring asks for a retraining."""
    asked, given = Asset(asset_of(package)), options.get("schedule")
    if given is None:
        return asked
    # As Airflow itself reads it: a text in the time zone of the start, a list as all of its assets.
    timetable = DAG("schedule", **options).timetable  # noqa: AIR002 (it is among them)
    own = getattr(timetable, "asset_condition", None)
    if not isinstance(own, BaseAsset):
        return AssetOrTimeSchedule(timetable=timetable, assets=asked)
    if isinstance(timetable, AssetOrTimeSchedule):
        return AssetOrTimeSchedule(timetable=timetable.timetable, assets=own | asked)
    # One that is given as a timetable wants partitions, which an event of ours does not have.
    return given if timetable is given else own | asked


def _dag(settings: settings_file.Settings, flow: str, options: dict[str, Any]) -> DAG:
    name = f"{settings.project.package}_{flow}"
    options = {"catchup": False, "tags": [settings.project.name], **options}
    return DAG(dag_id=name, schedule=options.pop("schedule", None), **options)


def _task(root: Path, name: str, command: str, before: Any = None) -> BashOperator:
    command = f"{_MLOPS} {command}"
    return BashOperator(
        task_id=name, bash_command=command, cwd=str(root), append_env=True, pre_execute=before
    )
