"""Arrays as text for JSON: base 85 of zlib of little-endian numbers, whole ones as differences."""

from __future__ import annotations

import base64
import zlib

import numpy as np

from runtime_lib.profiles.grid import Floats, Integers

__all__ = ["pack", "pack_floats", "unpack", "unpack_floats"]

_KINDS = ("i1", "i2", "i4", "i8")


def pack(numbers: Integers) -> str:
    """Differences take fewer bytes than numbers that rise, and no more than others."""
    steps = np.diff(numbers, prepend=0)
    kind = next(kind for kind in _KINDS if np.array_equal(steps.astype(f"<{kind}"), steps))
    return kind + _text(steps.astype(f"<{kind}").tobytes())


def unpack(text: str) -> Integers:
    """
    Raises:
        ValueError, TypeError, zlib.error: it is no text of `pack`.
    """
    if text[:2] not in _KINDS:
        raise ValueError(f"packed numbers of kind {text[:2]!r}")
    return np.cumsum(np.frombuffer(_bytes(text[2:]), f"<{text[:2]}").astype(np.int64))


def pack_floats(numbers: Floats) -> str:
    return _text(numbers.astype("<f8").tobytes())


def unpack_floats(text: str) -> Floats:
    """
    Raises:
        ValueError, TypeError, zlib.error: it is no text of `pack_floats`.
    """
    return np.frombuffer(_bytes(text), "<f8").astype(np.float64)


def _text(data: bytes) -> str:
    return base64.b85encode(zlib.compress(data, 9)).decode("ascii")


def _bytes(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))
