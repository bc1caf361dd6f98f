"""Deliver records to MLflow. Every step may be repeated: a run is found again by its record's id,
and MLflow stores a value with the same name, step and time once.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runtime_lib.errors import DataError
from runtime_lib.locks import locked, try_lock
from runtime_lib.secrets import without_secrets
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import metric_name
from runtime_lib.tracking.record import LOCK, Measure, RunState, read, spool_folder
from runtime_lib.tracking.store import connect, experiment_id, service
from runtime_lib.tracking.summary import (
    CHANGED_TAG,
    ERROR_TAG,
    KILLED,
    NOTE_TAG,
    SINCE_TAG,
    Known,
    changes,
    note,
    run_name,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["RECORD_TAG", "find_run", "flatten", "known", "plain_name", "ship", "ship_pending", "tell"]

RECORD_TAG = "mlops.record"
# MLflow's limits of one request and of one value.
METRICS, PARAMS, LONGEST = 1000, 100, 6000

T = TypeVar("T")


def ship(settings: Settings, folder: Path, client: MlflowClient | None = None) -> str:
    """Bring the record in `folder` into MLflow, once, and return its run's id.

    A record that was never finished (its process was killed) becomes a run with the status KILLED.

    Args:
        client: of a caller that has connected already.

    Raises:
        DataError: no readable record there.
        ServiceError: the server does not answer; the record stays where it is, for the next time.
    """
    state, measures = read(folder)
    client = client or connect(settings)
    with locked(settings.lock("ship")), service(settings):
        run = find_run(settings, client, state.id)
        if run is None:
            run = client.create_run(
                experiment_id(settings, client),
                start_time=state.start,
                tags={RECORD_TAG: state.id},
            )
        run_id = str(run.info.run_id)
        if run.info.status == "RUNNING":  # the status is written last: anything else is wholly delivered
            _deliver(client, run_id, state, measures)
            _introduce(settings, client, run_id, _status(state))
            _close(client, run_id, state, measures)
    shutil.rmtree(spool_folder(settings) / state.id, ignore_errors=True)
    return run_id


def ship_pending(settings: Settings) -> list[str]:
    """Deliver what waits in the spool: failed and killed trainings, and those that met an outage.

    A training that is still running is left alone.
    """
    delivered = []
    for folder in sorted(path for path in spool_folder(settings).glob("[!.]*") if path.is_dir()):
        lock = try_lock(folder / LOCK)
        if lock is not None:
            try:
                delivered.append(ship(settings, folder))
            except DataError as error:  # one damaged record must not hold up the others
                logging.getLogger(__name__).warning("%s", error)
            finally:
                lock.close()
    return delivered


def find_run(settings: Settings, client: MlflowClient, record_id: str) -> Any | None:
    """The run that was made from this record, or None."""
    found = client.search_runs(
        [experiment_id(settings, client)], filter_string=f"tags.`{RECORD_TAG}` = '{record_id}'", max_results=1
    )
    return found[0] if found else None


def tell(
    settings: Settings, client: MlflowClient, run_id: str, *, status: str = "", verdict: str = ""
) -> str:
    """Name the run and write its description, from what the store knows of it by now; return that.

    Args:
        status: that it ends with, where the store does not have it yet.
        verdict: of the gate, in Markdown.
    """
    run = known(client.get_run(run_id))
    run = replace(run, status=status or run.status)
    text = note(run, verdict)
    client.set_tag(run_id, NOTE_TAG, text[:LONGEST])
    client.update_run(run_id, name=run_name(run, metric_name(settings)))
    return text


def known(run: Any) -> Known:
    """A run of MLflow's, in the form that it is summed up from."""
    given = {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}
    return Known(run.data.params, run.data.tags, run.data.metrics, given, run.info.status)


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"model": {"width": 8}}` → `{"model.width": "8"}`."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def _deliver(client: MlflowClient, run_id: str, state: RunState, measures: Sequence[Measure]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run_id, tags=[RunTag(plain_name(key), _text(value)) for key, value in state.tags.items()]
    )
    params = {plain_name(key): _text(value) for key, value in flatten(state.params).items()}
    for some in _portions([Param(key, value) for key, value in params.items()], PARAMS):
        client.log_batch(run_id, params=some)
    client.log_inputs(run_id, datasets=_datasets(state.data))
    metrics = [Metric(plain_name(m.name), m.value, m.time, m.step) for m in measures]
    for batch in _portions(metrics, METRICS):
        client.log_batch(run_id, metrics=batch)


def _introduce(settings: Settings, client: MlflowClient, run_id: str, status: str) -> None:
    """Give the run a name, and say what changed since the last finished run before it."""
    if status == "KILLED":
        client.set_tag(run_id, ERROR_TAG, KILLED)
    run = client.get_run(run_id)
    earlier = client.search_runs(
        [run.info.experiment_id],
        filter_string=f"attributes.start_time < {run.info.start_time} and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if earlier:
        changed = "; ".join(changes(known(run), known(earlier[0]))) or "nothing that is recorded"
        client.set_tag(run_id, SINCE_TAG, str(earlier[0].info.run_name))
    else:
        changed = "first run"
    client.set_tag(run_id, CHANGED_TAG, changed[:LONGEST])
    tell(settings, client, run_id, status=status)


def _close(client: MlflowClient, run_id: str, state: RunState, measures: Sequence[Measure]) -> None:
    last = max([state.start, *(measure.time for measure in measures)])
    client.set_terminated(run_id, _status(state), end_time=state.end or last)


def _status(state: RunState) -> str:
    return "KILLED" if state.status == "RUNNING" else state.status


def _datasets(data: Mapping[str, str]) -> list[Any]:
    """Data versions as MLflow's dataset inputs: path and DVC hash, searchable as `dataset.digest`."""
    from mlflow.entities import Dataset, DatasetInput

    return [
        DatasetInput(Dataset(path, digest[:36], source_type="dvc", source=json.dumps({"path": path})))
        for path, digest in data.items()
    ]


def plain_name(name: str) -> str:
    """`name` with what MLflow refuses in a name replaced, so that one odd key cannot hold up a record."""
    return re.sub(r"[^\w./ -]", "_", name)[:250]


def _text(value: str) -> str:
    return without_secrets(value)[:LONGEST]


def _portions(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
