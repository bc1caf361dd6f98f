"""The mean error per row of each version, of the rows that have a label: what a release is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from runtime_lib.monitoring.daily import answers_in
from runtime_lib.monitoring.join import LABEL, labelled
from runtime_lib.monitoring.recent import known_labels
from runtime_lib.profiles.moments import Moments
from runtime_lib.serving import apart
from runtime_lib.settings import Settings
from runtime_lib.training.model import read_task

__all__ = ["losses"]


def losses(settings: Settings, since: str, folders: Mapping[str, str]) -> dict[str, tuple[int, float, float]]:
    """Join the log with the labels.

    Args:
        since: ISO 8601; rows that were answered before are left out.
        folders: version → its model folder.

    Returns:
        Version → rows, mean, and sum of squares about the mean, of the task's own error per row. Versions
        without a labelled row are left out.
    """
    found = {version: _of_version(settings, since, version, Path(folders[version])) for version in folders}
    return {version: moments for version, moments in found.items() if moments[0]}


def _of_version(settings: Settings, since: str, version: str, folder: Path) -> tuple[int, float, float]:
    task, found = read_task(folder), Moments()
    began = datetime.fromisoformat(since)
    for batch in labelled(settings, task, version=version, since=began, on_damage=lambda damage: None):
        known, label = known_labels(task, batch.column(batch.schema.names.index(LABEL)).to_pylist())
        errors = task.error.rows(label[known], answers_in(task, batch)[known])
        found = found.merge(Moments.of(errors))
    return found.n, found.mean, found.squares


if __name__ == "__main__":
    apart.answer(losses)
