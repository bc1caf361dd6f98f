"""Who calls whom among the functions of a repository."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from runtime_lib.audit.index.model import Call, Module, Repo
from runtime_lib.audit.queries import once

__all__ = ["Node", "leads_to", "named_functions"]

Node = tuple[str, str]  # a path and a function in it, "" for what stands outside of functions


def leads_to(repo: Repo, goals: frozenset[Node]) -> frozenset[Node]:
    """All functions from which one of these is reached by calls."""
    back = _callers(repo)
    done = set(goals)
    todo = list(goals)
    while todo:
        for one in back.get(todo.pop(), ()):
            if one not in done:
                done.add(one)
                todo.append(one)
    return frozenset(done)


@once
def _callers(repo: Repo) -> dict[Node, set[Node]]:
    """Function → who calls it, hands it over, or holds it."""
    back: dict[Node, set[Node]] = defaultdict(set)
    later = _run_later(repo)
    for module in repo.code():
        for call in module.calls:
            if call.live:
                for target in named_functions(repo, module, call):
                    if target not in later:
                        back[target].add((module.path, call.function))
        for one in module.functions:
            outer, _, name = one.name.rpartition(".")
            if outer and outer not in module.classes:
                back[module.path, one.name].add((module.path, outer))
            # A command of a command line is run by it; a step, asset or task by its pipeline.
            if any(
                re.search(r"\.(command|callback|main|step|task|asset|op)$", each) for each in one.decorators
            ):
                back[module.path, one.name].add((module.path, ""))
            if name == "step" or (outer in module.classes and _is_flow(module, outer)):
                back[module.path, one.name].add((module.path, ""))
    return back


def _run_later(repo: Repo) -> frozenset[Node]:
    """Components of Kubeflow: to call them in a pipeline is to describe it."""
    return frozenset(
        (module.path, one.name)
        for module in repo.code()
        for one in module.functions
        if any(name.startswith("kfp.") and name.endswith("component") for name in one.decorators)
    )


def _is_flow(module: Module, name: str) -> bool:
    """Classes whose methods a framework calls: flows and tasks."""
    return any(re.search(r"FlowSpec|luigi\..*Task", base) for base in module.classes[name][0])


def named_functions(repo: Repo, module: Module, call: Call) -> Iterator[Node]:
    """The functions of this repository that a call calls or is given."""
    for name in (call.name, *call.names.values()):
        plain = name.replace("()", "")
        known = _functions(repo).get(plain.rpartition(".")[2], ())
        if plain.startswith("?."):
            near = [one for one in known if one[0] == module.path] or list(known)
            if len(near) == 1 and "." in near[0][1]:
                yield near[0]
            continue
        for path, function in known:
            shown = function.removesuffix(".__init__")
            if plain == shown and path == module.path:
                yield path, function
            elif plain.endswith("." + shown):
                where = plain[: -len(shown) - 1]
                dotted = "." + _dotted(path)
                if (
                    dotted.endswith("." + where)
                    or f".{where}." in dotted + "."
                    or _last(where) == _last(dotted)
                ):
                    yield path, function


def _last(dotted: str) -> str:
    return dotted.rpartition(".")[2]


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@once
def _functions(repo: Repo) -> dict[str, list[Node]]:
    """Last name → functions; of a class its `__init__`, or the class itself."""
    found: dict[str, list[Node]] = defaultdict(list)
    for module in repo.code():
        own = {one.name for one in module.functions}
        for name in own:
            found[name.rpartition(".")[2]].append((module.path, name))
        for name in module.classes:
            found[name].append((module.path, f"{name}.__init__"))
    return found
