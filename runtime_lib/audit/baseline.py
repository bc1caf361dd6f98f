"""What is new since an earlier run: its JSON is the baseline.

A gap is known by its check and the files that show it, not by lines, which move with every edit. An absence
has no file and is known by its check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_lib.audit.recommend import GAPS
from runtime_lib.errors import DataError
from runtime_lib.files import read_json

__all__ = ["Difference", "compare"]


@dataclass(frozen=True)
class Difference:
    """Checks whose gaps are new, were known, and are closed since the baseline."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    closed: tuple[str, ...]


def compare(checks: Iterable[Mapping[str, Any]], baseline: Path) -> Difference:
    """Compare the `checks` of a JSON report with those of an earlier one.

    Raises:
        DataError: the baseline is missing, damaged or no report of an audit.
    """
    earlier = read_json(baseline, made_by=f"mlops audit --json > {baseline}").get("checks")
    try:
        before = _gaps(earlier or ())
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{baseline} is no report of `mlops audit --json`.") from error
    if earlier is None:
        raise DataError(f"{baseline} is no report of `mlops audit --json`: it has no checks.")
    now = _gaps(checks)
    new = tuple(id for id, (verdict, places) in now.items() if _is_new(verdict, places, before.get(id)))
    return Difference(
        new, tuple(id for id in now if id not in new), tuple(id for id in before if id not in now)
    )


_Gap = tuple[str, frozenset[str]]


def _gaps(checks: Iterable[Mapping[str, Any]]) -> dict[str, _Gap]:
    return {
        one["id"]: (one["verdict"], frozenset(each["path"] for each in one["evidence"]))
        for one in checks
        if one["verdict"] in GAPS
    }


def _is_new(verdict: str, places: frozenset[str], earlier: _Gap | None) -> bool:
    if earlier is None:
        return True
    # What was there in part and is gone is worse; what fails in fewer places is better.
    return (verdict, earlier[0]) == ("fail", "partial") or (verdict == "fail" and not places <= earlier[1])
