"""What was set, and where: each source of settings is a layer, and a later layer goes over those before."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Key", "Layer", "Layers", "dotted", "unknown"]

Key = tuple[str, ...]
"""Where a value belongs: the names of its tables from the outermost, then its own."""


def dotted(at: Sequence[str]) -> str:
    return ".".join(at)


def unknown(kind: str, name: str, known: Iterable[str], place: str) -> str:
    """Say that `name` is unknown, and what may have been meant; only last parts are compared."""
    last = {each.rpartition(".")[2]: each for each in known}
    near = difflib.get_close_matches(name.rpartition(".")[2], last, n=1)
    hint = f"Did you mean '{last[near[0]]}'?" if near else f"Known: {', '.join(last.values())}."
    return f"Unknown {kind} '{name}' ({place}). {hint}"


@dataclass(frozen=True)
class Layer:
    """Tables of one source, its name in messages, and the variables that set keys in it."""

    source: str
    tables: dict[str, Any]
    variables: Mapping[Key, str] = field(default_factory=dict)

    def holds(self, at: Key) -> bool:
        content: Any = self.tables
        for part in at:
            if not isinstance(content, Mapping) or part not in content:
                return False
            content = content[part]
        return True

    def place(self, at: Key) -> str:
        """Name where the value, or something in the table, at `at` was set."""
        for key, variable in self.variables.items():
            if key[: len(at)] == at:
                return f"{variable} or an option"
        return self.source


@dataclass(frozen=True)
class Layers:
    """The layers, weakest first."""

    layers: Sequence[Layer]

    @property
    def file(self) -> str:
        return self.layers[0].source

    def merged(self) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for layer in self.layers:
            content = _over(content, layer.tables)
        return content

    def place(self, at: Key) -> str:
        """Name the strongest layer's place that sets something at `at`."""
        return next((layer.place(at) for layer in reversed(self.layers) if layer.holds(at)), self.file)


def _over(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(weaker)
    for key, value in stronger.items():
        below = both.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = _over(below, value)
        both[key] = value
    return both
