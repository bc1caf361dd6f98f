"""Cells of notebooks as Python: what only IPython reads is taken out, lines stay where they are."""

from __future__ import annotations

import re

from runtime_lib.audit.index.modules import parse

__all__ = ["plain"]

_SUSPECT = re.compile(r"^\s*(?:[%!?]|[\w.]+\?{1,2}\s*$)|=\s*[%!]|^(?:pip|conda|cd|ls)\s", re.MULTILINE)
_LINE = re.compile(
    r"(?P<indent>\s*)(?P<target>[\w.,\s\[\]]+=\s*)?(?P<mark>%%?|!!?|\?)(?P<rest>.*)", re.DOTALL
)
_HELP = re.compile(r"(\s*)[%\w.]+\?{1,2}\s*$")
_BARE = re.compile(r"(?:pip3?|conda|mamba|uv|ls|cd|mkdir|cp|mv|rm|cat|wget|curl|git) [^=(]*$")
# Magics whose line, or cell, is Python that runs.
_RUNS = frozenset(
    {"time", "timeit", "prun", "memit", "mprun", "lprun", "capture", "debug", "python", "python3", "px"}
)
_RUNS |= {"pyspark", "spark", "local", "skip", "skip_if", "wandb", "ipytest", "run_pytest", "run_cell"}
_SHELL = frozenset({"bash", "sh", "script", "shell", "system", "sx", "cmd", "!"})
_TO_SHELL = frozenset(
    {"pip", "conda", "mamba", "uv", "system", "sx", "sc", "sh", "run", "dvc", "git", "poetry"}
)


def plain(source: str) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Return the cell as Python with as many lines, and as (line from 0, command) what a shell gets."""
    if not _SUSPECT.search(source) or parse(source) is not None:
        return source, ()
    lines = source.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    shell: list[tuple[int, str]] = []
    if lines[first].lstrip().startswith("%%"):
        if not _is_python(lines[first].strip()[2:]):
            if lines[first].strip()[2:].split(" ")[0] in _SHELL:
                shell = [(n, line.strip()) for n, line in enumerate(lines) if n > first and line.strip()]
            return "\n" * (len(lines) - 1), tuple(shell)
        lines[first] = ""
    at = 0
    while at < len(lines):
        end = at
        lines[at], command = _line(lines[at])
        while command and command.endswith("\\") and end + 1 < len(lines):
            end += 1
            command = f"{command[:-1].rstrip()} {lines[end].strip()}"
            lines[end] = ""
        if command:
            shell.append((at, command))
        at = end + 1
    return "\n".join(lines), tuple(shell)


def _is_python(magic: str) -> bool:
    """Whether the rest of a cell is Python: `%%time`, and `%%writefile train.py`, which is run later."""
    name, _, rest = magic.partition(" ")
    return name in _RUNS or (name in {"writefile", "file", "save"} and rest.strip().endswith(".py"))


def _line(line: str) -> tuple[str, str]:
    """The line as Python, and the command that it hands to a shell."""
    if _HELP.fullmatch(line):
        return _HELP.sub(r"\1pass", line), ""
    if _BARE.match(line):
        return "pass", line.strip()
    found = _LINE.match(line)
    if not found:
        return line, ""
    indent, target, mark, rest = found["indent"], found["target"] or "", found["mark"], found["rest"].strip()
    instead = f"{indent}{target}None" if target else f"{indent}pass"
    if mark.startswith("!"):
        return instead, rest
    name, _, after = rest.partition(" ")
    if mark.startswith("%") and name in _RUNS and after.strip():
        code = f"{indent}{target}{re.sub(r'^(?:-[a-z]+ ?[0-9]* *)+', '', after.strip())}"
        return (code if parse(code.strip()) else instead), ""
    if mark.startswith("%") and name in _TO_SHELL:
        return instead, rest.removeprefix("system ").removeprefix("sx ").removeprefix("sh ")
    return instead, ""
