"""What every protocol reads a request into, and how it names a JSON value that it cannot read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime_lib.errors import RequestError

__all__ = ["Batch", "as_object", "kind_of"]


@dataclass(frozen=True)
class Batch:
    """A request as columns."""

    rows: Mapping[str, Sequence[Any]]
    ids: Sequence[str] | None = None
    request_id: str | None = None
    outputs: Sequence[str] = ()
    """Which of the answer's outputs are wanted; empty means all."""

    @property
    def count(self) -> int:
        """Of its rows; of ragged columns that of the longest."""
        return max((len(values) for values in self.rows.values()), default=0)


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
