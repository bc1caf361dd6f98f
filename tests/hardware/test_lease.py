"""One machine, several projects: nobody takes more than there is, and nobody who died holds anything."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime_lib.hardware.lease import holders, lease


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_LEASES", str(tmp_path / "leases"))
    return tmp_path / "leases"


def test_a_lease_leaves_nothing_behind(folder):
    with lease(memory=0.7, gpu=1.0, project="flights") as held:
        assert [(other.project, other.memory, other.gpu, other.is_held) for other in holders()] == [
            ("flights", 0.7, 1.0, True)
        ]
        assert held.process == os.getpid()
    assert holders() == []
    assert list(folder.iterdir()) == []
