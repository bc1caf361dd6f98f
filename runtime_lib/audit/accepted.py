"""Gaps that a repository accepts, each with a reason: the table `accept` of its `.mlops-audit.toml`.

A file of its own, since many repositories have no pyproject.toml, and an accepted gap should be seen in a
review by the name of the file. An accepted gap is shown with its reason; it changes neither score nor level,
only what is recommended and what `--fail-on` looks at.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from runtime_lib.errors import SettingsError, quoted

__all__ = ["FILE", "NOTHING", "Accepted", "read_accepted"]

FILE = ".mlops-audit.toml"
_MOST_BYTES = 100_000


@dataclass(frozen=True)
class Accepted:
    """`reasons`: check → why its gap is accepted; `notes`: what of the file was left out, and why."""

    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


NOTHING = Accepted()


def read_accepted(root: Path, checks: Collection[str], *, forgive: bool = False) -> Accepted:
    """Read which gaps a repository accepts; none where it has no such file.

    Args:
        checks: the ids that there are.
        forgive: note an unknown id in place of refusing it: its plug-in may not have loaded.

    Raises:
        SettingsError: the file is damaged, names an unknown check, or gives no reason.
    """
    file = root / FILE
    # A link may lead out of the folder.
    if file.is_symlink() or not file.is_file():
        return NOTHING
    try:
        raw = file.read_bytes()[: _MOST_BYTES + 1]
        content = tomllib.loads(raw.decode())
    except OSError as error:
        return Accepted(notes=(f"{FILE} was not read: {error.strerror}",))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{FILE} is no TOML: {error}") from error
    if others := [key for key in content if key != "accept"]:
        raise SettingsError(f"{FILE}: {quoted(others[0])} is unknown; it has one table, [accept].")
    return _checked(content.get("accept", {}), checks, forgive)


def _checked(table: Any, checks: Collection[str], forgive: bool) -> Accepted:
    if not isinstance(table, dict):
        raise SettingsError(f'{FILE}: `accept` is a table of lines such as M4 = "the reason".')
    reasons, notes = {}, []
    for id, reason in table.items():
        if not isinstance(reason, str) or not reason.strip():
            raise SettingsError(f'{FILE}: {quoted(id)} needs a reason, as in {id} = "why this is fine".')
        if id in checks:
            reasons[id] = " ".join(reason.split())
        elif forgive:
            notes.append(f"{FILE}: there is no check {quoted(id)}")
        else:
            near = get_close_matches(id, checks, 1)
            hint = f"; nearest: {near[0]}" if near else ""
            raise SettingsError(f"{FILE}: there is no check {quoted(id)}{hint}.")
    return Accepted(reasons, tuple(notes))
