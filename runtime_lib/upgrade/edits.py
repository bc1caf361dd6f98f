"""Edit parts of a Python source; all other bytes are unchanged."""

from __future__ import annotations

import ast

__all__ = ["Edits"]


class Edits:
    """Collects edits of a UTF-8 source; positions are those of `ast`."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._starts = [0]
        for line in content.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._edits: dict[tuple[int, int], str] = {}
        self._before: dict[int, list[str]] = {}

    def span(self, node: ast.expr | ast.stmt | ast.alias) -> tuple[int, int]:
        """Return where a node starts and ends, in bytes."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def reads(self, start: int, text: str) -> bool:
        return self.content.startswith(text.encode(), start)

    def replace(self, start: int, old: str, new: str) -> bool:
        """Add an edit; False if `old` is not there: before Python 3.12, f-strings have wrong positions."""
        if not self.reads(start, old):
            return False
        self._edits[start, start + len(old.encode())] = new
        return True

    def forget(self, start: int, stop: int) -> None:
        self._edits.pop((start, stop), None)

    def cut(self, start: int, stop: int) -> None:
        """Remove a part, and its line if nothing else is on it."""
        line = self.content.rfind(b"\n", 0, start) + 1
        rest = self.content[stop:].partition(b"\n")[0]
        if not rest.strip():
            if self.content[line:start].strip():
                start = len(self.content[:start].rstrip(b" \t"))
            else:
                start, stop = line, min(stop + len(rest) + 1, len(self.content))
        self._edits[start, stop] = ""

    def put_before(self, start: int, statement: str) -> None:
        """Add a statement in front of the one that starts there; each only once."""
        if statement not in self._before.setdefault(start, []):
            self._before[start].append(statement)

    def result(self) -> bytes:
        """Apply all edits.

        Raises:
            ValueError: two of them overlap.
        """
        edits = [(start, stop, text.encode()) for (start, stop), text in self._edits.items()]
        for start, statements in self._before.items():
            joint = self._joint(start)
            edits.append((start, start, "".join(statement + joint for statement in statements).encode()))
        parts, end = [], 0
        for start, stop, text in sorted(edits):
            if start < end:
                raise ValueError(f"two edits at byte {start}")
            parts += [self.content[end:start], text]
            end = stop
        return b"".join([*parts, self.content[end:]])

    def _joint(self, start: int) -> str:
        """Return what separates a new statement from the one that starts here."""
        indent = self.content[self.content.rfind(b"\n", 0, start) + 1 : start]
        end = "\r\n" if b"\r\n" in self.content else "\n"
        return "; " if indent.strip() else end + indent.decode()
