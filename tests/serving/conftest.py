from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.projects import free_port
from tests.support.servers import Server, make_model, make_project, running


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "candidate")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Server]:
    port = free_port()
    settings = make_project(tmp_path_factory.mktemp("project"), max_rows=50, port=port, engine="local")
    with running(settings, model_folder, port) as server:
        yield server
