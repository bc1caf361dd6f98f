"""The releases that were, HEAD as the next one, and one after that: in a clone, with a tag for each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.releases import RELEASES, clone_with_tags
from tests.support.scene import add_next_release, after, release


@dataclass(frozen=True)
class Line:
    """A line of releases: `head` is the state under test, `next` the release after it."""

    folder: Path
    head: str
    next: str


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Never change it; its working tree is at `next`."""
    if not RELEASES:
        pytest.skip("no git history here: releases cannot be derived")
    folder = clone_with_tags(tmp_path_factory.mktemp("line") / "repository")
    present = (folder / "runtime_lib/VERSION").read_text().strip()
    head = release(folder, after(present, minor=False))
    following = add_next_release(folder, after(present, minor=True))
    return Line(folder, head, following)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder below which an upgrade does its work, so that what is left behind can be seen."""
    folder = tmp_path / "cache"
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(usual))  # that one stays warm
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "mlops"
