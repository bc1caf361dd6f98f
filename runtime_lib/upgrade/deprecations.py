"""Find names of this library in a project's Python files that are deprecated or removed.

Everything is read from source (`ast`); neither project nor library is imported. A name is deprecated by the
decorator of PEP 702 in the library's source: `@deprecated("use X; goes in 0.5")`. Imports count, and uses of
a name through an imported module. Names in strings, or that come through the project's own modules, are not
found.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime_lib.upgrade.imports import PACKAGE, Reader, bindings, chain, dotted

__all__ = ["Library", "Use", "deprecated", "uses"]

LIBRARY = Path(__file__).parents[1]
UNREAD = "(syntax error)"


@dataclass(frozen=True)
class Use:
    """A line of a project that must change: now if `removed`, else before the version in `advice`.

    A file that is not valid Python has one `Use` with the name `UNREAD`: its names cannot be checked.
    """

    file: str
    line: int
    name: str
    advice: str
    removed: bool


def uses(files: Mapping[str, bytes], *, removed: Mapping[str, str], library: Path = LIBRARY) -> list[Use]:
    """Return the lines of a project's Python files that must change, by file and line.

    Args:
        files: path → content; only `*.py` that name this library are read.
        removed: dotted names that were removed, and what to write instead.
        library: the source of the library to compare with.
    """
    own = Library(library)
    found: list[Use] = []
    for path in sorted(files):
        if path.endswith(".py") and PACKAGE.encode() in files[path]:
            found += _uses_in(path, files[path], removed, own)
    return found


def deprecated(library: Path) -> dict[str, str]:
    """Return all deprecated functions, classes and methods below `library`: dotted name → advice."""
    own = Library(library)
    return {
        f"{module}.{name}": advice
        for module in own.modules()
        for name, advice in own.module(module).deprecated.items()
    }


def _uses_in(path: str, content: bytes, removed: Mapping[str, str], library: Library) -> Iterator[Use]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        line = getattr(error, "lineno", None) or 1
        yield Use(path, line, UNREAD, f"not checked: {getattr(error, 'msg', error)}", False)
        return
    for line, place in Reader(tree).places():
        name = dotted(place)
        parts = name.split(".")
        known = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        if gone := next((prefix for prefix in known if prefix in removed), None):
            yield Use(path, line, name, removed[gone], True)
        elif advice := library.lacks(place):
            yield Use(path, line, name, advice, True)
        elif advice := library.deprecates(place):
            yield Use(path, line, name, advice, False)


@dataclass(frozen=True)
class _Module:
    """`names`: each name of the module → the place it was imported from; empty if it is defined there."""

    names: Mapping[str, str] = field(default_factory=dict)
    deprecated: Mapping[str, str] = field(default_factory=dict)


class Library:
    """The library's source; each module is read once, when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, _Module] = {}

    def modules(self) -> list[str]:
        return sorted(_module_of(path.relative_to(self._folder)) for path in self._folder.rglob("*.py"))

    def has(self, module: str) -> bool:
        return self._file(module).is_file()

    def module(self, name: str) -> _Module:
        if name not in self._read:
            self._read[name] = _read_module(self._file(name), name)
        return self._read[name]

    def exports(self, module: str) -> list[str]:
        """Return the `__all__` of a module; empty if it has none."""
        for node in ast.parse(self._file(module).read_bytes()).body:
            if isinstance(node, ast.Assign) and chain(node.targets[0]) == ["__all__"]:
                return list(ast.literal_eval(node.value))
        return []

    def lacks(self, place: str) -> str:
        """Return a message if a place does not exist, else an empty text."""
        module, rest = self._follow(place)
        if not rest or rest[0].startswith("__") or rest[0] in self.module(module).names:
            return ""
        known = [known for known in self.module(module).names if not known.startswith("_")]
        near = difflib.get_close_matches(rest[0], known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return f"{module} has no '{rest[0]}'.{hint}"

    def deprecates(self, place: str) -> str:
        """Return the advice of the deprecated function, class or method at a place, else an empty text."""
        module, rest = self._follow(place)
        known = self.module(module).deprecated
        return next((known[key] for key in (".".join(rest[:1]), ".".join(rest[:2])) if key in known), "")

    def _follow(self, place: str) -> tuple[str, list[str]]:
        """Return the module that defines what is at a place, and the rest; re-exports are followed."""
        module, rest = self._start(place)
        for _ in range(20):  # an import cycle would not load, but must not hang this either
            names = self.module(module).names
            if rest and (origin := names.get(rest[0])):
                module, above = self._start(origin)
                rest = [*above, *rest[1:]]
            elif rest and rest[0] not in names and self.has(f"{module}.{rest[0]}"):
                module, rest = f"{module}.{rest[0]}", rest[1:]
            else:
                break
        return module, rest

    def _start(self, place: str) -> tuple[str, list[str]]:
        module, _, rest = place.partition(":")
        names = rest.split(".") if rest else []
        return (module, names) if self.has(module) else (PACKAGE, [*module.split(".")[1:], *names])

    def _file(self, module: str) -> Path:
        path = self._folder.joinpath(*module.split(".")[1:])
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join([PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def _read_module(file: Path, name: str) -> _Module:
    tree = ast.parse(file.read_bytes())
    names = {own: origin or "" for own, origin in bindings(tree).items()}
    return _Module(names, dict(_deprecated_in(tree.body)))


def _deprecated_in(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                if (advice := _advice(decorator)) is not None:
                    yield prefix + node.name, advice
            if isinstance(node, ast.ClassDef):
                yield from _deprecated_in(node.body, f"{prefix}{node.name}.")


def _advice(decorator: ast.expr) -> str | None:
    if not isinstance(decorator, ast.Call) or chain(decorator.func)[-1:] != ["deprecated"]:
        return None
    said = decorator.args[0] if decorator.args else None
    return str(said.value) if isinstance(said, ast.Constant) else "deprecated"
