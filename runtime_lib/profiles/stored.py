"""Profiles as JSON and back: whole numbers packed, a few kB a column.

    number:    {"kind": "number", "rows", "nulls", "infinite": [of -∞, of +∞], "edges", "counts",
                "quantiles": {"0.5": …}, "fine": {"centre", "scale", "mean", "squares", "least", "most",
                "starts" or "edges", "counts", "strays", "atoms"}}
    category:  {"kind": "category", "rows", "nulls", "counts": {value: n}, "other", "slack", "complete"}

`edges` and `counts` are some twenty bins to look at: bin `i` is `edges[i-1] < x <= edges[i]`. `fine` has
those that are compared; profiles made until 0.8 have none, and are compared in the twenty. Text in `fine` is
packed, see `packed`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from runtime_lib.errors import DataError, quoted
from runtime_lib.profiles.bins import Bins
from runtime_lib.profiles.category import CategoryProfile
from runtime_lib.profiles.coarse import coarse, together
from runtime_lib.profiles.grid import CELLS, Grid, Integers
from runtime_lib.profiles.moments import Moments
from runtime_lib.profiles.number import NumberProfile
from runtime_lib.profiles.packed import pack, pack_floats, unpack, unpack_floats

__all__ = ["counts_from_dict", "counts_to_dict", "from_dict", "to_dict"]

_DAMAGE = (KeyError, TypeError, ValueError, zlib.error)
_LEAST = -1.7e308  # below it, a step further down would be infinite
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
            return _names(about, frozenset())
        if about["kind"] != "number":
            raise ValueError(f"a column of kind {quoted(about['kind'])}")
        return _number(about) if "fine" in about else _until_0_8(about)
    except _DAMAGE as error:
        raise DataError(f"{where} is damaged: {type(error).__name__}: {error}. Train again.") from error


def _edges(profile: NumberProfile, starts: Integers) -> list[float]:
    """The largest value of each coarse bin but the last, as far as it is known."""
    borders = profile.bins.borders(profile.least, profile.most)
    found = np.nextafter(np.maximum(borders[starts[1:]], _LEAST), -np.inf)
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
        "counts": pack(profile.counts),
        "strays": pack(profile.strays),
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
            return _names(about, frozenset(like.counts))
        mean, squares, *ends = about["moments"]
        return _counted(about, about, like.bins, mean, squares, ends)
    except _DAMAGE as error:
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
        **({"starts": pack(bins.starts)} if bins.starts.size else {"edges": pack_floats(bins.edges)}),
        "counts": pack(profile.counts),
        "strays": pack(profile.strays),
        "atoms": [pack(atoms), pack_floats(bins.atoms[atoms])],
    }


def _names(about: Mapping[str, Any], known: frozenset[str]) -> CategoryProfile:
    counts = {str(name): _whole(rows) for name, rows in dict(about["counts"]).items()}
    nulls, other, slack = _whole(about["nulls"]), _whole(about["other"]), _whole(about.get("slack", 0))
    return CategoryProfile(counts, other, nulls, slack, known)


def _number(about: Mapping[str, Any]) -> NumberProfile:
    fine = about["fine"]
    ends = () if fine["least"] is None else (fine["least"], fine["most"])
    profile = _counted(about, fine, _bins(fine), fine["mean"], fine["squares"], ends)
    if profile.rows != about["rows"]:
        raise ValueError(f"counts of {profile.rows} in {quoted(about['rows'])} rows")
    return profile


def _bins(fine: Mapping[str, Any]) -> Bins:
    grid = Grid(_finite(fine["centre"]), _finite(fine["scale"]))
    starts = unpack(fine["starts"]) if "starts" in fine else np.empty(0, np.int64)
    edges = unpack_floats(fine["edges"]) if "edges" in fine else np.empty(0)
    if not grid.scale > 0:
        raise ValueError(f"a grid in steps of {grid.scale:g}")
    if starts.size and (starts[0] or starts[-1] >= CELLS or not (np.diff(starts) > 0).all()):
        raise ValueError("bins whose first cells do not rise")
    if "starts" not in fine and not (np.diff(edges) > 0).all():
        raise ValueError("edges that do not rise")
    atoms = np.full(starts.size or edges.size + 1, np.nan)
    places, values = fine["atoms"]
    at, values = unpack(places), unpack_floats(values)
    if at.size != values.size or not ((at >= 0) & (at < atoms.size)).all():
        raise ValueError(f"{values.size} values in {at.size} of {atoms.size} bins")
    atoms[at] = values
    return Bins(grid, starts, edges, atoms)


def _counted(
    about: Mapping[str, Any],
    packed: Mapping[str, Any],
    bins: Bins,
    mean: float,
    squares: float,
    ends: Sequence[float],
) -> NumberProfile:
    counts, strays = unpack(packed["counts"]), unpack(packed["strays"])
    if not counts.size == strays.size == bins.atoms.size:
        raise ValueError(f"{counts.size} and {strays.size} counts in {bins.atoms.size} bins")
    if not ((strays >= 0) & (strays <= counts)).all():
        raise ValueError("counts below 0, or of more strays than values")
    n = int(counts.sum())
    if len(ends) != (2 if n else 0):
        raise ValueError(f"{n} values with {len(ends)} ends")
    below, above = map(_whole, about["infinite"])
    moments = Moments(n, _finite(mean), _finite(squares), *map(_finite, ends))
    return NumberProfile(bins, counts, strays, moments, _whole(about["nulls"]), (below, above))


def _whole(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"a number of rows that is {quoted(value)}")
    return value


def _finite(value: Any) -> float:
    if not np.isfinite(value):
        raise ValueError(f"a figure that is {quoted(value)}")
    return float(value)


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
