"""Schedules that Terraform makes, and what they start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from runtime_lib.audit.index.model import Evidence, Repo, Text
from runtime_lib.audit.queries import at, once

__all__ = ["in_terraform"]

_KINDS = frozenset(
    (
        "aws_cloudwatch_event_rule",
        "aws_glue_trigger",
        "aws_scheduler_schedule",
        "azurerm_logic_app_trigger_recurrence",
        "databricks_job",
        "google_cloud_scheduler_job",
    )
)
_OFF = re.compile(
    r"is_enabled\s*=\s*false|state\s*=\s*\"DISABLED\"|paused\s*=\s*true|enabled\s*=\s*false|\"PAUSED\""
)
_WHEN = re.compile(r"\b(schedule|schedule_expression|quartz_cron_expression|event_pattern|frequency)\b")
_TRAINS = re.compile(
    r"(?<![a-z])(re)?-?train(ing)?(?![a-z])|Train(ing)?[A-Z]|Train\b|Training\b|createTrainingJob"
)
_BLOCK = re.compile(r'^resource\s+"([\w-]+)"\s+"([\w-]+)"')


class _Block(NamedTuple):
    text: Text
    line: int
    body: str


def in_terraform(repo: Repo) -> Iterator[Evidence]:
    """Resources that start something by time, which leads to training by what it names."""
    for (kind, name), block in _blocks(repo).items():
        timed = kind in _KINDS and _WHEN.search(block.body) and not _OFF.search(block.body)
        if timed and _leads(repo, kind, name, block, frozenset()):
            yield at(block.text, block.line, f"{kind} {name}")


@once
def _blocks(repo: Repo) -> dict[tuple[str, str], _Block]:
    found = {}
    for path, text in repo.texts.items():
        if not path.endswith(".tf") or re.search(r"(^|/)(examples?|tests?)/", path):
            continue
        for number, line in enumerate(text.lines):
            if head := _BLOCK.match(line):
                rest = text.lines[number + 1 :]
                end = next((place for place, one in enumerate(rest) if one.startswith("}")), len(rest))
                plain = [one for one in rest[:end] if not one.lstrip().startswith(("#", "//"))]
                found[head[1], head[2]] = _Block(text, number + 1, "\n".join(plain))
    return found


def _leads(repo: Repo, kind: str, name: str, block: _Block, seen: frozenset[tuple[str, str]]) -> bool:
    """Whether the block, a block beside it or a file that it names speaks of training."""
    if _TRAINS.search(f"{name} {block.body}") or any(_TRAINS.search(one) for one in _files(repo, block.body)):
        return True
    if len(seen) > 3:
        return False
    for other, one in _blocks(repo).items():
        # What it names; of a rule also the target that names it.
        named = f"{other[0]}.{other[1]}" in block.body or (
            "target" in other[0] and f"{kind}.{name}" in one.body
        )
        if named and other not in seen and _leads(repo, *other, one, seen | {(kind, name)}):
            return True
    return False


def _files(repo: Repo, body: str) -> Iterator[str]:
    for name in re.findall(r"(?:file|templatefile)\(\s*\"[^\"]*?([\w.-]+)\"", body):
        for path, document in repo.documents.items():
            if path.rpartition("/")[2] == name:
                yield " ".join(f"{'.'.join(map(str, one.keys))} {one.value}" for one in document.entries)
        for path, text in repo.texts.items():
            if path.rpartition("/")[2] == name:
                yield "\n".join(one for one in text.lines if not one.lstrip().startswith("#"))
