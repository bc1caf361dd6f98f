"""What must hold of the template for projects that it made before; asked of HEAD and of broken copies."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from runtime_lib.upgrade.answers import parse_answers
from runtime_lib.upgrade.migrations import Migration
from runtime_lib.upgrade.render import Files, render
from tests.support import scene
from tests.upgrade.test_migrations import undeclared

_ANSWERS = ".copier-answers.yml"

# One answer at a time that is not the default; what belongs together goes together.
VARIATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"framework": "mlx"},
    {"framework": "torch"},
    {"tier": "quick"},
    {"ci_provider": "gitlab"},
    {"ci_provider": "none"},
    {"with_orchestration": False},
    {"with_serving": False},
    {"with_monitoring": False},
    {"data_remote": "s3", "data_remote_url": "s3://bucket/flights"},
    {"project_license": "Proprietary"},
    {"python_version": "3.13"},
    {"tracking_uri": "https://mlflow.example.org"},
)


def unfenced(files: Files) -> list[str]:
    """The pins of the library that do not stand alone between two comments.

    Without the comments, the line that changes with every release is beside those of `uv add`, and each
    update is a conflict.
    """
    lines = files["pyproject.toml"].decode().splitlines()
    return [
        line.strip()
        for before, line, after in zip(lines, lines[1:], lines[2:], strict=False)
        if "runtime-lib[" in line
        and not (before.strip().startswith("# >>> ") and after.strip().startswith("# <<< "))
    ]


def changed_meaning(
    template: Path, old: str, new: str, steps: Iterable[Migration], variations: Iterable[Mapping[str, Any]]
) -> list[str]:
    """What answers given at `old` no longer do at `new`: a line each."""
    whole = _facts(_old(template, old, {}))
    found = []
    for answers in variations:
        before = _old(template, old, answers)
        after = render(parse_answers(before[_ANSWERS].decode(), _ANSWERS), ref=new)
        lost = _lost(before, after, tuple(steps))
        # What this answer leaves out, it must leave out for ever.
        back = (whole - _facts(before)) & _facts(after)
        found += [
            f"{dict(answers)}: {word} {fact}"
            for word, facts in (("lost", lost), ("back", back))
            for fact in facts
        ]
    return found


def _old(template: Path, ref: str, answers: Mapping[str, Any]) -> Files:
    return scene.rendered(template, ref, "default", tuple(answers.items()))


def _lost(before: Files, after: Files, steps: tuple[Migration, ...]) -> set[str]:
    lost = _facts(before) - _facts(after)
    files = {f"file {path}" for path in undeclared(before, after, steps, "late_flights")}
    moved = {key for step in steps for key in step.settings}
    return {
        fact
        for fact in lost
        if (
            fact in files
            if fact.startswith("file ")
            else fact.removeprefix("setting ").split(" = ")[0] not in moved
        )
    }


def _facts(files: Files) -> set[str]:
    """What the answers decide: files, settings, extras of the library, and the answers themselves."""
    extras = re.findall(r"runtime-lib\[([^\]]*)\]", files["pyproject.toml"].decode())
    settings = tomllib.loads(files["mlops.toml"].decode())
    answers = yaml.safe_load(files[_ANSWERS])
    return {
        *(f"file {path}" for path in files),
        *(
            f"setting {table}.{key} = {value!r}"
            for table, keys in settings.items()
            for key, value in keys.items()
        ),
        *(f"extra {extra}" for row in extras for extra in row.split(",")),
        *(f"answer {key} = {value!r}" for key, value in answers.items() if not key.startswith("_")),
    }
