"""Under which names modules are imported; where Python is started from decides, which nobody says."""

from __future__ import annotations

import sys
from collections import ChainMap, defaultdict
from collections.abc import Collection, Iterable, Mapping

__all__ = ["Names"]


class Names:
    """Names of modules by their paths.

    Args:
        paths: of modules, relative to the repository.
        foreign: first names that mean a package of somebody else, although a file here may have such a name.
    """

    def __init__(self, paths: Iterable[str], foreign: Collection[str] = ()) -> None:
        self._paths = sorted(paths)
        self._packages = {path.rpartition("/")[0] for path in self._paths if _is_package(path)} - {""}
        self._foreign = sys.stdlib_module_names | frozenset(foreign)
        self._of = {path: self._name(path) for path in self._paths}
        self._below: dict[str, dict[str, str]] = defaultdict(dict)
        self._known: dict[str, Mapping[str, str]] = {}
        endings: dict[str, set[str]] = defaultdict(set)
        for path, name in self._of.items():
            parts = _parts(path)
            for start in range(len(parts)):
                ending = ".".join(parts[start:])
                self._below["/".join(parts[:start])].setdefault(ending, name)
                endings[ending].add(name)
        # An ending that only one module has is that module wherever it is imported.
        self._unique = {
            ending: next(iter(names))
            for ending, names in endings.items()
            if len(names) == 1 and "." in ending and self._is_own(ending)
        }

    def of(self, path: str) -> str:
        """The name of a module: from the nearest folder that is no package."""
        return self._of.get(path) or self._name(path)

    def known(self, path: str) -> Mapping[str, str]:
        """What can be imported here → name: from the file's folder, those above, or by ending."""
        folder = path.rpartition("/")[0]
        if folder not in self._known:
            levels = [folder]
            while levels[-1]:
                levels.append(levels[-1].rpartition("/")[0])
            maps = [self._importable(level) for level in levels if level in self._below]
            self._known[folder] = ChainMap(*maps, self._unique)
        return self._known[folder]

    def _importable(self, folder: str) -> dict[str, str]:
        """In a package `import logging` means the library's, beside a script the neighbour."""
        names = self._below[folder]
        if folder not in self._packages:
            return names
        return {ending: name for ending, name in names.items() if self._is_own(ending)}

    def _is_own(self, ending: str) -> bool:
        return ending.partition(".")[0] not in self._foreign

    def _name(self, path: str) -> str:
        parts = _parts(path)
        start = len(parts) if _is_package(path) else len(parts) - 1
        while start > 0 and "/".join(path.split("/")[:start]) in self._packages:
            start -= 1
        return ".".join(parts[start:]) or path.rpartition("/")[2].removesuffix(".py")


def _is_package(path: str) -> bool:
    return path.rpartition("/")[2] == "__init__.py"


def _parts(path: str) -> list[str]:
    """What a module at the repository's root would be imported by."""
    parts = path.rpartition(".")[0].split("/")
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
