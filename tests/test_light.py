"""Importing costs next to nothing: what is heavy is loaded when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "pandas",
    "pyarrow",
    "mlflow",
    "ray",
    "torch",
    "mlx",
    "sklearn",
    "dvc",
    "airflow",
    "matplotlib",
    "pandera",
}


HELP = "import sys; sys.argv = ['mlops', '--help']\nfrom runtime_lib.cli import main\nmain()"


def loaded(code: str) -> set[str]:
    # `mlops --help` ends the process itself.
    script = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def imported(code: str) -> set[str]:
    return {name.partition(".")[0] for name in loaded(code)}


@pytest.mark.parametrize(
    "code",
    [
        "import runtime_lib",
        "import runtime_lib.settings",
        "import runtime_lib.pipeline.graph",
        "import runtime_lib.hardware",
        "import runtime_lib.pipeline.stages",
        "import runtime_lib.training.network",
        "import runtime_lib.serving.page.openapi",
        "import runtime_lib.monitoring.metrics.exporter",
        HELP,
    ],
)
def test_nothing_heavy_is_imported(code):
    assert not imported(code) & HEAVY


def test_the_package_itself_imports_nothing_of_others():
    assert not imported("import runtime_lib") & {"msgspec", "typer", "rich", "yaml", "numpy"}


def test_the_state_of_a_server_is_drawn_without_arrays():
    assert not imported("import runtime_lib.serving.page.overview, jinja2") & (HEAVY | {"numpy"})


def test_an_audit_needs_the_light_core_alone():
    parts = ("run", "index", "project", "checks", "report.render", "report.terminal")
    code = "import " + ", ".join(f"runtime_lib.audit.{part}" for part in parts)
    assert not imported(code) & (HEAVY | {"numpy", "jinja2"})


def test_help_loads_no_room():
    rooms = {name.split(".")[1] for name in loaded(HELP) if name.startswith("runtime_lib.")}
    assert rooms == {"cli", "errors", "secrets", "settings"}


def test_a_dag_file_needs_only_airflow_and_the_light_library():
    pytest.importorskip("airflow.sdk")
    assert not imported("import runtime_lib.pipeline.airflow") & (HEAVY - {"airflow"})
