"""`ask("M1", {"app.py": "…"})`: what a check finds in a small repository."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import runtime_lib.audit.checks
from runtime_lib.audit.index import index
from runtime_lib.audit.project import assess
from runtime_lib.audit.records import CHECKS, Finding

assert runtime_lib.audit.checks  # it enters the checks

Ask = Callable[..., Finding]


@pytest.fixture
def ask(tree) -> Ask:
    def answer(id: str, files) -> Finding:
        repo = index(tree(files))
        found = CHECKS[id].ask(repo, assess(repo))
        assert all(one.path in repo.files and one.line >= 1 and one.what for one in found.evidence)
        assert found.evidence or found.verdict not in ("pass", "partial")
        return found

    return answer
