"""A driver of NVIDIA's, stood in for by a library of the same functions."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.energy import (
    DRIVER,
    ON_CUDA,
    run,
)


@pytest.fixture
def driver(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    (tmp_path / "driver.c").write_text(DRIVER)
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True)
    path = os.pathsep.join([str(tmp_path), os.environ.get("LD_LIBRARY_PATH", "")])

    def call(millijoules: str, *, gpus: int = 2, code: str = ON_CUDA) -> dict[str, Any]:
        return run(code, tmp_path, LD_LIBRARY_PATH=path, GPUS=str(gpus), MILLIJOULES=millijoules)

    return call
