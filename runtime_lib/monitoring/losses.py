"""The mean error per row of each version, of the rows that have a label: what a release is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from runtime_lib.monitoring.labels import read_labels
from runtime_lib.monitoring.monitor import answers_of, known_labels
from runtime_lib.serving import apart
from runtime_lib.serving.log import read_predictions
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
    task = read_task(folder)
    table = read_predictions(settings.predictions, since=datetime.fromisoformat(since), version=version)
    if table.empty:
        return 0, 0.0, 0.0
    table = table.merge(read_labels(settings.labels, task)[["id", "label"]], on="id", how="inner")
    known, label = known_labels(task, table["label"])
    if not known.any():
        return 0, 0.0, 0.0
    errors = task.error.rows(label[known], answers_of(task, table)[known])
    return len(errors), float(errors.mean()), float(((errors - errors.mean()) ** 2).sum())


if __name__ == "__main__":
    apart.answer(losses)
