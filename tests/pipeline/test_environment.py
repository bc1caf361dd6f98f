"""A project that was copied with its environment does not run the code of the project that it came from."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv

from tests.conftest import REPOSITORY

RUN = """
from runtime_lib.pipeline.run import run
from runtime_lib.settings import load
run(load())
"""


def test_the_environment_of_the_original_is_refused_by_a_copy(tmp_path):
    first, copy = tmp_path / "first", tmp_path / "copy"
    for root in (first, copy):
        venv.create(root / ".venv", symlinks=True)
        (root / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')

    def said(environment, root):
        variables = {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), sysconfig.get_path("purelib")])}
        command = [str(environment / ".venv" / "bin" / "python"), "-c", RUN]
        return subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True).stderr

    assert f"This runs the code of {first}: .venv was copied" in said(first, copy)
    for environment, root in ((first, first), (copy, copy)):
        assert "dvc.yaml" in said(environment, root), "it gets as far as the pipeline"
    assert (
        "dvc.yaml"
        in subprocess.run([sys.executable, "-c", RUN], cwd=copy, capture_output=True, text=True).stderr
    )
