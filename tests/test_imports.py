"""Imports go one way: cli → rooms at the edge → pure modules → ground; and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from runtime_lib.upgrade.deprecations import LIBRARY

GROUND = {"errors", "files", "locks", "secrets", "server", "tables", "units", "progress"}
# Training is here because it writes its run into a record of tracking.
EDGE = {"training", "pipeline", "registry", "tracking", "serving", "monitoring", "upgrade", "doctor"}
LEVELS = {"ground": 0, "pure": 1, "edge": 2, "cli": 3}


def level(module: str) -> int:
    """How far a module is above the ground; what is not named here is pure."""
    room = module.partition(".")[2].partition(".")[0]
    if not room or room in GROUND:  # the package itself, with its version
        return LEVELS["ground"]
    if room == "cli":
        return LEVELS["cli"]
    return LEVELS["edge" if room in EDGE else "pure"]


def graph(library: Path) -> dict[str, set[str]]:
    """Module → the modules it imports: anywhere in it, in functions and under TYPE_CHECKING too."""
    files = {_module(path, library): path for path in library.rglob("*.py")}
    return {module: set(_imported(module, path, set(files))) - {module} for module, path in files.items()}


def _module(path: Path, library: Path) -> str:
    parts = path.relative_to(library.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(module: str, path: Path, modules: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports by a relative name"
            # A package is imported only by whoever takes a name from it, not on the way to a module.
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & modules
            if node.module in modules and names - modules:
                yield node.module


def circle(of: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(of).prepare()
    except CycleError as error:
        return [str(module) for module in error.args[1]]
    return []


def upward(of: dict[str, set[str]]) -> list[str]:
    return [
        f"{module} imports {other}"
        for module, others in sorted(of.items())
        for other in sorted(others)
        if level(other) > level(module)
    ]


def write(folder: Path, **sources: str) -> Path:
    for name, text in {"__init__": "", **sources}.items():
        file = folder / "runtime_lib" / f"{name.replace('__', '/') if name != '__init__' else name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "runtime_lib"


def test_no_module_imports_itself_by_way_of_others():
    assert " → ".join(circle(graph(LIBRARY))) == ""


def test_no_module_imports_one_above_it():
    assert "\n".join(upward(graph(LIBRARY))) == ""


def test_a_circle_is_found_wherever_the_import_is(tmp_path):
    library = write(
        tmp_path,
        data__a="def f():\n    from runtime_lib.data.b import x",
        data__b="if TYPE_CHECKING:\n    from runtime_lib.data import a",
    )
    assert set(circle(graph(library))) == {"runtime_lib.data.a", "runtime_lib.data.b"}


def test_an_import_upwards_is_found(tmp_path):
    library = write(
        tmp_path,
        files="from runtime_lib.data.a import x",
        data__a="import runtime_lib.pipeline.run, runtime_lib.errors",
        errors="",
        pipeline__run="from runtime_lib import files",
    )
    assert upward(graph(library)) == [
        "runtime_lib.data.a imports runtime_lib.pipeline.run",
        "runtime_lib.files imports runtime_lib.data.a",
    ]
