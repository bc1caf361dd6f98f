"""`tree({"train.py": "…"})`: a small repository, committed, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import pytest

from tests.support.trees import plant

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A function of files (see `plant`) that returns the folder; `commit=False` leaves git out."""

    def build(files: Mapping[str, str | bytes | PurePosixPath], *, commit: bool = True) -> Path:
        number = sum(1 for _ in tmp_path.glob("repository*"))
        return plant(tmp_path / f"repository{number or ''}", files, commit=commit)

    return build
