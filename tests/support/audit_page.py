"""The table of checks in docs/audit.md, from the records. `python -m tests.support.audit_page` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from runtime_lib.audit.plugins import load_checks
from runtime_lib.audit.records import Check
from tests.support.releases import REPOSITORY

__all__ = ["PAGE", "table", "with_table"]

PAGE = REPOSITORY / "docs" / "audit.md"
_BEGIN, _END = "<!-- checks -->\n", "<!-- /checks -->\n"


def table(checks: Mapping[str, Check]) -> str:
    """A table for each principle."""
    parts = []
    for principle, found in groupby(checks.values(), key=lambda check: check.principle):
        title = f"### {principle[0].upper()}{principle[1:]}"
        lines = ["| check | asks | looks for | where it may be wrong |", "|---|---|---|---|"]
        parts.append("\n".join([title, "", *lines, *map(_line, found), ""]))
    return "\n" + "\n".join(parts) + "\n"


def _line(check: Check) -> str:
    id = f"**{check.id}**" if check.pillar else check.id
    cells = (id, check.question, check.looks_for, check.false_answers)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def with_table(page: str, checks: Mapping[str, Check]) -> str:
    """The page with its table as the records have it."""
    head, _, rest = page.partition(_BEGIN)
    return head + _BEGIN + table(checks) + _END + rest.partition(_END)[2]


def _write(page: Path) -> None:
    page.write_text(with_table(page.read_text(encoding="utf-8"), load_checks()[0]), encoding="utf-8")


if __name__ == "__main__":
    _write(PAGE)
