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
                if script := _script(entry.keys):
                    found.setdefault(script, str(entry.value))
        elif name == "setup.cfg":
            for entry in document.entries:
                if entry.keys == ("options.entry_points", "console_scripts"):
                    _add(found, str(entry.value).split("\n"))
    for source in setups.values():
        _add(found, entry_points_in_setup(source))
    return found


def _script(keys: tuple[str | int, ...]) -> str:
    """The name of a command; Poetry also has tables there: `{ callable = "…" }`, `{ reference = "…" }`."""
    for table in TABLES:
        rest = keys[len(table) :]
        if keys[: len(table)] == table and (len(rest) == 1 or rest[1:] in (("callable",), ("reference",))):
            return str(rest[0])
    return ""


def _add(found: dict[str, str], lines: list[str]) -> None:
    for line in lines:
        name, sign, target = line.partition("=")
        if sign and target.strip():
            found.setdefault(name.strip(), target.strip())
