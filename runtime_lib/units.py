"""Bytes and the units in which people read and write them."""

from __future__ import annotations

__all__ = ["GIB", "MIB", "amount", "from_gib", "gib"]

MIB = 2**20
GIB = 2**30


def from_gib(number: float) -> int:
    """Whole bytes in a number of GiB, rounded down."""
    return int(number * GIB)


def gib(size: float, *, digits: int = 1) -> str:
    """Write bytes in GiB: `17179869184` → `16.0 GiB`."""
    return f"{size / GIB:,.{digits}f} GiB"


def amount(size: float) -> str:
    """Write bytes in GiB, or in MiB below one GiB: `1048576` → `1.0 MiB`."""
    return gib(size) if size >= GIB else f"{size / MIB:,.1f} MiB"
