"""Commands that the project installs."""

from __future__ import annotations

from collections.abc import Mapping

from runtime_lib.audit.index.dependencies.setup_py import entry_points_in_setup
from runtime_lib.audit.index.model import Document

__all__ = ["read_entry_points"]

TABLES = (
    ("project", "scripts"),
    ("tool", "poetry", "scripts"),
    ("tool", "flit", "scripts"),
    ("project", "gui-scripts"),
)


def read_entry_points(documents: Mapping[str, Document], setups: Mapping[str, str]) -> dict[str, str]:
    """Name → "package.module:function", of pyproject.toml, setup.cfg and setup.py."""
    found: dict[str, str] = {}
    for path, document in documents.items():
        name = path.rpartition("/")[2].lower()
        if name.startswith("pyproject.toml"):
            for entry in document.entries:
                for table in TABLES:
                    if entry.keys[: len(table)] == table and len(entry.keys) > len(table):
                        # Poetry also has tables there: `{ callable = "…" }`, `{ reference = "…" }`.
                        if len(entry.keys) == len(table) + 1 or entry.keys[-1] in ("callable", "reference"):
                            found.setdefault(str(entry.keys[len(table)]), str(entry.value))
        elif name == "setup.cfg":
            for entry in document.entries:
                if entry.keys == ("options.entry_points", "console_scripts"):
                    _add(found, str(entry.value).split("\n"))
    for source in setups.values():
        _add(found, entry_points_in_setup(source))
    return found


def _add(found: dict[str, str], lines: list[str]) -> None:
    for line in lines:
        name, sign, target = line.partition("=")
        if sign and target.strip():
            found.setdefault(name.strip(), target.strip())
