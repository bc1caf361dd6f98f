"""The lines of pyproject.toml that the template owns: in each list the library's pin between two comments.

People edit this file, so a fence may be damaged; then no other line counts as the template's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from runtime_lib.errors import UpgradeError

__all__ = ["FENCE", "fences", "lost", "put"]

FENCE = ("# >>> runtime library", "# <<< runtime library")

_START, _END = FENCE
_PIN = re.compile(r"""\s*(["'])runtime[-_.]+lib(?![\w.-])[^"']*\1\s*,?\s*(#.*)?$""", re.IGNORECASE)
# Outside a fence, a bare name with extras is the user's own line: it adds them to the pin.
_EXTRAS = re.compile(r"""\s*["'][\w.-]+\s*\[[^\]@"']*\]\s*["']""")
_NAMED = re.compile(r"""["']\s*runtime[-_.]+lib(?![\w.-])""", re.IGNORECASE)


def fences(text: str) -> dict[str, list[str]]:
    """Return, for each list such as `dependency-groups.dev`, its complete fences with the lines between.

    A complete fence has its opening and its closing line in the same list, and no other opening line between.
    """
    found: dict[str, list[str]] = {}
    where, block = "", list[str]()
    for place, line in _placed(text):
        if place != where or line.strip().startswith(_START):
            block = []
        where = place
        if block or line.strip().startswith(_START):
            block.append(line)
        if block and line.strip().startswith(_END):
            found.setdefault(place, []).extend(block)
            block = []
    return found


def put(text: str, place: str, block: list[str]) -> str | None:
    """Write `block` in place of one list's pin or fence, or else at the list's start.

    Returns:
        None if the list does not exist, or has an entry on its opening line.

    Raises:
        UpgradeError: the pin shares its line with another entry.
    """
    lines, pin, comment, top = list[str](), -1, -1, -1
    for at, line, ours in _owned(text):
        if at == place and ours:
            if not line.strip().startswith(FENCE):
                pin = len(lines) if pin < 0 else pin
            elif comment < 0:
                comment = len(lines)
            continue
        if at == place and not _EXTRAS.match(line) and _NAMED.search(line.partition("#")[0]):
            raise UpgradeError(
                f"In {place} the library shares a line with another entry: put each on its own line, then "
                f"run --restore again."
            )
        lines.append(line)
        if at == place and top < 0:  # the line that opens the list
            top = len(lines)
    if top < 0:
        return None
    start = next(index for index in (pin, comment, top) if index >= 0)
    return "".join([*lines[:start], *block, *lines[start:]])


def lost(old: str, new: str) -> list[str]:
    """Return the lines of `old`, other than fence and pin, that occur less often in `new`."""
    kept = Counter(new.splitlines(keepends=True))
    return list((Counter(line for _, line, ours in _owned(old) if not ours) - kept).elements())


def _owned(text: str) -> Iterator[tuple[str, str, bool]]:
    """Yield each line with its list, and whether it is the template's: a comment of the fence, or the pin."""
    whole = fences(text)
    for place, line in _placed(text):
        users = _EXTRAS.match(line) is not None and line not in whole.get(place, ())
        yield place, line, line.strip().startswith(FENCE) or (_PIN.match(line) is not None and not users)


def _placed(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line with the list that it is in, such as `dependency-groups.dev`."""
    table = key = ""
    for line in text.splitlines(keepends=True):
        if header := re.match(r"\s*\[+([^\[\]]+)\]+\s*(#.*)?$", line):
            table, key = header[1].strip(), ""
        elif opened := re.match(r"""\s*["']?([\w-]+)["']?\s*=\s*\[\s*(#.*)?$""", line):
            key = opened[1]
        elif line.lstrip().startswith("]"):
            key = ""
        yield (f"{table}.{key}" if key else ""), line
