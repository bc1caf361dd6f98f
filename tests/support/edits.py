"""What the owner of a project does to it, and how to see that none of it got lost."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

from tests.support.projects import environment

MARKED = {"data": "load", "features": "features", "model": "model"}

# Bodies of the owner's own, docstrings included.
_BODIES = {
    "load": '''    """Rows of our own warehouse."""
    from runtime_lib.errors import DataError

    table = pd.read_parquet(Path("/srv/warehouse") / f"{month}.parquet")
    if table.empty:
        raise DataError(f"{month} is empty.")
    return table
''',
    "features": '''    """Only what the planner knows."""
    table = raw.rename(columns={"planned": "time", "late": "label"})
    return table.assign(id=table.index.astype(str))
''',
    "model": '''    """Wider than the example's."""
    wide = {**params, "hidden": [512, 512]}
    return Architecture("mlp", {"inputs": inputs, **wide})
''',
}
_STAGE = """  publish:
    cmd: python -m {package}.publish
    deps: [reports/registered.json]
    outs: [reports/published.json]
"""
_REPLACED = {
    "params.yaml": [("  last: 2013-09", "  last: 2013-11"), ("  epochs: 12", "  epochs: 40")],
    "mlops.toml": [("min_gain_over_baseline = 0.01", "min_gain_over_baseline = 0.05  # the board's wish")],
    "README.md": [("## Start", "## Whom to ask\n\nThe late-flights team, room 12.\n\n## Start")],
    "dags/{package}_dags.py": [('schedule="@monthly"', 'schedule="@weekly"')],
}
_OWN = {
    "src/{package}/publish.py": "print('published')\n",
    "dags/mine.py": '"""A DAG of our own."""\n',
    "notebooks/first look.ipynb": "{}\n",
    "CODEOWNERS": "* @late-flights\n",
}


def rewrite(path: Path, function: str) -> None:
    """Replace the whole body of a function, docstring included."""
    text = path.read_text()
    (found,) = [
        node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    lines = text.splitlines(keepends=True)
    lines[found.body[0].lineno - 1 : found.end_lineno] = [_BODIES[function]]
    path.write_text("".join(lines))


def edit(project: Path, package: str) -> dict[str, set[str]]:
    """Edit all that an owner may edit; return the new lines of each file."""
    before = {path: path.read_text() for path in project.rglob("*") if path.is_file() and _is_ours(path)}
    for module, function in MARKED.items():
        rewrite(project / "src" / package / f"{module}.py", function)
    for name, pairs in _REPLACED.items():
        path = project / name.format(package=package)
        for old, new in pairs if path.exists() else ():
            text = path.read_text()
            assert text.count(old) == 1, f"{name} has no single {old!r} to replace"
            path.write_text(text.replace(old, new))
    with (project / "dvc.yaml").open("a") as file:
        file.write(_STAGE.format(package=package))
    for name, text in _OWN.items():
        path = project / name.format(package=package)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    _add(project, "polars>=1,<2")
    _add(project, "--dev", "black>=24", "mypy>=1.18", "pytest-cov>=6", "ruff>=0.15,<1", "types-requests>=2")
    return {
        str(path.relative_to(project)): set(path.read_text().splitlines())
        - set(before.get(path, "").splitlines())
        for path in project.rglob("*")
        if path.is_file() and _is_ours(path) and path.read_text() != before.get(path)
    }


def lost(project: Path, edits: dict[str, set[str]]) -> dict[str, set[str]]:
    """The edited lines that are no longer there."""
    gone = {}
    for name, lines in edits.items():
        path = project / name
        gone[name] = lines - set(path.read_text().splitlines() if path.exists() else ())
    return {name: lines for name, lines in gone.items() if lines}


def _add(project: Path, *words: str) -> None:
    command = ["uv", "add", "--frozen", "--quiet", *words]
    subprocess.run(command, cwd=project, env=environment(), check=True)


def _is_ours(path: Path) -> bool:
    return not {".git", ".venv", "__pycache__", "uv.lock"} & set(path.parts)
