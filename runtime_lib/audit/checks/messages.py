"""Messages that code sends on an occasion: of a failure, a breach, drift."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runtime_lib.audit.index.model import Call, Evidence, Module, Repo
from runtime_lib.audit.parts import mentioned, started
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at, calls, reached
from runtime_lib.audit.tools import used

__all__ = ["NOBODY", "messages"]

# Addresses of documentation, and of the machine itself: nobody is told.
NOBODY = re.compile(
    r"^\s*$|@example\.|example\.(?:com|org)|localhost|127\.0\.0\.1|^<.*>$|your[-_ /]|changeme|airflow@airflow"
    r"|T00000000|/XXX|XXXX|placeholder|^(?:none|null|todo)$",
    re.IGNORECASE,
)
_OCCASION = re.compile(
    r"alert|alarm|watch|fail|drift|monitor|error|warn|incident|on_call|oncall|degrad|anomal|health"
    r"|retrain|outage|crash",
    re.IGNORECASE,
)
_HOOKS = re.compile(
    r"hooks\.slack\.com|api\.telegram\.org/bot|discord(?:app)?\.com/api/webhooks|events\.pagerduty\.com"
    r"|webhook\.office\.com|api\.opsgenie\.com|api\.pushover\.net|ntfy\.sh|chat\.googleapis\.com"
)
_HOOK_NAME = re.compile(
    r"slack|teams_|discord|pagerduty|telegram|opsgenie|mattermost|alert\w*_?(?:url|hook)|webhook", re.I
)
_POSTS = (
    "requests.post",
    "httpx.post",
    "requests.request",
    "urllib.request.urlopen",
    "*.Session().post",
    "urllib3*.request",
)


def messages(repo: Repo, project: Project) -> Iterator[Evidence]:
    """Messages to somebody, in functions that something calls; a library that can send them tells nobody."""
    if project.kind == "library":
        return
    within = reached(repo, started(repo)) - project.tests
    found = {(one.path, one.line): one for _, one in used(repo, "alerts", by=("calls",), within=within)}
    for module, one in calls(repo, *_POSTS, within=within):
        if _to_hook(module, one):
            found[module.path, one.line] = at(module, one.line, f"{one.name}(…) to a hook")
    for (path, line), shown in sorted(found.items()):
        if path not in repo.modules:
            continue
        module = repo.modules[path]
        call = next(one for one in module.calls if one.line == line)
        occasion = _OCCASION.search(f"{path} {call.function} {_around(repo, module, call)}")
        if occasion and _called(repo, module, call) and not _to_nobody(module, call):
            yield shown


def _around(repo: Repo, module: Module, call: Call) -> str:
    """What the call says, and what those say who call the function that it is in."""
    function = call.function.rpartition(".")[2]
    callers = calls(repo, f"*.{function}", function) if function else ()
    asked = (f"{where.path} {one.function} {one.args} {one.keywords}" for where, one in callers)
    near = (text for line, text in module.strings if abs(line - call.line) <= 4)
    return f"{call.keywords} {call.args} {' '.join(asked)} {' '.join(near)}"


def _called(repo: Repo, module: Module, call: Call) -> bool:
    function = call.function.rpartition(".")[2]
    if not function or function in mentioned(repo):
        return True
    # What Airflow calls may stand in a dictionary of arguments, which holds no names.
    return any(
        text.startswith("on_") and text.endswith("_callback") and module.path in reached(repo, [one.path])
        for one in repo.modules.values()
        if "airflow" in one.packages
        for _, text in one.strings
    )


def _to_nobody(module: Module, call: Call) -> bool:
    """Whether all addresses near it are those of documentation."""
    near = [text for line, text in module.strings if abs(line - call.line) <= 12]
    addresses = [text for text in near if _HOOKS.search(text) or re.search(r"\w@\w|^localhost$", text)]
    return bool(addresses) and all(NOBODY.search(text) for text in addresses)


def _to_hook(module: Module, call: Call) -> bool:
    if any(_HOOK_NAME.search(name) for name in call.names.values()):
        return True
    near = {text for line, text in module.strings if abs(line - call.line) <= 15}
    if any(_HOOKS.search(text) or (_HOOK_NAME.search(text) and text.isupper()) for text in near):
        return True
    constants = {name: value for name, (value, _) in module.constants.items() if isinstance(value, str)}
    return any(_HOOKS.search(constants.get(name.rpartition(".")[2], "")) for name in call.names.values())
