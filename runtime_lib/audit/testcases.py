"""Test functions with all that they run: helpers, fixtures and what sets them up included."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from runtime_lib.audit.index.model import Call, Evidence, Function, Module, Repo
from runtime_lib.audit.parts import tests
from runtime_lib.audit.queries import at, files, homes, once
from runtime_lib.audit.tools import named

__all__ = ["Case", "cases", "is_own", "runs_script", "words"]

_FILES = re.compile(r"test_.*\.py|.*_tests?\.py|tests?\.py|.*Tests?\.py")
_SETS_UP = ("setUp", "setUpClass", "setup", "setup_method", "setup_class", "asyncSetUp", "setUpTestData")
_BUILT_IN = frozenset(
    {
        "self",
        "cls",
        "tmp_path",
        "tmpdir",
        "capsys",
        "caplog",
        "monkeypatch",
        "request",
        "tmp_path_factory",
        "mocker",
    }
    | {
        "capfd",
        "recwarn",
        "tmpdir_factory",
        "benchmark",
        "snapshot",
        "client",
        "cookies",
        "copie",
        "runner",
        "db",
    }
)
_RUNS = re.compile(
    r"(?:subprocess\.\w+|os\.system|os\.popen|runpy\.run_\w+|sh\.\w+|asyncio\.create_subprocess_\w+)$"
)
_BAKES = re.compile(r"\.bake$|^(?:copier|cookiecutter)\.|^airflow\.models(?:\.dagbag)?\.DagBag$|\.copy$")
_DEEPEST = 4


@dataclass(frozen=True)
class Case:
    """A test function.

    Attributes:
        calls: what it and its helpers, fixtures and set-up call, each with the module that it stands in.
        asserts: its own and those of its helpers.
        own: paths of this repository's code that it runs, tests left out; `direct`: those of its own calls.
        marks: its decorators.
    """

    module: Module
    function: Function
    calls: tuple[tuple[Module, Call], ...]
    asserts: tuple[tuple[int, str], ...]
    own: frozenset[str]
    direct: frozenset[str]

    @property
    def evidence(self) -> Evidence:
        return at(self.module, self.function.line, f"def {self.function.name}")

    @property
    def is_real(self) -> bool:
        """It runs own code and asserts on it."""
        return bool(self.own and self.asserts)


@once
def cases(repo: Repo) -> list[Case]:
    """Test functions that a runner of tests collects; those that are always skipped are left out."""
    found = []
    for path in sorted(tests(repo)):
        module = repo.modules[path]
        if _FILES.fullmatch(PurePosixPath(path).name) and not _is_skipped(module):
            found += [_case(repo, module, one) for one in module.functions if _is_test(repo, module, one)]
    return found


def is_own(repo: Repo, name: str, by: Module) -> list[str]:
    """Paths of this repository's code, no tests, that a resolved name belongs to."""
    clean = name.replace("()", "")
    if not clean or clean.startswith("?") or "." not in clean:
        return []
    if by.name and clean.startswith(f"{by.name}."):
        return []
    found = homes(repo, clean, by.path) or _elsewhere(repo, clean)
    return [path for path in found if path not in tests(repo)]


def words(call: Call) -> list[str]:
    """All words of the constant arguments of a call: what a command is made of."""
    waiting: list[Any] = [*call.args, *call.keywords.values()]
    found: list[str] = []
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, str):
            found += one.split()
        elif isinstance(one, list | tuple):
            waiting = [*one, *waiting]
    return found


def runs_script(repo: Repo, call: Call) -> list[str]:
    """Paths of this repository's scripts that a call starts in a process; [] for any other call."""
    return _scripts(repo, call) if _RUNS.search(call.name) else []


def _elsewhere(repo: Repo, name: str) -> list[str]:
    """Modules in a folder that the tests put on `sys.path`."""
    first = name.partition(".")[0]
    if first in _foreign() or first.replace("_", "-").lower() in repo.dependencies.names:
        return []
    return _stems(repo).get(first, [])


@once
def _stems(repo: Repo) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in repo.modules:
        place = PurePosixPath(path)
        found[place.parent.name if place.name == "__init__.py" else place.stem].append(path)
    return found


def _foreign() -> frozenset[str]:
    roles = ("framework", "tracker", "pipeline", "config", "data_tests", "serving")
    tools = {name.partition(".")[0] for role in roles for tool in named(role) for name in tool.imports}
    return frozenset(
        tools | set(sys.stdlib_module_names) | {"pytest", "numpy", "pandas", "utils", "config", "click"}
    )


def _is_skipped(module: Module) -> bool:
    return bool(module.problem) or any(
        one.name == "pytest.skip" and not one.function and not one.when and one.live for one in module.calls
    )


def _is_test(repo: Repo, module: Module, function: Function) -> bool:
    *around, name = function.name.split(".")
    if not name.startswith("test") or len(around) > 1:
        return False
    if any(
        one in ("pytest.mark.skip", "unittest.skip") or one.endswith(".fixture")
        for one in function.decorators
    ):
        return False
    bases = module.classes.get(around[0], ((), 0))[0] if around else ()
    if PurePosixPath(module.path).name in ("test.py", "tests.py"):
        return any(base.endswith("TestCase") for base in bases)
    if around:
        return bool(bases) or around[0].startswith("Test") or around[0].endswith(("Test", "Tests"))
    return _is_collected(repo, module, function)


def _is_collected(repo: Repo, module: Module, function: Function) -> bool:
    """Whether its parameters are fixtures; a function of a script that is called with arguments is no test."""
    needed = set(function.parameters) - set(function.defaults) - _BUILT_IN
    if not needed or any("parametrize" in one or one.endswith(".given") for one in function.decorators):
        return True
    if all(_fixture(repo, module, name) for name in needed):
        return True
    full = f"{module.name}.{function.name}"
    return not any(one.name == full and (one.args or one.keywords) for one in module.calls)


def _case(repo: Repo, module: Module, function: Function) -> Case:
    found = _Gathered(repo)
    found.follow(module, function, 0)
    owner = function.name.rpartition(".")[0]
    for name in _SETS_UP if owner else ():
        found.named(module, f"{owner}.{name}", 1)
    own: set[str] = set()
    direct: set[str] = set()
    for its, call in found.calls:
        paths = _runs(repo, its, call)
        own.update(paths)
        if its is module and (call.function + ".").startswith(function.name + "."):
            direct.update(paths)
    if not own and any("parametrize" in one for one in function.decorators):
        own.update(_given(repo, module, function))
    return Case(module, function, tuple(found.calls), tuple(found.asserts), frozenset(own), frozenset(direct))


class _Gathered:
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
            if (found := _fixture(self._repo, module, name)) is not None:
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


def _fixture(repo: Repo, module: Module, name: str) -> tuple[Module, Function] | None:
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


def _runs(repo: Repo, module: Module, call: Call) -> list[str]:
    """Paths of own code that a call runs: its own name, what it is handed, a script in a process."""
    found = is_own(repo, call.name, module)
    for name in call.names.values():
        found += is_own(repo, name, module)
    found += runs_script(repo, call)
    if _BAKES.search(call.name) and files(repo, "/cookiecutter.json", "/copier.y*ml", "*dags/*.py"):
        found += files(repo, "/cookiecutter.json", "/copier.y*ml", "*dags/*.py")[:1]
    return found


def _scripts(repo: Repo, call: Call) -> list[str]:
    given = words(call)
    found = []
    for n, word in enumerate(given):
        if word.endswith(".py"):
            found += [path for path in repo.modules if path.endswith(word.lstrip("./"))][:1]
        elif word in repo.entry_points or (n and given[n - 1] == "-m"):
            found += homes(repo, repo.entry_points.get(word, word).partition(":")[0], "")[:1]
    return [path for path in found if path not in tests(repo)]


def _given(repo: Repo, module: Module, function: Function) -> list[str]:
    """Own code in the decorators of a test: `parametrize("model", [Net(), …])`."""
    return [
        path
        for call in module.calls
        if function.line - 40 <= call.line <= function.line and not call.function
        for name in (call.name, *call.names.values())
        for path in is_own(repo, name, module)
    ]
