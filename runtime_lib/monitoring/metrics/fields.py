"""Fields of what another version of the library may have written: missing, or of another kind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from runtime_lib.exposition import Metric, Sample

__all__ = ["sample", "table", "tables", "timestamp"]


def sample(metric: Metric, value: Any, /, **labels: str) -> Iterator[Sample]:
    """A sample, if the value is one."""
    if (found := _number(value)) is not None:
        yield metric.sample(found, **labels)


def _number(value: Any) -> float | None:
    """A finite number, true or false as 1 or 0; None for all else."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if isinstance(value, int) else value


def timestamp(value: Any) -> float | None:
    """Seconds since 1970 of a time in ISO 8601 with a zone; None for all else."""
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return time.timestamp() if time.tzinfo else None


def table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a name; empty where there is none."""
    found = content.get(name)
    return found if isinstance(found, Mapping) else {}


def tables(content: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """The objects of the list under a name."""
    found = content.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
