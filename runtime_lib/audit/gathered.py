"""What a test function runs in the tests' own code: helpers, fixtures, objects of the module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from runtime_lib.audit.index.model import Call, Function, Module, Repo
from runtime_lib.audit.parts import tests
from runtime_lib.audit.queries import homes, once

__all__ = ["Gathered", "fixture"]

_DEEPEST = 4


class Gathered:
    """Calls and assertions of a function, and of the helpers and fixtures of tests that it uses."""

    def __init__(self, repo: Repo):
        self._repo = repo
        self._seen: set[tuple[str, str]] = set()
        self.calls: list[tuple[Module, Call]] = []
        self.asserts: list[tuple[int, str]] = []

    def follow(self, module: Module, function: Function, depth: int) -> None:
        if (module.path, function.name) in self._seen or depth > _DEEPEST:
            return
        self._seen.add((module.path, function.name))
        self.asserts += function.asserts
        for call in _within(self._repo, module).get(function.name, ()):
            if call.live:
                self.calls.append((module, call))
                self._made(module, call.name)
                self._helper(module, call.name, depth + 1)
        for name in function.parameters:
            if (found := fixture(self._repo, module, name)) is not None:
                self.follow(*found, depth + 1)

    def _made(self, module: Module, name: str) -> None:
        """What made an object of the module that the test uses: `client = TestClient(app)`."""
        made = name.partition("()")[0]
        if made != name and (module.path, f"={made}") not in self._seen:
            self._seen.add((module.path, f"={made}"))
            top = _within(self._repo, module).get("", ())
            self.calls += [(module, one) for one in top if one.name == made and one.live]

    def named(self, module: Module, name: str, depth: int) -> None:
        function = _functions(self._repo, module).get(name)
        if function is not None:
            self.follow(module, function, depth)

    def _helper(self, module: Module, name: str, depth: int) -> None:
        clean = name.replace("()", "")
        if module.name and clean.startswith(f"{module.name}."):
            self.named(module, clean[len(module.name) + 1 :], depth)
            return
        last = clean.rpartition(".")[2]
        for path in (
            homes(self._repo, clean, module.path) if "." in clean and not clean.startswith("?") else ()
        ):
            if path in tests(self._repo):
                self.named(self._repo.modules[path], last, depth)


@once
def _by_module(repo: Repo) -> dict[str, tuple[dict[str, list[Call]], dict[str, Function]]]:
    return {}


def _parts(repo: Repo, module: Module) -> tuple[dict[str, list[Call]], dict[str, Function]]:
    kept = _by_module(repo)
    if module.path not in kept:
        calls: dict[str, list[Call]] = defaultdict(list)
        for call in module.calls:
            name = call.function
            calls[name].append(call)
            # What a nested function calls, its function runs.
            while name := name.rpartition(".")[0]:
                calls[name].append(call)
        kept[module.path] = (calls, {one.name: one for one in module.functions})
    return kept[module.path]


def _within(repo: Repo, module: Module) -> dict[str, list[Call]]:
    return _parts(repo, module)[0]


def _functions(repo: Repo, module: Module) -> dict[str, Function]:
    return _parts(repo, module)[1]


def fixture(repo: Repo, module: Module, name: str) -> tuple[Module, Function] | None:
    for its in _fixture_modules(repo, module):
        function = _functions(repo, its).get(name)
        if function is not None and any("fixture" in one for one in function.decorators):
            return its, function
    return None


def _fixture_modules(repo: Repo, module: Module) -> Iterator[Module]:
    yield module
    for folder in PurePosixPath(module.path).parents:
        path = f"{folder}/conftest.py".removeprefix("./")
        if path in repo.modules:
            yield repo.modules[path]
