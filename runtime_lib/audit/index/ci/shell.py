"""A script of a shell as single commands, and which of them may fail unseen."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["Piece", "split", "words"]

# Words that stand before a command and are none.
_KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "fi", "done", "esac"}
)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_LABEL = re.compile(r"^[^\s()'\"]+\)\s*")  # of a case
_IGNORES = re.compile(r"^(true|:|echo|exit 0|printf|continue|/bin/true|return 0)\b|^:$")
_FUNCTION = re.compile(r"^(function\s+)?[\w-]+\s*\(\)\s*\{?\s*|^function\s+[\w-]+\s*\{?\s*")
_CASE = re.compile(r"^case\s.*?\bin\b\s*")
_LONGEST = 200_000


@dataclass(frozen=True)
class Piece:
    """A command: `offset` is its line within the script from 0; `after`: the sign that ends it."""

    text: str
    offset: int
    after: str
    may_fail: bool = False
    tested: bool = False  # the condition of an if or while


def split(script: str, *, strict: bool = True, pipefail: bool = False) -> list[Piece]:
    """The commands of a script in order.

    strict: the shell stops at the first failure (`-e`), until the script says otherwise.
    """
    found: list[Piece] = []
    pieces = [piece for raw in _pieces(script[:_LONGEST]) if (piece := _bare(raw)) is not None]
    for place, piece in enumerate(pieces):
        if piece.text.startswith("set ") and (options := piece.text.split()[1:]):
            strict, pipefail = _settings(options, strict, pipefail)
            continue
        following = pieces[place + 1].text if place + 1 < len(pieces) else ""
        last = place + 1 == len(pieces)
        ignored = (
            (not strict and not last and piece.after not in ("&&", "||"))
            or (piece.after == "||" and _IGNORES.match(following) is not None)
            or (piece.after == "|" and not pipefail)
            or piece.tested
        )
        found.append(replace(piece, may_fail=ignored))
    return found


def words(command: str) -> list[str]:
    """The words of a command; what a shell would refuse is split at blanks."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _settings(options: list[str], strict: bool, pipefail: bool) -> tuple[bool, bool]:
    """After `set -euo pipefail`, `set +e`, `set -o errexit`."""
    for place, word in enumerate(options):
        on = word.startswith("-")
        if not re.match(r"[-+]\w", word):
            continue
        named = options[place + 1] if word.endswith("o") and place + 1 < len(options) else ""
        strict = on if "e" in word or named == "errexit" else strict
        pipefail = on if named == "pipefail" else pipefail
    return strict, pipefail


def _bare(piece: Piece) -> Piece | None:
    """Without keywords, brackets and the head of a function; None if nothing is left."""
    text, tested = piece.text.strip(), False
    while True:
        before = text
        text = _CASE.sub("", _FUNCTION.sub("", text)).lstrip()
        first, _, rest = text.partition(" ")
        if first in _KEYWORDS:
            tested = tested or first in ("if", "elif", "while", "until", "!")
            text = rest.lstrip()
        if first in ("for", "select", "function", "in"):
            return None
        text = text.strip("()").strip() if text.startswith("(") else text
        if text == before:
            break
    text = re.sub(r"\s+\}$", "", text)
    if text.count(")") > text.count("("):
        text = text[:-1].rstrip() if text.endswith(")") else _LABEL.sub("", text)
    return Piece(text, piece.offset, piece.after, tested=tested) if text and text != ";" else None


class _Reader:
    """Walks a script sign by sign and keeps what the signs so far mean."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.at = 0
        self.line = 0
        self.quote = ""
        self.depth = 0
        self.current: list[str] = []
        self.began = 0
        self.heredoc: list[str] = []

    def pieces(self) -> Iterator[Piece]:
        while self.at < len(self.script):
            sign = self.script[self.at]
            if end := self._end(sign):
                yield from self._cut(end)
                self.at += len(end)
                if end == "\n":
                    self.line += 1
                    self._skip_heredoc()
                continue
            self._take(sign)
        yield from self._cut("")

    def _cut(self, end: str) -> Iterator[Piece]:
        text = "".join(self.current).strip()
        self.current = []
        if text:
            self.heredoc += [found[2] for found in _HEREDOC.finditer(text)]
            yield Piece(text, self.began, end)

    def _end(self, sign: str) -> str:
        """The sign that ends a command here; "" if none does."""
        if self.quote or self.depth:
            return ""
        pair = self.script[self.at : self.at + 2]
        if pair in ("&&", "||", ";;"):
            return pair
        if sign == "&" and (pair == "&>" or (self.current and self.current[-1] in "<>")):
            return ""
        if sign == "|" and self.current and self.current[-1] == ">":
            return ""
        return sign if sign in "\n;|&" else ""

    def _take(self, sign: str) -> None:
        if not "".join(self.current).strip():
            self.began = self.line
        pair = self.script[self.at : self.at + 2]
        if sign == "\\" and self.quote != "'":
            if pair == "\\\n":
                self.line += 1
                self.current.append(" ")
            else:
                self.current.append(pair)
            self.at += 2
            return
        if self._comment(sign):
            return
        if sign in "'\"" and self.quote in ("", sign):
            self.quote = "" if self.quote else sign
        elif self.quote != "'":
            self.depth += (pair == "$(") - (sign == ")" and self.depth > 0)
            self.depth += sign == "(" and self.depth > 0 and self.script[self.at - 1] != "$"
        self.line += sign == "\n"
        self.current.append(sign)
        self.at += 1

    def _comment(self, sign: str) -> bool:
        if sign != "#" or self.quote or self.depth or (self.current and not self.current[-1].isspace()):
            return False
        end = self.script.find("\n", self.at)
        self.at = len(self.script) if end < 0 else end
        return True

    def _skip_heredoc(self) -> None:
        while self.heredoc and self.at < len(self.script):
            end = self.script.find("\n", self.at)
            end = len(self.script) if end < 0 else end
            line = self.script[self.at : end]
            self.at, self.line = min(end + 1, len(self.script)), self.line + 1
            if line.strip() == self.heredoc[0]:
                self.heredoc.pop(0)


def _pieces(script: str) -> Iterator[Piece]:
    return _Reader(script).pieces()
