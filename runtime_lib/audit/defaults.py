"""What settings are as a repository comes: options, fields of classes, configurations, commands."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.index.model import UNKNOWN, Call, Repo
from runtime_lib.audit.queries import calls, once

__all__ = ["Values", "committed", "fields", "options"]

Values = list[Any]
_OPTIONS = (
    "*.add_argument",
    "*.add_option",
    "click.option",
    "*.click.option",
    "absl.flags.DEFINE_*",
    "*.DEFINE_*",
)
_SCRIPTS = re.compile(
    r"(?:^|/)(?:makefile|justfile|dockerfile[^/]*|mlproject|procfile)$|\.(?:sh|bash|mk|slurm|sbatch)$"
)
_ASIDE = re.compile(
    r"(?:^|/)(?:docs?|examples?|tests?|notebooks?)/|example|sample|template|\.github/", re.IGNORECASE
)
# What holds settings, rather than being one of their names.
_HOLDERS = {
    "args",
    "arg",
    "opt",
    "opts",
    "options",
    "cfg",
    "config",
    "conf",
    "params",
    "hparams",
    "settings",
    "self",
}
_HOLDERS |= {"flags", "hyperparameters", "hyp", "configs", "parse_args", "parser", "c", "p", "hps"}
_VAGUE = {
    "enabled",
    "enable",
    "on",
    "active",
    "use",
    "name",
    "type",
    "mode",
    "log",
    "debug",
    "verbose",
    "value",
}


@once
def options(repo: Repo) -> dict[str, Values]:
    """Options of command lines by name → what they are if they are not given."""
    found: dict[str, Values] = defaultdict(list)
    for _, call in calls(repo, *_OPTIONS):
        flags = [one.split("/")[0].lstrip("-").replace("-", "_") for one in call.args if isinstance(one, str)]
        names = {str(call.keywords["dest"])} if isinstance(call.keywords.get("dest"), str) else set(flags[:2])
        value = _default(call)
        for name in names if value is not UNKNOWN else ():
            found[name].append(value)
    return found


def _default(call: Call) -> Any:
    if "DEFINE_" in call.name:
        return call.keywords.get("default", call.args[1] if len(call.args) > 1 else UNKNOWN)
    if "default" in call.keywords:
        return call.keywords["default"]
    action = call.keywords.get("action")
    if action in ("store_true", "store_false"):
        return action == "store_false"
    is_flag = call.keywords.get("is_flag") is True or any(
        isinstance(one, str) and "/" in one for one in call.args
    )
    return False if is_flag else None


@once
def fields(repo: Repo) -> dict[str, Values]:
    """Attributes of classes by name: settings as dataclasses and the like."""
    found: dict[str, Values] = defaultdict(list)
    for module in repo.modules.values():
        for name, (value, _) in module.constants.items():
            if "." in name:
                found[name.rpartition(".")[2]].append(value)
    return found


def committed(repo: Repo, name: str) -> Values:
    """What configurations and commands of the repository set a name, "cfg.logging.wandb", to."""
    parts = name.replace("()", "").split(".")
    last = parts[-1]
    above = parts[-2] if len(parts) > 1 and parts[0] != "argparse" else ""
    above = "" if above.lower() in _HOLDERS else above.lower()
    found: Values = []
    for keys, value in _settings(repo).get(last, ()):
        # "enabled" is many things: what stands above it has to fit too.
        fits = len(keys) > 1 and str(keys[-2]).lower() == above
        if fits or (last not in _VAGUE and (not above or len(keys) == 1)):
            found.append(value)
    return found + _flags(repo).get(last.replace("-", "_"), [])


@once
def _settings(repo: Repo) -> dict[str, list[tuple[tuple[str | int, ...], Any]]]:
    found: dict[str, list[tuple[tuple[str | int, ...], Any]]] = defaultdict(list)
    for path, document in repo.documents.items():
        if _ASIDE.search(path):
            continue
        for entry in document.entries:
            keys = entry.keys[:-1] if entry.keys and entry.keys[-1] in ("value", "default") else entry.keys
            if keys and isinstance(keys[-1], str):
                found[keys[-1]].append((keys, entry.value))
    return found


@once
def _flags(repo: Repo) -> dict[str, Values]:
    """Options that committed commands give: `--wandb`, `--logger wandb`, `logger=wandb`."""
    found: dict[str, Values] = defaultdict(list)
    for line in _command_lines(repo):
        for flag, value in re.findall(r"--([\w-]+)(?:[= ]\"?([^\s\"'-][^\s\"']*))?", line):
            found[flag.replace("-", "_")].append(value or True)
        for key, value in re.findall(r"(?<=\s)\+*([\w.]+)=([\w.]+)", line):
            found[key.rpartition(".")[2]].append(value)
    return found


def _command_lines(repo: Repo) -> Iterator[str]:
    for path, text in repo.texts.items():
        if _SCRIPTS.search(path.lower()) and not _ASIDE.search(path):
            yield from (line for line in text.lines if not line.lstrip().startswith("#"))
    for path, document in repo.documents.items():
        if not _ASIDE.search(path):
            yield from (
                one.value for one in document.entries if isinstance(one.value, str) and "python" in one.value
            )
    yield from (command.text for pipeline in repo.ci for job in pipeline.jobs for command in job.commands)
