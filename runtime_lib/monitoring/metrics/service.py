"""Samples of what a project's folder tells of its service: releases, and the size of the prediction log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from runtime_lib.exposition import Sample
from runtime_lib.monitoring.metrics import definitions as d
from runtime_lib.monitoring.metrics.fields import sample, timestamp
from runtime_lib.serving.releases.journal import Journal
from runtime_lib.serving.traffic import SLOTS

__all__ = ["of_log", "of_releases"]


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
