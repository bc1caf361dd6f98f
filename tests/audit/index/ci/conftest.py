"""`ci({"path": "text"})`: the pipelines of files that are on no disk."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

from runtime_lib.audit.index.ci import read_ci
from runtime_lib.audit.index.documents import read_document
from runtime_lib.audit.index.model import Pipeline, Text
from runtime_lib.audit.index.modules import read_module
from runtime_lib.audit.index.text import lines_of

KINDS = {"yml": "yaml", "yaml": "yaml", "toml": "toml", "json": "json", "ini": "ini", "cfg": "ini"}
Ci = Callable[[dict[str, str]], tuple[Pipeline, ...]]


def _read(files: dict[str, str]) -> tuple[Pipeline, ...]:
    texts, documents, modules = {}, {}, {}
    for path, raw in files.items():
        text = dedent(raw)
        ending = path.rpartition(".")[2]
        if path.endswith(".py"):
            modules[path] = read_module(path, text, path.removesuffix(".py"), {})
        elif ending in KINDS or path == "Pipfile":
            documents[path] = read_document(path, text, KINDS.get(ending, "toml"))
        else:
            texts[path] = Text(path, lines_of(text))
    return read_ci(texts, documents, modules, tuple(files))


@pytest.fixture(scope="session")
def ci() -> Ci:
    return _read


def run(pipelines: tuple[Pipeline, ...]) -> list[str]:
    """What all jobs that are not disabled run."""
    return [one.text for each in pipelines for job in each.jobs if not job.disabled for one in job.commands]
