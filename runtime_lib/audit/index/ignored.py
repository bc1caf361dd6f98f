"""`.gitignore`, as far as a walk without git needs it: paths with `*`, `?`, `**`, `!` and a last `/`."""

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


def _pattern(text: str) -> str:
    """A pattern that matches in linear time for each `**`, whoever wrote it."""
    if text.count("**") > 2:
        return "(?!)"
    parts = text.split("/")
    made = ""
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "**":
            made += ".+" if is_last else "(?:.*/)?"
        else:
            made += _segment(part) + ("" if is_last else "/")
    return made


def _segment(part: str) -> str:
    """Between two `/`. What is behind a star is looked for once, from the left: stars try no other places."""
    pieces = [_piece(piece) for piece in re.split(r"\*+", part)]
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    return first + "".join(f"(?>[^/]*?{piece})" for piece in middle) + "[^/]*" + last


def _piece(text: str) -> str:
    return "".join(_letter(letter) for letter in re.findall(r"\[!?[^\]]+\]|.", text))


def _letter(text: str) -> str:
    if text == "?":
        return "[^/]"
    if text.startswith("[") and len(text) > 2:
        inside = re.sub(r"([\[\]\\&~|^])", r"\\\1", text[1:-1])
        return "[" + ("^" + inside[1:] if inside.startswith("!") else inside) + "]"
    return re.escape(text)
