"""Whether what stands under conditions is on as the repository comes.

What a name is at first is looked for in the code (parameters, options of the command line, constants, fields
of classes); what is off there may be on in a committed configuration, or in a script that starts the program.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from runtime_lib.audit.defaults import committed, fields, options
from runtime_lib.audit.index.model import UNKNOWN, Branch, Call, Function, Module, Repo
from runtime_lib.audit.queries import calls, once

__all__ = ["argument", "is_on", "values"]

_DEEPEST = 3
# One of several processes does what is done once.
_FIRST = re.compile(r"rank|master|main_process|is_main|__name__|primary|leader")
Values = list[Any]


def is_on(repo: Repo, module: Module, where: Call | Branch, depth: int = 0) -> bool | None:
    """Whether a call or branch is reached as the repository comes; None if it depends on what is not written.

    A function that is only called where something is off is off too.
    """
    held = [_holds(repo, module, where.function, one) for one in where.when]
    if False in held or (not where.live and True not in held):
        return False
    called = _called_on(repo, module, where.function, depth) if where.function and depth < _DEEPEST else None
    return False if called is False else None if None in held else True


def _called_on(repo: Repo, module: Module, function: str, depth: int) -> bool | None:
    """Whether a call of this function, or of its class, is on; None without calls."""
    first, _, rest = function.partition(".")
    names = [f"{module.name}.{first}" if module.name else first]
    if rest and first in module.classes:
        names.append(f"{names[0]}().{rest}")
        # A method of an object that is not known may be called from anywhere.
        names = names[1:] if any(True for _ in calls(repo, names[1])) else names[:1]
    found = [(its, call) for its, call in calls(repo, *names, live=False) if call.function != function]
    if not found:
        return None
    return any(is_on(repo, its, call, depth + 1) is not False for its, call in found[:20])


def argument(repo: Repo, module: Module, call: Call, keyword: str, place: int | None = None) -> Values:
    """What an argument may be as the repository comes; [] if that is not known, or it is not given."""
    key = keyword if keyword in call.keywords else str(place)
    if keyword in call.keywords:
        given = call.keywords[keyword]
    elif place is not None and place < len(call.args):
        given = call.args[place]
    else:
        return []
    if given is not UNKNOWN:
        return [given]
    name = call.names.get(key, "")
    return values(repo, module, call.function, name) if name else []


def values(repo: Repo, module: Module, function: str, name: str) -> Values:
    """What a name may be as the repository comes: what the code sets, and what is committed beside it."""
    return [*_in_code(repo, module, function, name, 0), *committed(repo, name)]


def _holds(repo: Repo, module: Module, function: str, condition: str) -> bool | None:
    try:
        tree = ast.parse(condition.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None

    def in_code(name: str) -> Values:
        return _in_code(repo, module, function, name, 0)

    held = _truth(tree, in_code)
    if held is True:
        return True
    beside = _truth(tree, lambda name: committed(repo, name))
    return held if beside is None else beside


def _truth(node: ast.AST, known: Callable[[str], Values]) -> bool | None:
    if isinstance(node, ast.BoolOp):
        held = [_truth(one, known) for one in node.values]
        decides = isinstance(node.op, ast.Or)
        return decides if decides in held else None if None in held else not decides
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _truth(node.operand, known)
        return None if inner is None else not inner
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _compared(node, known)
    found = _found(node, known)
    if not found and _FIRST.search(_name(node)):
        return True
    return any(map(_yes, found)) if found else None


def _yes(value: Any) -> bool:
    return bool(value) and str(value).lower() not in {"false", "no", "off", "none", "null", "0", "disabled"}


def _compared(node: ast.Compare, known: Callable[[str], Values]) -> bool | None:
    if _FIRST.search(_name(node.left)):
        return True
    left, right = _found(node.left, known), _found(node.comparators[0], known)
    if not left or not right:
        return None
    pairs = [(one, other) for one in left for other in right]
    operator = node.ops[0]
    if isinstance(operator, ast.Eq | ast.Is):
        return any(_same(one, other) for one, other in pairs)
    if isinstance(operator, ast.NotEq | ast.IsNot):
        return any(not _same(one, other) for one, other in pairs)
    if isinstance(operator, ast.In | ast.NotIn):
        inside = [
            one in other
            for one, other in pairs
            if isinstance(other, str | list | tuple) and _fits(one, other)
        ]
        return any(one == isinstance(operator, ast.In) for one in inside) if inside else None
    return None


def _fits(one: Any, other: Any) -> bool:
    return isinstance(one, str) or not isinstance(other, str)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return bool(one == other)


def _found(node: ast.AST, known: Callable[[str], Values]) -> Values:
    try:
        return [ast.literal_eval(node)]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    name = _name(node)
    found = known(name) if name else []
    if found or not isinstance(node, ast.Call) or len(node.args) < 2:
        return found
    # `config.get("wandb", False)`, `getattr(args, "wandb", False)`, `os.getenv("WANDB", "")`
    return _found(node.args[-1], known)


def _name(node: ast.AST) -> str:
    """A dotted name of what is read: `args.wandb`, `config["wandb"]["on"]`, `cfg.get("wandb")`."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            parts.append(str(node.slice.value))
            node = node.value
        elif isinstance(node, ast.Call):
            inside = [
                one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
            ]
            if isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "getenv"} and inside:
                parts.append(inside[0])
                node = node.func.value
            elif isinstance(node.func, ast.Name) and node.func.id == "getattr" and inside:
                parts.append(inside[0])
                node = node.args[0]
            else:
                node = node.func
        else:
            break
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def _in_code(repo: Repo, module: Module, function: str, name: str, depth: int) -> Values:
    name = name.replace("()", "")
    last = name.rpartition(".")[2]
    by_name = _functions(module)
    if "." not in name:
        around = function
        while around:
            one = by_name.get(around)
            if one and name in one.defaults:
                return [one.defaults[name]]
            if one and name in one.parameters:
                return _passed(repo, module, one, name, depth)
            around = around.rpartition(".")[0]
        if any(name == one.name or one.name.endswith(f".{name}") for one in module.imports):
            # `if wandb:` after `try: import wandb`
            return [True]
        return [module.constants[name][0]] if name in module.constants else []
    owner = (
        name.removeprefix(f"{module.name}.").rpartition(".")[0] if module.name else name.rpartition(".")[0]
    )
    start = by_name.get(f"{owner if owner != 'self' else function.partition('.')[0]}.__init__")
    if start and last in start.defaults:
        return [start.defaults[last]]
    return _constants(repo, module, name) or options(repo).get(last, [])[:3] or fields(repo).get(last, [])[:3]


def _functions(module: Module) -> dict[str, Function]:
    return {one.name: one for one in module.functions}


def _passed(repo: Repo, module: Module, function: Function, name: str, depth: int) -> Values:
    """What the callers of a function hand over."""
    if depth >= _DEEPEST:
        return []
    found: Values = []
    full = f"{module.name}.{function.name}" if module.name else function.name
    place = function.parameters.index(name)
    for its, call in list(calls(repo, full, live=False))[:10]:
        key = name if name in call.keywords else str(place)
        given = call.keywords.get(name, call.args[place] if place < len(call.args) else UNKNOWN)
        if given is not UNKNOWN:
            found.append(given)
        elif key in call.names:
            found += _in_code(repo, its, call.function, call.names[key], depth + 1)
    return found


def _constants(repo: Repo, module: Module, name: str) -> Values:
    """`config.USE_WANDB` and `config.Config.use_wandb` of the module itself or of another one."""
    for its, rest in _owners(repo, module, name):
        if rest in its.constants:
            return [its.constants[rest][0]]
    return []


def _owners(repo: Repo, module: Module, name: str) -> Iterator[tuple[Module, str]]:
    yield module, name.removeprefix(f"{module.name}.") if module.name else name
    parts = name.split(".")
    named = _named(repo)
    for end in range(len(parts) - 1, 0, -1):
        for its in named.get(parts[end - 1], ()):
            head = ".".join(parts[:end])
            if its.name == head or its.name.endswith(f".{head}") or head.endswith(f".{its.name}"):
                yield its, ".".join(parts[end:])


@once
def _named(repo: Repo) -> dict[str, list[Module]]:
    found: dict[str, list[Module]] = defaultdict(list)
    for module in repo.modules.values():
        found[module.name.rpartition(".")[2]].append(module)
    return found
