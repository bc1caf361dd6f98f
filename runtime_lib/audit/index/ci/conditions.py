"""Conditions of CI configurations: true, false, or None for what only a run can tell.

One reader for GitHub's `if`, GitLab's `rules:if` and Azure's `condition`: names, strings, calls of
functions, and `== != =~ !~ && || !`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["Value", "evaluate"]

Value = str | bool | None
Lookup = Callable[[str], str | None]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*'|\"[^\"]*\")|(?P<regex>/(?:[^/\\\n]|\\.)+/i?)|(?P<sign>&&|\|\||==|!=|=~|!~|[!(),<>])"
    r"|(?P<name>\$?\{?[A-Za-z_*][\w.*-]*\}?(?:\[[^\]]*\]|\.[\w*-]+)*)|(?P<number>\d+(?:\.\d+)?))"
)
_TRUE = frozenset({"always", "success", "succeeded", "succeededorfailed"})
_FALSE = frozenset({"failure", "failed", "cancelled", "canceled"})


def evaluate(condition: object, lookup: Lookup) -> bool | None:
    """Whether the condition holds; `lookup`: the value of a name, "" if empty, None if not known."""
    if isinstance(condition, bool):
        return condition
    text = str(condition).strip()
    if text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1:
        text = text[3:-2]
    text = re.sub(r"\$\{\{(.*?)\}\}", r"(\1)", text)
    tokens = _tokens(text)
    if not tokens or len(tokens) > 400:
        return None
    reader = _Reader(tokens, lookup)
    try:
        value = reader.either()
    except (IndexError, RecursionError):
        return None
    return _truth(value) if reader.at == len(tokens) else None


def _tokens(text: str) -> list[tuple[str, str]]:
    """Kind and text of each; none at all if there is a sign that is not known."""
    found: list[tuple[str, str]] = []
    at = 0
    text = text.strip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return []
        found.append((str(token.lastgroup), token[0].strip()))
        at = token.end()
    return found


def _truth(value: Value) -> bool | None:
    if isinstance(value, str):
        return value.lower() not in ("", "false", "0", "null")
    return value


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _all(values: list[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


def _any(values: list[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False


class _Reader:
    """A recursive descent over the tokens."""

    def __init__(self, tokens: list[tuple[str, str]], lookup: Lookup) -> None:
        self.tokens = tokens
        self.lookup = lookup
        self.at = 0

    def _next(self, *signs: str) -> str:
        if self.at < len(self.tokens):
            kind, text = self.tokens[self.at]
            if kind == "sign" and text in signs:
                self.at += 1
                return text
        return ""

    def either(self) -> Value:
        value = self.both()
        while self._next("||"):
            other = self.both()
            value = _any([_truth(value), _truth(other)])
        return value

    def both(self) -> Value:
        value = self.compared()
        while self._next("&&"):
            other = self.compared()
            value = _all([_truth(value), _truth(other)])
        return value

    def compared(self) -> Value:
        left = self.single()
        sign = self._next("==", "!=", "=~", "!~", "<", ">")
        if not sign:
            return left
        right = self.single()
        if left is None or right is None or sign in "<>":
            return None
        same = _matches(right, left) if "~" in sign else _same(left, right)
        return _not(same) if sign.startswith("!") else same

    def single(self) -> Value:
        if self._next("!"):
            return _not(_truth(self.single()))
        if self._next("("):
            value = self.either()
            self._next(")")
            return value
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind in ("number", "regex"):
            return text
        if kind == "sign":
            raise IndexError
        if self._next("("):
            return self._call(text)
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        return "" if text == "null" else self.lookup(text)

    def _call(self, name: str) -> Value:
        values: list[Value] = []
        while not self._next(")"):
            values.append(self.either())
            self._next(",")
        return _called(name.lower(), values)


def _same(left: Value, right: Value) -> bool:
    return str(left).lower() == str(right).lower()


def _matches(pattern: Value, value: Value) -> bool | None:
    text = str(pattern)
    try:
        flags = re.IGNORECASE if text.endswith("i") else 0
        return re.search(text.removesuffix("i").strip("/"), str(value), flags) is not None
    except re.error:
        return None


def _called(name: str, values: list[Value]) -> bool | None:
    truths = [_truth(value) for value in values]
    if name in _TRUE:
        return True
    if name in _FALSE:
        return False
    if name == "and":
        return _all(truths)
    if name == "or":
        return _any(truths)
    if name == "not":
        return _not(truths[0]) if truths else None
    if len(values) < 2 or values[0] is None:
        return None
    return _of_two(name, values)


def _of_two(name: str, values: list[Value]) -> bool | None:
    first, others = values[0], values[1:]
    if name in ("in", "notin"):
        found = _any([None if other is None else _same(first, other) for other in others])
        return _not(found) if name == "notin" else found
    second = others[0]
    if second is None:
        return None
    whole, part = str(first).lower(), str(second).lower()
    if name in ("eq", "ne"):
        return (whole == part) == (name == "eq")
    known = {
        "startswith": whole.startswith(part),
        "endswith": whole.endswith(part),
        "contains": part in whole,
    }
    return known.get(name)
