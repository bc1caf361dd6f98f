"""Profiles as JSON and back: whole numbers packed, a few kB a column.

    number:    {"kind": "number", "rows", "nulls", "infinite": [of -∞, of +∞], "edges", "counts",
                "quantiles": {"0.5": …}, "fine": {"centre", "scale", "mean", "squares", "least", "most",
                "starts" or "edges", "counts", "strays", "atoms"}}
    category:  {"kind": "category", "rows", "nulls", "counts": {value: n}, "other", "slack", "complete"}

`edges` and `counts` are some twenty bins to look at: bin `i` is `edges[i-1] < x <= edges[i]`. `fine` has
those that are compared; profiles made until 0.8 have none, and are compared in the twenty. Text in `fine` is
base 85 of zlib of little-endian numbers: whole ones as differences, the others as float64.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from runtime_lib.errors import DataError
from runtime_lib.profiles.bins import Bins
from runtime_lib.profiles.category import CategoryProfile
from runtime_lib.profiles.coarse import coarse, together
from runtime_lib.profiles.grid import Floats, Grid, Integers
from runtime_lib.profiles.moments import Moments
from runtime_lib.profiles.number import NumberProfile

__all__ = ["counts_from_dict", "counts_to_dict", "from_dict", "to_dict"]

_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def to_dict(profile: NumberProfile | CategoryProfile) -> dict[str, Any]:
    """JSON-able values."""
    if isinstance(profile, CategoryProfile):
        order = sorted(profile.counts.items(), key=lambda item: (-item[1], item[0]))
        return {
            "kind": "category",
            "rows": profile.rows,
            "nulls": profile.nulls,
            "counts": dict(order),
            "other": profile.other,
            "slack": profile.slack,
            "complete": profile.complete,
        }
    starts, present = coarse(profile), profile.moments.n
    return {
        "kind": "number",
        "rows": profile.rows,
        "nulls": profile.nulls,
        "infinite": list(profile.infinite),
        "edges": _edges(profile, starts) if present else [],
        "counts": together(profile.counts, starts).tolist(),
        "quantiles": {str(q): profile.quantile(q) for q in _QUANTILES} if present else {},
        "fine": _fine(profile),
    }


def from_dict(about: Mapping[str, Any], where: str = "The profile") -> NumberProfile | CategoryProfile:
    """The profile of such a document.

    Raises:
        DataError: it is damaged; `where` begins the message.
    """
    try:
        if about["kind"] == "category":
            nulls, slack = int(about["nulls"]), int(about.get("slack", 0))
            return CategoryProfile(dict(about["counts"]), int(about["other"]), nulls, slack)
        return _number(about) if "fine" in about else _until_0_8(about)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(f"{where} is damaged: {type(error).__name__}: {error}. Train again.") from error


def _edges(profile: NumberProfile, starts: Integers) -> list[float]:
    """The largest value of each coarse bin but the last, as far as it is known."""
    borders = profile.bins.borders(profile.least, profile.most)
    found = np.nextafter(borders[starts[1:]], -np.inf)
    for place, (start, end) in enumerate(pairwise(starts)):
        held = np.flatnonzero(profile.counts[start:end])
        atom = profile.bins.atoms[start + held[-1]] if held.size else np.nan
        found[place] = atom if atom == atom else found[place]
    return [float(edge) for edge in found]


def counts_to_dict(profile: NumberProfile | CategoryProfile) -> dict[str, Any]:
    """What was counted, without the bins: to be read next to the profile that it was made like."""
    if isinstance(profile, CategoryProfile):
        return to_dict(profile)
    moments = profile.moments
    ends = [moments.least, moments.most] if moments.n else []
    return {
        "kind": "number",
        "nulls": profile.nulls,
        "infinite": list(profile.infinite),
        "counts": _pack(profile.counts),
        "strays": _pack(profile.strays),
        "moments": [moments.mean, moments.squares, *ends],
    }


def counts_from_dict(
    about: Mapping[str, Any], like: NumberProfile | CategoryProfile
) -> NumberProfile | CategoryProfile:
    """The profile of such a document.

    Raises:
        DataError: it is damaged, or was counted in other bins.
    """
    try:
        if isinstance(like, CategoryProfile):
            counts, known = dict(about["counts"]), frozenset(like.counts)
            return CategoryProfile(
                counts, int(about["other"]), int(about["nulls"]), int(about["slack"]), known
            )
        counted, strays = _unpack(about["counts"]), _unpack(about["strays"])
        if counted.shape != like.counts.shape or strays.shape != like.counts.shape:
            raise ValueError(f"{counted.size} counts in {like.counts.size} bins")
        below, above = about["infinite"]
        moments = Moments(int(counted.sum()), *map(float, about["moments"]))
        return NumberProfile(
            like.bins, counted, strays, moments, int(about["nulls"]), (int(below), int(above))
        )
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(f"A stored profile is damaged: {type(error).__name__}: {error}.") from error


def _fine(profile: NumberProfile) -> dict[str, Any]:
    bins, moments = profile.bins, profile.moments
    atoms = np.flatnonzero(bins.atoms == bins.atoms)
    return {
        "centre": bins.grid.centre,
        "scale": bins.grid.scale,
        "mean": moments.mean,
        "squares": moments.squares,
        "least": moments.least if moments.n else None,
        "most": moments.most if moments.n else None,
        **({"starts": _pack(bins.starts)} if bins.starts.size else {"edges": _pack_floats(bins.edges)}),
        "counts": _pack(profile.counts),
        "strays": _pack(profile.strays),
        "atoms": [_pack(atoms), _pack_floats(bins.atoms[atoms])],
    }


def _number(about: Mapping[str, Any]) -> NumberProfile:
    fine = about["fine"]
    counts = _unpack(fine["counts"])
    places, values = fine["atoms"]
    atoms = np.full(counts.size, np.nan)
    atoms[_unpack(places)] = _unpack_floats(values)
    starts = _unpack(fine["starts"]) if "starts" in fine else np.empty(0, np.int64)
    edges = _unpack_floats(fine["edges"]) if "edges" in fine else np.empty(0)
    if (starts.size or edges.size + 1) != counts.size:
        raise ValueError(f"{counts.size} counts in {starts.size or edges.size + 1} bins")
    below, above = about["infinite"]
    ends = {"least": fine["least"], "most": fine["most"]} if fine["least"] is not None else {}
    return NumberProfile(
        Bins(Grid(float(fine["centre"]), float(fine["scale"])), starts, edges, atoms),
        counts,
        _unpack(fine["strays"]),
        Moments(int(counts.sum()), float(fine["mean"]), float(fine["squares"]), **ends),
        int(about["nulls"]),
        (int(below), int(above)),
    )


def _until_0_8(about: Mapping[str, Any]) -> NumberProfile:
    """Of a profile with some twenty bins: moments as if values lay in the middle of theirs."""
    edges = np.asarray(about["edges"], dtype=np.float64)
    counts = np.asarray(about["counts"], dtype=np.int64)
    quantiles: Mapping[str, float] = about["quantiles"]
    centre, wide = quantiles.get("0.5", 0.0), quantiles.get("0.75", 1.0) - quantiles.get("0.25", 0.0)
    grid = Grid(float(centre), float(wide) if np.isfinite(wide) and wide > 0 else 1.0)
    # A bin between neighbouring floats holds the upper one alone.
    atoms = np.full(counts.size, np.nan)
    if edges.size:
        single = np.nextafter(edges[1:], -np.inf) == edges[:-1]
        atoms[1:-1][single] = edges[1:][single]
    bins = Bins(grid, np.empty(0, np.int64), np.nextafter(edges, np.inf), atoms)
    moments = Moments()
    if counts.sum():
        least, most = (
            quantiles.get(share, float(end)) for share, end in (("0.0", edges[0]), ("1.0", edges[-1]))
        )
        borders = bins.borders(least, most)
        middle = grid.unit(borders[:-1] / 2 + borders[1:] / 2)
        n, mean = int(counts.sum()), float(np.average(middle, weights=counts))
        squares = float((counts * (middle - mean) ** 2).sum())
        moments = Moments(n, mean, squares, *grid.unit(np.array([least, most])).tolist())
    return NumberProfile(bins, counts, np.zeros_like(counts), moments, int(about["nulls"]))


def _pack(numbers: Integers) -> str:
    """Differences take fewer bytes than numbers that rise, and no more than others."""
    steps = np.diff(numbers, prepend=0)
    kind = next(kind for kind in ("<i1", "<i2", "<i4", "<i8") if np.array_equal(steps.astype(kind), steps))
    return kind[1:] + _text(steps.astype(kind).tobytes())


def _unpack(text: str) -> Integers:
    return np.cumsum(np.frombuffer(_bytes(text[2:]), "<" + text[:2]).astype(np.int64))


def _pack_floats(numbers: Floats) -> str:
    return _text(numbers.astype("<f8").tobytes())


def _unpack_floats(text: str) -> Floats:
    return np.frombuffer(_bytes(text), "<f8").astype(np.float64)


def _text(data: bytes) -> str:
    return base64.b85encode(zlib.compress(data, 9)).decode("ascii")


def _bytes(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))
