"""Which steps of training are left to chance, and which have a seed that is fixed as the repository comes.

A step has a seed of its own (`random_state=1`), or there is one for a whole library (`torch.manual_seed`).
Seeds are looked for in all that is started together with a module that trains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from runtime_lib.audit import chance
from runtime_lib.audit.index.model import UNKNOWN, Call, Evidence, Module, Repo
from runtime_lib.audit.parts import fits, mentioned, started
from runtime_lib.audit.queries import at, reached
from runtime_lib.audit.switches import argument, is_on

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__ = ["Seeds", "Step", "seeds"]

Grade = Literal["yes", "partial", "no", "none"]
RANK: dict[Grade, int] = {"yes": 3, "partial": 2, "no": 1, "none": 0}
# Another number each time.
_CHANCE = re.compile(
    r"(?:^|\.)(?:time|time_ns|randint|randrange|getrandbits|urandom|getpid|random|now|token_\w+)\(?\)?$"
)
_MOST_ROOTS = 200


@dataclass(frozen=True)
class Step:
    """`library`: whose global seed counts for it; `fixed`: by its own; `is_seed`: it sets a global one."""

    library: str
    fixed: bool
    evidence: Evidence
    is_seed: bool = False


@dataclass(frozen=True)
class Seeds:
    """`grade` of all training; "none" if nothing is left to chance, or nothing trains."""

    grade: Grade
    fixed: tuple[Evidence, ...] = ()
    loose: tuple[Evidence, ...] = ()


def seeds(repo: Repo, project: Project) -> Seeds:
    """Judge each module that trains together with the start that serves it best, and all of them as one.

    Where nothing says how training is started, all that trains counts.
    """
    modules = {one.path: one for one in repo.code()}
    known: dict[str, tuple[Step, ...]] = {}
    best: dict[str, Seeds] = {}
    training = project.training or frozenset(module.path for module, _ in fits(repo))
    for root in _roots(repo, project, training):
        paths = reached(repo, [root]) - project.tests
        trained = paths & training
        if not trained and not _splits(modules[root]):
            continue
        for path in paths - known.keys():
            known[path] = tuple(_steps(repo, modules[path], path in training))
        found = _judge([step for path in sorted(paths) for step in known[path]])
        for path in trained or {root}:
            if path not in best or RANK[found.grade] > RANK[best[path].grade]:
                best[path] = found
    return _together(best)


def _roots(repo: Repo, project: Project, training: frozenset[str]) -> list[str]:
    begun = started(repo) | training | {module.path for module in repo.code() if _splits(module)}
    begun &= {module.path for module in repo.code()}
    return sorted(begun - project.tests, key=lambda path: (path not in training, path))[:_MOST_ROOTS]


def _splits(module: Module) -> bool:
    return any(call.name.endswith((".train_test_split", ".random_split")) for call in module.calls)


def _together(best: dict[str, Seeds]) -> Seeds:
    judged = [one for one in best.values() if one.grade != "none"]
    if not judged:
        return Seeds("none")
    grades = {one.grade for one in judged}
    grade: Grade = grades.pop() if len(grades) == 1 else "partial"
    fixed = dict.fromkeys(one for found in judged for one in found.fixed)
    loose = dict.fromkeys(one for found in judged for one in found.loose)
    return Seeds(grade, tuple(fixed), tuple(loose))


def _judge(steps: list[Step]) -> Seeds:
    seeded = {step.library for step in steps if step.is_seed and step.fixed}
    fixed = [step.evidence for step in steps if step.fixed]
    loose = [
        step.evidence for step in steps if not step.is_seed and not step.fixed and step.library not in seeded
    ]
    if not loose:
        return Seeds("yes" if fixed else "none", tuple(fixed))
    return Seeds("partial" if fixed else "no", tuple(fixed), tuple(loose))


def _steps(repo: Repo, module: Module, trains: bool) -> Iterator[Step]:
    """The steps of a module; of a library's own randomness one for the whole module."""
    used = mentioned(repo)
    for call in module.calls:
        if not call.live:
            continue
        is_reached = _is_reached(call, used)
        if is_reached:
            yield from _global(repo, module, call)
        # In what nobody here calls a seed of its own is one all the same, for whoever calls it.
        yield from (step for step in _own(repo, module, call) if is_reached or step.fixed)
    for library in chance.trains(module) if trains else ():
        first = next((one.line for one in module.imports if one.name.startswith(chance.PACKAGES[library])), 1)
        yield Step(library, False, at(module, first, f"training in {library} without a seed"))


def _is_reached(call: Call, used: frozenset[str]) -> bool:
    """Whether the function around a call is called by anything, as far as names tell."""
    name = call.function.rpartition(".")[2]
    return not name or name in used or name.startswith("__") or name in chance.HOOKS or "." in call.function


def _global(repo: Repo, module: Module, call: Call) -> Iterator[Step]:
    libraries = chance.seeded_by(call.name)
    if not libraries or is_on(repo, module, call) is False:
        return
    fixed = _is_fixed(repo, module, call, "seed", 0, default=chance.default_of(call.name))
    evidence = at(module, call.line, f"{call.name}(…)")
    for library in libraries:
        yield Step(library, fixed, evidence, is_seed=True)


def _own(repo: Repo, module: Module, call: Call) -> Iterator[Step]:
    rule = chance.rule_of(call)
    if rule is None:
        return
    fixed = any(
        _is_fixed(repo, module, call, keyword, rule.place, default=rule.default) for keyword in rule.keywords
    ) or any(_is_number(chance.parameters(call).get(keyword)) for keyword in rule.keywords)
    if fixed or rule.counts(call):
        what = f"{call.name.rpartition('.')[2]}(…) {'with' if fixed else 'without'} a seed"
        yield Step(rule.library, fixed, at(module, call.line, what))


def _is_fixed(
    repo: Repo, module: Module, call: Call, keyword: str, place: int | None, *, default: bool
) -> bool:
    """Whether the seed is one number as the repository comes; what cannot be told is taken for one."""
    key = keyword if keyword in call.keywords else str(place)
    given: Any = call.keywords.get(keyword, None)
    if keyword not in call.keywords:
        if place is None or place >= len(call.args):
            return _unpacked(repo, module, call, keyword) if "**" in call.keywords else default
        given = call.args[place]
    if given is not UNKNOWN:
        return given is not None and given is not False
    name = call.names.get(key, "")
    if _CHANCE.search(name):
        return False
    # Of `config["seed"]` the name is not known; what is committed under such names is.
    found = argument(repo, module, call, keyword, place) if name else chance.committed_seed(repo)
    return any(_is_number(one) for one in found) if found else True


def _is_number(value: Any) -> bool:
    return value is not None and value is not False and str(value).lower() not in ("none", "null", "")


def _unpacked(repo: Repo, module: Module, call: Call, keyword: str) -> bool:
    """Whether `**params` has the keyword, by a dict in the module or a name that is committed."""
    name = call.names.get("**", "").rpartition(".")[2]
    value = call.keywords["**"]
    if not isinstance(value, dict):
        value = module.constants.get(name, (None, 0))[0]
    if isinstance(value, dict):
        return _is_number(value.get(keyword))
    return any(_is_number(one) for one in chance.committed_seed(repo))
