"""Test functions with all that they run: helpers, fixtures and what sets them up included."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from runtime_lib.audit.gathered import Gathered, fixture
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
    kept = _owned(repo)
    key = (by.path, clean)
    if key not in kept:
        found = homes(repo, clean, by.path) or _elsewhere(repo, clean)
        kept[key] = [path for path in found if path not in tests(repo)]
    return kept[key]


@once
def _owned(repo: Repo) -> dict[tuple[str, str], list[str]]:
    return {}


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


@lru_cache(maxsize=1)
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
    """Whether its parameters are fixtures; what a script calls with arguments is no test."""
    needed = set(function.parameters) - set(function.defaults) - _BUILT_IN
    if not needed or any("parametrize" in one or one.endswith(".given") for one in function.decorators):
        return True
    if all(fixture(repo, module, name) for name in needed):
        return True
    full = f"{module.name}.{function.name}"
    return not any(one.name == full and (one.args or one.keywords) for one in module.calls)


def _case(repo: Repo, module: Module, function: Function) -> Case:
    found = Gathered(repo)
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


def _runs(repo: Repo, module: Module, call: Call) -> list[str]:
    """Paths of own code that a call runs: its own name, what it is handed, a script in a process."""
    found = list(is_own(repo, call.name, module))
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
