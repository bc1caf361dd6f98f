"""Small repositories from a mapping of paths to text."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from textwrap import dedent

__all__ = ["git", "plant"]

# The settings of whoever runs the tests must not matter: signing, hooks, names of branches.
QUIET = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


def plant(folder: Path, files: Mapping[str, str | bytes | PurePosixPath], *, commit: bool = True) -> Path:
    """Write `files` into `folder`, which is made, and return it.

    Args:
        files: path → text, whose common indentation is dropped, bytes, or the target of a symbolic link.
        commit: make it a repository of git with one commit of all that is not ignored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, PurePosixPath):
            path.symlink_to(content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(dedent(content).removeprefix("\n"), encoding="utf-8")
    if commit:
        git(folder, "init", "--quiet", "--initial-branch=main")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--allow-empty", "--message=All")
    return folder


def git(folder: Path, *words: str) -> str:
    """Run git in `folder` and return what it says."""
    done = subprocess.run(
        ["git", *words], cwd=folder, env={**os.environ, **QUIET}, capture_output=True, text=True, check=True
    )
    return done.stdout
