"""The same weights give the same answer over HTTP, whichever framework computes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.projects import free_port
from tests.support.servers import ROWS, expected, make_project, running


def test_mlx_and_torch_serve_the_same_answer(model_folder: Path, tmp_path: Path) -> None:
    answers = {}
    for framework in ("torch", "mlx"):
        port = free_port()
        settings = make_project(tmp_path / framework, engine="local", port=port, framework=framework)
        with running(settings, model_folder, port) as server:
            status, answer = server.ask("/invocations", {"inputs": ROWS})
            assert (status, server.ask("/v2/models/flights")[1]["platform"]) == (200, f"{framework}_mlops")
            answers[framework] = answer["predictions"]
    assert len(set(answers["torch"])) == len(ROWS["hour"])
    assert np.abs(np.subtract(answers["torch"], answers["mlx"])).max() <= 1e-5
    assert np.abs(np.subtract(answers["mlx"], expected(model_folder))).max() <= 1e-5
