"""What Apple published, or others measured, about each chip: `chips.csv`, a row per chip with its sources.

The table names the core levels of systems that only number them, and adds what no command reports (bandwidth,
Neural Engine). A chip that is not in it is unknown, not approximated.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Chip", "CoreLevel", "chip", "chips"]

_LETTERS = {"S": "Super", "P": "Performance", "E": "Efficiency"}


@dataclass(frozen=True)
class CoreLevel:
    """Cores of one kind: `Super`, `Performance`, `Efficiency`, or `Standard` where there is only one.

    Either may be unknown (`None`), never both.
    """

    name: str | None
    count: int | None


@dataclass(frozen=True)
class Chip:
    """A row of the table. Watts are those of the whole computer at the wall, idle and at most."""

    name: str
    # One entry per variant on sale, fastest level first.
    cores: tuple[tuple[CoreLevel, ...], ...]
    gpu_cores: tuple[int, ...]
    neural_engine_cores: int | None
    max_memory_bytes: int
    # Under "" if all variants have the same; else by GPU cores (`40g`), or CPU cores (`16c`) if they decide.
    bandwidth_gbs: Mapping[str, float]
    idle_watts: float | None
    max_watts: float | None
    sources: str

    def configuration(self, counts: Iterable[int]) -> tuple[CoreLevel, ...] | None:
        """The core configuration with exactly these counts, in whatever order they come; else None."""
        wanted = Counter(counts)
        found = [each for each in self.cores if Counter(level.count for level in each) == wanted]
        return found[0] if len(found) == 1 else None

    def bandwidth(self, *, gpu_cores: int | None, cpu_count: int | None) -> float | None:
        """Memory bandwidth in GB/s of the variant with so many cores; None where that is none, or two."""
        keys = ("", f"{gpu_cores}g", f"{cpu_count}c")
        found = {self.bandwidth_gbs[key] for key in keys if key in self.bandwidth_gbs}
        return found.pop() if len(found) == 1 else None


@cache
def chips() -> Mapping[str, Chip]:
    """The table, by name as `machdep.cpu.brand_string` spells it."""
    with (Path(__file__).parent / "chips.csv").open(encoding="utf-8", newline="") as file:
        return {row["chip"]: _chip(row) for row in csv.DictReader(file)}


def chip(name: str | None) -> Chip | None:
    """The row of a chip, or None. A virtual machine's chip has none: it gets a part of the real one."""
    return chips().get(name or "")


def _chip(row: Mapping[str, str]) -> Chip:
    return Chip(
        name=row["chip"],
        cores=tuple(_cores(text) for text in row["cores"].split("|") if text),
        gpu_cores=tuple(int(count) for count in row["gpu_cores"].split("|") if count),
        neural_engine_cores=int(row["neural_engine_cores"]) if row["neural_engine_cores"] else None,
        max_memory_bytes=int(row["max_memory_gb"]) * 2**30,
        bandwidth_gbs=_bandwidth(row["bandwidth_gbs"]),
        idle_watts=float(row["idle_watts"]) if row["idle_watts"] else None,
        max_watts=float(row["max_watts"]) if row["max_watts"] else None,
        sources=row["sources"],
    )


def _cores(text: str) -> tuple[CoreLevel, ...]:
    """`6S+12P` → 6 Super, 12 Performance."""
    found = re.findall(r"(\d+)([SPE])", text)
    return tuple(CoreLevel(_LETTERS[letter], int(count)) for count, letter in found)


def _bandwidth(text: str) -> dict[str, float]:
    """`273`, or by cores `32g=410|40g=546`."""
    pairs = (part.rpartition("=") for part in text.split("|") if part)
    return {cores: float(value) for cores, _, value in pairs}
