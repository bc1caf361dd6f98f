"""Which Python a repository names outside of its requirements."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runtime_lib.audit.index.model import Text

__all__ = ["pythons"]

IMAGE = re.compile(r"^\s*FROM\s+(?:--platform=\S+\s+)?(?:\S+/)?python:(\d[\w.]*)", re.IGNORECASE)
UV_IMAGE = re.compile(r"^\s*FROM\s+\S*astral-sh/uv:\S*python(\d[\d.]*)", re.IGNORECASE)


def pythons(text: Text) -> Iterator[tuple[str, str, int]]:
    """(version, path, line) in files of pyenv, asdf, Heroku, and images of Dockerfiles."""
    name = text.path.rpartition("/")[2].lower()
    patterns: tuple[str | re.Pattern[str], ...] = ()
    if name == ".python-version":
        patterns = (r"^\s*(?:cpython[-@])?(\d[\w.]*)\s*$",)
    elif name == "runtime.txt":
        patterns = (r"^\s*python-(\d[\w.]*)",)
    elif name == ".tool-versions":
        patterns = (r"^\s*python\s+(\d[\w.]*)",)
    elif "dockerfile" in name or "containerfile" in name:
        patterns = (IMAGE, UV_IMAGE)
    for number, line in enumerate(text.lines if patterns else (), 1):
        for pattern in patterns:
            if found := re.match(pattern, line):
                yield f"=={found[1]}", text.path, number
