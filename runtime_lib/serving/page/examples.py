"""Rows to show and to try: such as the model takes, with values that are common in its training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime_lib.data.columns import Column

__all__ = ["curl", "example_row", "pretty", "raw_example", "shown", "size_of"]

_LONGEST = 1_000  # characters of a list that is shown
_WIDE = 78  # characters of JSON on one line


def example_row(columns: Sequence[Column], profile: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a row as a JSON request holds it.

    Args:
        profile: of the model, see `training/profile.py`: a number is its median, a category its commonest.
    """
    described = (profile or {}).get("columns", {})
    return {column.name: _example(column, described.get(column.name, {})) for column in columns}


def _example(column: Column, described: Mapping[str, Any]) -> Any:
    if column.is_image:
        return _zeros(column.shape)
    if column.kind == "number":
        median = described.get("quantiles", {}).get("0.5", 0.0)
        return json.loads(f"{median:.6g}")
    return next(iter(described.get("counts", ())), "text") if column.kind == "category" else "text"


def _zeros(shape: Sequence[int]) -> Any:
    found: Any = 0
    for size in reversed(shape):
        found = [found] * size
    return found


def raw_example(types: Mapping[str, str]) -> dict[str, Any]:
    """Return a raw row, of made-up values: column → a value of its type."""
    return {name: _raw_value(kind) for name, kind in types.items()}


def _raw_value(kind: str) -> Any:
    starts = {
        "datetime64": "2026-01-31T12:00:00" + ("Z" if "," in kind else ""),
        "timedelta64": "1 days",
        "date": "2026-01-31",
        "decimal": "1.50",
        "bool": True,
        "int": 1,
        "uint": 1,
        "float": 1.5,
    }
    return next((value for start, value in starts.items() if kind.lower().startswith(start)), "text")


def shown(value: Any) -> Any:
    """Return a value, in words where it is a list, as an image is, that would fill the screen."""
    if isinstance(value, list) and len(json.dumps(value)) > _LONGEST:
        return f"nested lists of {size_of(_sizes(value))} values"
    return value


def size_of(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _sizes(value: Any) -> list[int]:
    return [len(value), *_sizes(value[0])] if isinstance(value, list) and value else []


def curl(address: str, body: str) -> str:
    """Return a command for a POSIX shell that posts a body of JSON.

    Args:
        address: as the shell takes it.
    """
    quoted = body.replace("'", r"'\''")
    return f"curl {address} -H 'Content-Type: application/json' -d '{quoted}'"


def pretty(value: Any, *, indent: int = 0) -> str:
    """Return JSON in which all that fits on a line is on one, and the rest is indented."""
    line, start = json.dumps(value, ensure_ascii=False), " " * (indent + 2)
    if len(line) + indent <= _WIDE or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, dict):
        named = ((json.dumps(name, ensure_ascii=False), each) for name, each in value.items())
        parts = [f"{name}: {pretty(each, indent=indent + 2)}" for name, each in named]
    else:
        parts = [pretty(each, indent=indent + 2) for each in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    inside = f",\n{start}".join(parts)
    return f"{first}\n{start}{inside}\n{' ' * indent}{last}"
