"""The prediction log: what was asked and what each version answered, kept for monitoring.

    <folder>/<YYYY-MM-DD>/<pid>-<time>.arrows   UTC day; one segment per process (`format`)
    <folder>/<YYYY-MM-DD>/compacted.json        what became of a past day's segments (`manifest`)
    <folder>/<YYYY-MM-DD>/<n>-<…>.parquet       their rows (`parts`)

A row is identified by its id and version: several versions may answer one id, and of each the last answer
counts. Its role tells who asked for it: `primary` was answered to a client, `shadow` was not.

Each append is one frame in one write (`format`), so it survives the death of the process (`kill -9`); it is
not forced to disk, so a power cut may take the last seconds. Files and folders that the log makes are the
owner's alone: they hold what clients sent.
"""

from __future__ import annotations

from runtime_lib.serving.log.compaction import Compaction, compact
from runtime_lib.serving.log.frames import Damage, OnDamage, lost_by
from runtime_lib.serving.log.read import answers, read_predictions, scan
from runtime_lib.serving.log.retain import delete_before
from runtime_lib.serving.log.shape import ANSWER, Role, is_reserved
from runtime_lib.serving.log.write import PredictionLog

__all__ = [
    "ANSWER",
    "Compaction",
    "Damage",
    "OnDamage",
    "PredictionLog",
    "Role",
    "answers",
    "compact",
    "delete_before",
    "is_reserved",
    "lost_by",
    "read_predictions",
    "scan",
]
