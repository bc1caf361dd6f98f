"""Samples of what a project's folder tells of its service: alerts, releases, the size of the log."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from runtime_lib.exposition import Sample
from runtime_lib.monitoring.alerts.alert import SEVERITIES
from runtime_lib.monitoring.alerts.overview import overview
from runtime_lib.monitoring.metrics import definitions as d
from runtime_lib.monitoring.metrics.fields import sample, timestamp
from runtime_lib.serving.releases.journal import Journal
from runtime_lib.serving.traffic import SLOTS
from runtime_lib.settings import Settings

__all__ = ["of_alerts", "of_log", "of_releases"]


def of_alerts(settings: Settings) -> Iterator[Sample]:
    """Samples of the alerts that the project's own channels are told of.

    Raises:
        DataError: their state cannot be read.
    """
    found, model = overview(settings), settings.model_name
    firing = Counter(alert.severity for alert in found.firing)
    for severity in SEVERITIES:
        yield d.FIRING.sample(firing[severity], model=model, severity=severity)
    yield d.SILENCED.sample(len(found.silenced), model=model)
    yield d.UNDELIVERED.sample(len(found.dead), model=model)


def of_releases(journal: Path) -> Iterator[Sample]:
    """Samples of the journal of releases: what holds, also while no server runs.

    Raises:
        DataError: it cannot be read.
    """
    last = Journal(journal).last()
    if last is None:
        return
    model = last.state.model
    for version, weight in last.state.policy.weights.items():
        yield d.TRAFFIC.sample(weight / SLOTS, model=model, version=version)
    yield d.RELEASING.sample(int(last.state.plan is not None), model=model)
    yield from sample(d.RELEASED, timestamp(last.time), model=model)


def of_log(folder: Path, model: str) -> Iterator[Sample]:
    """Samples of the prediction log: none where there is no log yet."""
    if not folder.is_dir():
        return
    days = [day for day in folder.iterdir() if day.is_dir()]
    yield d.LOG_DAYS.sample(len(days), model=model)
    yield d.LOG_BYTES.sample(sum(map(_size, days)), model=model)


def _size(day: Path) -> int:
    try:
        with os.scandir(day) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.is_file())
    except FileNotFoundError:  # compacted or deleted just now
        return 0
