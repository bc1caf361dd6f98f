"""Names of modules, and under which of them they are found where they are imported."""

from __future__ import annotations

from runtime_lib.audit.index.names import Names

PATHS = [
    "setup.py",
    "src/pkg/__init__.py",
    "src/pkg/data/__init__.py",
    "src/pkg/data/load.py",
    "src/pkg/logging.py",
    "scripts/train.py",
    "scripts/utils.py",
    "scripts/mlflow.py",
    "service/app/main.py",
    "service/app/utils.py",
]


def test_a_module_is_named_from_the_nearest_folder_that_is_no_package():
    names = Names(PATHS)
    assert names.of("src/pkg/data/load.py") == "pkg.data.load"
    assert names.of("src/pkg/__init__.py") == "pkg"
    assert names.of("service/app/main.py") == "main"
    assert names.of("setup.py") == "setup"
    assert Names(["__init__.py", "a.py"]).of("a.py") == "a"
    assert Names(["__init__.py", "a.py"]).of("__init__.py") == "__init__"


def test_a_script_finds_its_neighbours_and_others_what_only_one_module_can_be():
    names = Names(PATHS, {"mlflow"})
    script = names.known("scripts/train.py")
    assert script["utils"] == "utils"
    assert script["src.pkg.data.load"] == "pkg.data.load"
    assert script["pkg.data.load"] == "pkg.data.load"
    assert names.known("tests/test_x.py")["app.main"] == "main"
    assert "utils" not in names.known("tests/test_x.py")


def test_in_a_package_the_name_of_a_library_is_the_library():
    names = Names(PATHS)
    assert "logging" not in names.known("src/pkg/data/load.py")
    assert names.known("src/pkg/data/load.py")["data.load"] == "pkg.data.load"
