"""A project with channels, and the alerts that it sends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime_lib import secrets
from runtime_lib.settings import Settings, load

BASE = '[project]\nname = "shop"\npackage = "shop"\n'


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test hides is no secret of the next."""
    monkeypatch.setattr(secrets, "_known", set())


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Settings]:
    """`project(text, **variables)` → the settings of a project whose `mlops.toml` ends with this text."""

    def make(text: str = "", **variables: str) -> Settings:
        (tmp_path / "mlops.toml").write_text(BASE + text)
        return load(tmp_path, environ=variables)

    return make
