"""`.gitignore`, as far as a walk without git needs it: names and paths with `*`, `?`, `**`, `!` and a last `/`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Rule", "is_ignored", "rules"]


@dataclass(frozen=True)
class Rule:
    """`pattern` matches a path relative to the repository."""

    pattern: re.Pattern[str]
    again: bool
    folders: bool


def rules(folder: str, lines: Iterable[str]) -> list[Rule]:
    """The rules of the file in `folder`, "" for the repository's own."""
    return [rule for line in lines if (rule := _rule(folder, line))]


def is_ignored(path: str, is_folder: bool, all_rules: Iterable[Rule]) -> bool:
    """Whether the last rule that matches says so; of folders above, the caller has asked before."""
    ignored = False
    for rule in all_rules:
        if ignored == rule.again and (is_folder or not rule.folders) and rule.pattern.match(path):
            ignored = not rule.again
    return ignored


def _rule(folder: str, line: str) -> Rule | None:
    text = line.rstrip("\n\r ")
    if not text or text.startswith("#") or len(text) > 1000:
        return None
    again = text.startswith("!")
    text = text.removeprefix("!").removeprefix("\\")
    folders = text.endswith("/")
    text = text.rstrip("/")
    anywhere = "/" not in text
    start = f"{re.escape(folder)}/" if folder else ""
    between = "(?:.*/)?" if anywhere else ""
    try:
        return Rule(re.compile(f"{start}{between}{_pattern(text.lstrip('/'))}\\Z"), again, folders)
    except re.error:
        return None


# Runs of stars are one: each more would multiply the time of a match that fails.
TOKEN = re.compile(r"\*\*/(?:\*\*/)*|/\*\*\Z|\*+|\?|\[!?[^\]]+\]|[^*?\[]+|\[")


def _pattern(text: str) -> str:
    return "".join(_piece(piece) for piece in TOKEN.findall(text))


def _piece(piece: str) -> str:
    if piece.startswith("**/"):
        return "(?:.*/)?"
    if piece == "/**":
        return "/.*"
    if piece.startswith("*"):
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece.startswith("[") and len(piece) > 2:
        inside = piece[1:-1].replace("\\", "\\\\")
        return "[" + ("^" + inside[1:] if inside.startswith("!") else inside) + "]"
    return re.escape(piece)
