"""What every protocol reads a request into, and how it names a JSON value that it cannot read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import orjson

from runtime_lib.data.rows import Rows
from runtime_lib.errors import RequestError

__all__ = ["Batch", "as_object", "kind_of", "parse_json"]


class Batch(NamedTuple):
    """A request as it came, not checked."""

    rows: Mapping[str, Sequence[Any]]
    """Column → values; of a plain request `Rows`."""
    ids: Sequence[str] | None = None
    request_id: str | None = None
    outputs: Sequence[str] = ()
    """Which of the answer's outputs are wanted; empty means all."""
    raw: Set[str] = frozenset()
    """Which of them are wanted as raw bytes."""

    @property
    def size(self) -> int:
        """Of its rows; of ragged columns that of the longest."""
        if isinstance(self.rows, Rows):
            return len(self.rows.rows)
        return max((len(values) for values in self.rows.values()), default=0)


def parse_json(body: bytes) -> Any:
    """Return the value that a JSON body holds.

    NaN and Infinity are no JSON, but Python writes them, and MLflow's client sends them: they are read, for
    the check of the rows to take NaN for a missing value and to name the row of an infinite one.

    Raises:
        RequestError: the body is empty or not JSON.
    """
    if not body.strip():
        raise RequestError("The body is empty. Send a JSON object.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" in body or b"Infinity" in body:
            return _as_python_writes(body)
        raise RequestError(f"The body is not JSON: {error}.") from None


def _as_python_writes(body: bytes) -> Any:
    try:
        value = json.loads(body.decode())
        orjson.dumps(value)  # refuses what orjson reads nowhere: half a surrogate pair, deep nesting
    except RecursionError:
        raise RequestError("The body is nested too deeply.") from None
    except (ValueError, TypeError) as error:
        raise RequestError(f"The body is not JSON: {error}.") from None
    return value


def as_object(value: Any, what: str, hint: str = "") -> dict[str, Any]:
    """Return `value` if it is a JSON object.

    Raises:
        RequestError: it is something else; the message starts with `what` and says which kind it is.
    """
    if not isinstance(value, dict):
        raise RequestError(f"{what} must be a JSON object{hint}, not {kind_of(value)}.")
    return value


def kind_of(value: Any) -> str:
    """Return a JSON value's kind in words, as its sender knows it."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "a number")
