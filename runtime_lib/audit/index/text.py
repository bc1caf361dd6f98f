"""From bytes to text."""

from __future__ import annotations

import codecs
import re

__all__ = ["decode", "lines_of"]

# UTF-32 first: its mark begins like that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
COOKIE = re.compile(rb"\A(?:[^\n]*\n)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
HEAD = 8192  # bytes in which a NUL tells that a file is binary, as in git


def decode(raw: bytes, *, python: bool = False) -> str | None:
    """The text of a file, with `\\n` as the end of a line; None if it is binary.

    By its mark, else as UTF-8, else as Latin-1, in which every byte is a letter. `python`: the encoding that
    a comment of the first two lines names goes before Latin-1.
    """
    for mark, name in MARKS:
        if raw.startswith(mark):
            return _even(raw[len(mark) :].decode(name, errors="replace"))
    if b"\0" in raw[:HEAD]:
        return _without_mark(raw)
    try:
        return _even(raw.decode())
    except UnicodeDecodeError:
        return _even(_by_name(raw) if python else raw.decode("latin-1"))


def lines_of(text: str) -> tuple[str, ...]:
    """Lines without their ends; a last empty one is none. `splitlines` would also split at form feeds."""
    lines = text.split("\n")
    return tuple(lines[:-1] if not lines[-1] else lines)


def _without_mark(raw: bytes) -> str | None:
    """UTF-16 without a mark has a NUL in every second place, as far as it is Latin."""
    head = raw[:HEAD]
    half = len(head) // 2
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if half >= 4 and head[start::2].count(0) > 0.8 * half and not head[1 - start :: 2].count(0):
            return _even(raw.decode(name, errors="replace"))
    return None


def _by_name(raw: bytes) -> str:
    cookie = COOKIE.match(raw[:400])
    try:
        name = codecs.lookup(cookie[1].decode()).name if cookie else "latin-1"
        return raw.decode("latin-1" if name == "utf-8" else name, errors="replace")
    except (LookupError, UnicodeError):  # not known, or it does not make text, as "hex"
        return raw.decode("latin-1")


def _even(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
