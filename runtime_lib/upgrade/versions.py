"""Release tags and versions, read from their text."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["is_release", "release_order", "release_tags", "version_of"]

_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")


def is_release(name: str) -> bool:
    """Whether `name` is the tag of a release or pre-release, as a pin names it."""
    return name.startswith("v") and _RELEASE.fullmatch(name) is not None


def version_of(name: str) -> tuple[int, ...] | None:
    """`v0.2.0`, `0.2.0` and `v0.2.0-3-g1a2b3c4` → (0, 2, 0); None if `name` does not start with a version."""
    found = _RELEASE.match(name)
    return tuple(int(part) for part in found.groups()[:3]) if found else None


def release_order(name: str) -> tuple[int, ...] | None:
    """Return what orders `v0.2.0`, `0.2.0` and `0.2.0rc1`; None for anything else."""
    found = _RELEASE.fullmatch(name)
    if not found:
        return None
    *numbers, stage, number = found.groups()
    return *map(int, numbers), ["a", "b", "rc", None].index(stage), int(number or 0)


def release_tags(names: Iterable[str]) -> list[str]:
    """Return the tags of final releases among `names`, oldest first."""
    tags = [name for name in names if re.fullmatch(r"v\d+[.]\d+[.]\d+", name)]
    return sorted(tags, key=lambda name: version_of(name) or ())
