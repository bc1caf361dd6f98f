"""Which version answers a request: one pure policy, the same in every worker.

A policy divides 1,000 slots among the versions, so a weight is in tenths of a percent. A request falls into a
slot by its key, if it has one, else in turn. The newest version has the first slots and the others follow by
age: while a canary's weight grows, whoever it has answered stays with it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from runtime_lib.errors import SettingsError

__all__ = ["SLOTS", "Policy", "Turns", "parse_weights", "said"]

SLOTS = 1000
# Relatively prime to SLOTS and close to its golden section, so that requests in turn are spread evenly.
_STRIDE = 619


@dataclass(frozen=True)
class Policy:
    """How traffic is divided.

    Attributes:
        weights: version → tenths of a percent, together 1,000. One of 0 is loaded, and answers only who
            asks for it by name.
        shadows: versions that are sent a copy of each request, and answer nobody.
        salt: shuffles the slots, so that who was in one experiment's group is not in the next one's.
    """

    weights: Mapping[str, int]
    shadows: tuple[str, ...] = ()
    salt: str = ""
    _slots: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self.weights, self.shadows)
        object.__setattr__(self, "_slots", _slots(self.weights, self.salt))

    @cached_property
    def only(self) -> str | None:
        """The version that answers everybody, if one does."""
        return next((version for version, weight in self.weights.items() if weight == SLOTS), None)

    @property
    def loaded(self) -> tuple[str, ...]:
        """What must be loaded: the versions that answer, the heaviest first, and the shadows."""
        answering = sorted(self.weights, key=lambda version: (-self.weights[version], _age(version)))
        return (*answering, *self.shadows)

    def at(self, slot: int) -> str:
        """The version of a slot from 0 to 999."""
        return self._slots[slot]

    def of_key(self, key: bytes) -> str:
        """The version of a key: always the same one, while the weights stay as they are."""
        return self._slots[zlib.crc32(key) % SLOTS]

    def to_dict(self) -> dict[str, Any]:
        return {"weights": dict(self.weights), "shadows": list(self.shadows), "salt": self.salt}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Policy:
        return cls(dict(stored["weights"]), tuple(stored["shadows"]), stored["salt"])

    @classmethod
    def all_to(cls, version: str) -> Policy:
        return cls({version: SLOTS})


class Turns:
    """Slots for requests without a key: each once in a thousand, evenly spread."""

    def __init__(self, start: int = 0) -> None:
        self._slot = start % SLOTS

    def next(self) -> int:
        self._slot = (self._slot + _STRIDE) % SLOTS
        return self._slot


def parse_weights(words: Sequence[str]) -> dict[str, int]:
    """Read `VERSION=PERCENT` pairs, as `7=10` or `7=0.5%`; one version may go without, and takes the rest.

    Raises:
        SettingsError: a word that is none, a version twice, or shares that are not 100 % together.
    """
    found: dict[str, int | None] = {}
    for word in words:
        version, given, share = word.partition("=")
        if version in found:
            raise SettingsError(f"Version {version} is given twice.")
        if not version or (given and not share):
            raise SettingsError(f"'{word}' is not VERSION=PERCENT, as in 7=10.")
        found[version] = _tenths(word, share) if share else None
    rest = SLOTS - sum(weight or 0 for weight in found.values())
    open_ended = [version for version, weight in found.items() if weight is None]
    if len(open_ended) > 1:
        raise SettingsError(f"Only one version may go without a share; {' and '.join(open_ended)} do.")
    if rest < 0 or (rest and not open_ended):
        raise SettingsError(f"The shares are {(SLOTS - rest) / 10:g} % together, not 100 %.")
    return {version: rest if weight is None else weight for version, weight in found.items()}


def said(weights: Mapping[str, int]) -> str:
    """Weights in words: `90 % to version 5, 10 % to version 7`."""
    heaviest = sorted(weights.items(), key=lambda item: -item[1])
    if heaviest and heaviest[0][1] == SLOTS:
        waiting = [version for version, weight in heaviest[1:] if not weight]
        return f"all to version {heaviest[0][0]}" + "".join(f", version {each} loaded" for each in waiting)
    return ", ".join(f"{weight / 10:g} % to version {version}" for version, weight in heaviest)


def _tenths(word: str, share: str) -> int:
    try:
        tenths = float(share.removesuffix("%").strip()) * 10
    except ValueError:
        raise SettingsError(f"'{word}' is not VERSION=PERCENT, as in 7=10.") from None
    if not 0 <= tenths <= SLOTS or abs(tenths - round(tenths)) > 1e-9:
        raise SettingsError(f"'{word}': a share is from 0 to 100 % in steps of 0.1.")
    return round(tenths)


def _check(weights: Mapping[str, int], shadows: Sequence[str]) -> None:
    if sum(weights.values()) != SLOTS or min(weights.values(), default=0) < 0:
        raise SettingsError(f"The weights {dict(weights)} are not {SLOTS} tenths of a percent together.")
    if both := [version for version in shadows if weights.get(version)]:
        raise SettingsError(f"Version {both[0]} has traffic: it cannot be a shadow at the same time.")


def _slots(weights: Mapping[str, int], salt: str) -> tuple[str, ...]:
    filled = [version for version in sorted(weights, key=_age) for _ in range(weights[version])]
    if not salt:
        return tuple(filled)
    order = sorted(range(SLOTS), key=lambda slot: hashlib.sha256(f"{salt}/{slot}".encode()).digest())
    return tuple(version for _, version in sorted(zip(order, filled, strict=True)))


def _age(version: str) -> tuple[int, str]:
    """The newest first."""
    return (-int(version), "") if version.isdigit() else (1, version)
