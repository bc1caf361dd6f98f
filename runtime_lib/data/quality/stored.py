"""What featurize found, as it lies next to the features: `quality.json`.

    {"format": 1, "rules": [{"kind": "range", "name": …}, …], "months": {"2013-01": {"rows": …}, …}}

Rules are those that judged, with all their options; `months` are `QualityCount`s. There is no such file where
a project has no rules. To change the format: raise `_FORMAT` and keep reading every earlier number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_lib.data.quality.count import QualityCount
from runtime_lib.data.quality.month_rules import Freshness, Volume
from runtime_lib.data.quality.row_rules import AllowedValues, NotMissing, Pattern, Range, Unique
from runtime_lib.data.quality.rule import Rule
from runtime_lib.errors import DataError
from runtime_lib.files import read_json, write_json

__all__ = ["FILE", "Found", "read_found", "rule_of", "write_found"]

FILE = "quality.json"
_FORMAT = 1
_KINDS: Mapping[str, type[Rule]] = {
    kind.kind: kind for kind in (AllowedValues, Freshness, NotMissing, Pattern, Range, Unique, Volume)
}


@dataclass(frozen=True)
class Found:
    """Rules, and what they found in each month, in order."""

    rules: Sequence[Rule]
    months: Mapping[str, QualityCount]


def write_found(found: Found, folder: Path) -> None:
    write_json(
        folder / FILE,
        {
            "format": _FORMAT,
            "rules": [rule.to_dict() for rule in found.rules],
            "months": {month: count.to_dict() for month, count in found.months.items()},
        },
    )


def read_found(folder: Path) -> Found | None:
    """Return what lies in a folder of features; None: there were no rules when they were made.

    Raises:
        DataError: the file is damaged, or of a later version of this library.
    """
    if not (folder / FILE).exists():
        return None
    stored = read_json(folder / FILE, made_by="mlops run --stage featurize --force", newest=_FORMAT)
    months = {month: QualityCount.from_dict(stored["months"][month]) for month in sorted(stored["months"])}
    return Found([rule_of(fields) for fields in stored["rules"]], months)


def rule_of(stored: Mapping[str, Any]) -> Rule:
    """The rule of `Rule.to_dict`."""
    fields = dict(stored)
    if (kind := fields.pop("kind")) not in _KINDS:
        raise DataError(f"The quality rule '{fields.get('name')}' is of kind {kind!r}: update runtime-lib.")
    return _KINDS[kind](**fields)
