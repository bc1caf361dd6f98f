from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runtime_lib.settings import Settings, load

TOML = '[project]\nname = "demo"\npackage = "demo"\n'


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with nothing but a store of the newest schema; making one takes seconds."""
    from runtime_lib.tracking.store import connect

    root = tmp_path_factory.mktemp("fresh")
    (root / "mlops.toml").write_text(TOML)
    connect(load(root, environ={}))
    return root


@pytest.fixture
def empty(tmp_path: Path) -> Settings:
    """A project without any store."""
    (tmp_path / "mlops.toml").write_text(TOML)
    return load(tmp_path, environ={})


@pytest.fixture
def project(fresh_store: Path, tmp_path: Path) -> Settings:
    root = tmp_path / "project"
    shutil.copytree(fresh_store, root)
    return load(root, environ={})
