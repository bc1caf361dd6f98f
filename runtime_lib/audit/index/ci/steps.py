"""Steps of a job and the events that reach them, whatever the provider."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, product
from typing import Any

from runtime_lib.audit.index.ci.expand import commands
from runtime_lib.audit.index.ci.sources import Place, Sources, listed, table
from runtime_lib.audit.index.model import Command, Job, Trigger

__all__ = ["Step", "jobs", "variants"]

Used = tuple[str, int, Mapping[str, str]]
_MOST_VARIANTS = 16


@dataclass(frozen=True)
class Step:
    """A step: a script, or something used, or something that cannot be followed.

    `conditions`: all must hold, those of what the step stands in included.
    """

    script: str = ""
    place: Place = field(default_factory=lambda: Place("", 1))
    used: Used | None = None
    unknown: tuple[str, int] | None = None
    conditions: tuple[Any, ...] = ()


def jobs(
    sources: Sources,
    name: str,
    line: int,
    steps: Sequence[Step],
    triggers: Sequence[Trigger],
    holds: Callable[[Any, Trigger], bool | None],
    *,
    disabled: bool = False,
    environment: Mapping[str, str] | None = None,
) -> list[Job]:
    """The job, once for each set of steps that different triggers reach."""
    groups: dict[tuple[bool, ...], list[Trigger]] = {}
    for trigger in triggers:
        reached = tuple(all(holds(one, trigger) is not False for one in step.conditions) for step in steps)
        groups.setdefault(reached, []).append(trigger)
    if not groups:
        groups = {(True,) * len(steps): []}
    found = []
    for reached, members in groups.items():
        taken = [step for step, here in zip(steps, reached, strict=True) if here]
        found.append(_job(sources, name, line, taken, members, disabled, environment or {}))
    return found


def _job(
    sources: Sources,
    name: str,
    line: int,
    steps: Sequence[Step],
    triggers: Sequence[Trigger],
    disabled: bool,
    environment: Mapping[str, str],
) -> Job:
    run: list[Command] = []
    for step in steps:
        if step.script:
            run += commands(sources, step.script, step.place)
    return Job(
        name,
        line,
        tuple(triggers),
        tuple(dict.fromkeys(run)),
        tuple(step.used for step in steps if step.used),
        tuple(step.unknown for step in steps if step.unknown),
        disabled,
        environment,
    )


_MATRIX = re.compile(r"matrix\.([\w-]+)")
_USE = re.compile(r"\$\{\{\s*matrix\.([\w.-]+)\s*\}\}")


def variants(text: str, matrix: Mapping[str, Any]) -> list[str]:
    """The text with values of the matrix in place of `${{ matrix.x }}`, for at most 16 combinations."""
    names = sorted({found[1] for found in _MATRIX.finditer(text)})
    if not names or not matrix:
        return [text]
    chosen = islice(_combinations(matrix, names), _MOST_VARIANTS)
    return list(dict.fromkeys(_USE.sub(partial(_value, values), text) for values in chosen)) or [text]


def _combinations(matrix: Mapping[str, Any], names: list[str]) -> Iterator[dict[str, Any]]:
    included = [table(one) for one in listed(matrix.get("include"))]
    together = [one for one in included if any(name in one for name in names)]
    yield from together
    lists = [listed(matrix.get(name)) if name in matrix else [None] for name in names]
    if any(values != [None] for values in lists):
        yield from (dict(zip(names, values, strict=True)) for values in product(*lists))


def _value(values: Mapping[str, Any], found: re.Match[str]) -> str:
    value: Any = values
    for key in found[1].split("."):
        value = table(value).get(key)
    return str(value) if isinstance(value, str | int | float) else found[0]
