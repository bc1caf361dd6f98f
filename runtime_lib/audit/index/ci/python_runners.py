"""Commands of sessions in noxfile.py and of tasks in tasks.py, from the calls in their functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runtime_lib.audit.index.ci.sources import Place, Script, Sources
from runtime_lib.audit.index.ci.wrappers import as_text
from runtime_lib.audit.index.model import Call, Function, Module

__all__ = ["invoke", "nox"]


def nox(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    if words[0] != "nox":
        return None
    module = sources.module(place.folder, _after(words, "-f", "--noxfile") or "noxfile.py")
    if module is None:
        return None
    sessions = _decorated(module, "session")
    chosen = _chosen(words)
    if not chosen:
        default = _default(module, sessions)
        chosen = [name for name in sessions if not default or name in default]
    found = []
    for name in chosen:
        function = _session(sessions, name)
        if function is not None:
            found += list(_commands(module, function, place, _nox_command, sessions))
    return found or None


def invoke(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    if words[0] not in ("invoke", "inv", "fab") or len(words) < 2:
        return None
    module = sources.module(place.folder, "tasks.py", "tasks/__init__.py", "fabfile.py")
    if module is None:
        return None
    tasks = _decorated(module, "task")
    found = []
    for word in words[1:]:
        function = tasks.get(word) or tasks.get(word.replace("-", "_"))
        if function is not None:
            found += list(_commands(module, function, place, _invoke_command, tasks))
    return found or None


def _after(words: list[str], *options: str) -> str:
    return next((words[at + 1] for at, word in enumerate(words[:-1]) if word in options), "")


def _chosen(words: list[str]) -> list[str]:
    """Session names of the command line."""
    found: list[str] = []
    taking = False
    for word in words[1:]:
        if word == "--":
            break
        if word.startswith("-"):
            name, _, value = word.partition("=")
            taking = name in ("-s", "--session", "--sessions", "-e")
            found += [value] if taking and value else []
            if word.startswith("-s") and len(word) > 2 and not word.startswith("--"):
                found.append(word[2:])
        elif taking:
            found.append(word)
    return found


def _decorated(module: Module, kind: str) -> dict[str, Function]:
    """Functions by the name of their session or task."""
    found = {}
    for function in module.functions:
        if any(one == kind or one.endswith("." + kind) for one in function.decorators):
            found[_name(module, function, kind)] = function
    return found


def _name(module: Module, function: Function, kind: str) -> str:
    """The name that the decorator gives, else that of the function."""
    for call in module.calls:
        near = function.line - 12 <= call.line <= function.end
        if near and (call.name == kind or call.name.endswith("." + kind)):
            following = [one.line for one in module.functions if one.end >= call.line]
            if isinstance(name := call.keywords.get("name"), str) and function.line == min(
                following, default=0
            ):
                return name
    return function.name


def _default(module: Module, sessions: dict[str, Function]) -> set[str]:
    """What `nox.options.sessions` lists: names of sessions that stand outside of functions and decorators."""
    inside = {line for one in module.functions for line in range(one.line, one.end + 1)}
    inside |= {call.line for call in module.calls if call.name.endswith("session")}
    return {text for line, text in module.strings if text in sessions and line not in inside}


def _session(sessions: dict[str, Function], name: str) -> Function | None:
    """`tests-3.11` and `tests(django=3)` are of `tests`."""
    if name in sessions:
        return sessions[name]
    return next((one for key, one in sessions.items() if name.startswith((key + "-", key + "("))), None)


def _commands(
    module: Module,
    function: Function,
    place: Place,
    read: Callable[[Call], tuple[str, bool] | None],
    named: dict[str, Function],
    seen: frozenset[str] = frozenset(),
) -> Iterator[Script]:
    """What a function runs, its helpers in the same file included."""
    helpers = {one.name: one for one in module.functions}
    for call in sorted(
        (one for one in module.calls if one.function == function.name), key=lambda one: one.line
    ):
        short = call.name.rpartition(".")[2]
        if (command := read(call)) is not None:
            where = Place(module.path, call.line, place.folder, may_fail=command[1])
            yield Script(command[0], where)
        else:
            notified = str(call.args[0]) if short == "notify" and call.args else ""
            other = _session(named, notified) if notified else helpers.get(short)
            if other is not None and other.name not in seen | {function.name} and len(seen) < 5:
                yield from _commands(module, other, place, read, named, seen | {function.name})


def _nox_command(call: Call) -> tuple[str, bool] | None:
    short = call.name.rpartition(".")[2]
    if call.name.startswith(("subprocess.", "os.")) or short not in (
        "run",
        "run_always",
        "install",
        "conda_install",
    ):
        return None
    arguments = [one for one in call.args if isinstance(one, str)]
    if short in ("install", "conda_install"):
        return as_text(["pip", "install", *arguments]), False
    if not call.args or not isinstance(call.args[0], str):
        return None
    return as_text(arguments), "success_codes" in call.keywords


def _invoke_command(call: Call) -> tuple[str, bool] | None:
    short = call.name.rpartition(".")[2]
    if short not in ("run", "sudo", "local") or not call.args or not isinstance(call.args[0], str):
        return None
    return call.args[0], call.keywords.get("warn") is True
