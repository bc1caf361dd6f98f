from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.registry import stored_registry


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored_registry(tmp_path_factory)
