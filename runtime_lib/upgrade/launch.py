"""Which version to take, and handing over to that version's own `mlops upgrade`.

The newest release knows best how to come from an old one; so the installed library only finds out what is
newest and starts the `mlops upgrade` of that release through `uvx`, in an environment of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from runtime_lib import __version__
from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.answers import Answers, address
from runtime_lib.upgrade.finding import without_secrets
from runtime_lib.upgrade.lockstep import pins, same_version
from runtime_lib.upgrade.migrations import version_of

__all__ = ["is_target", "launch", "newest"]


def newest(answers: Answers) -> str:
    """Return the newest release tag of the template, or the commit of its default branch if there is none.

    A project that is past the newest release stays at its commit.

    Raises:
        UpgradeError: the template cannot be reached.
    """
    listed = _ls_remote(answers.source)
    tags = [name for name in listed if re.fullmatch(r"v\d+[.]\d+[.]\d+", name)]
    if not tags:
        return listed["HEAD"]
    tag = max(tags, key=lambda name: version_of(name) or ())
    past = answers.commit != tag and version_of(answers.commit) == version_of(tag)
    return answers.commit if past else tag


def is_target(ref: str) -> bool:
    """Whether the code that runs is that of the release `ref`."""
    return ref == f"v{__version__}"


def launch(project: Path, ref: str, options: Sequence[str]) -> NoReturn:
    """Become `mlops upgrade` of the template's version `ref`.

    Raises:
        UpgradeError: no uv, or no pin to take the library's address from.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise UpgradeError(
            "uv is not on PATH: install it, https://docs.astral.sh/uv/getting-started/installation/."
        )
    wanted = f"runtime-lib[upgrade] @ {_library(project, ref)}"
    os.execv(uv, ["uv", "tool", "run", "--from", wanted, "mlops", "upgrade", *options, "--here", "--to", ref])  # noqa: S606


def _library(project: Path, ref: str) -> str:
    """The address in the project's pin, at `ref`; a checkout has only the version that it is at."""
    try:
        found = [pin for pin in pins((project / "pyproject.toml").read_text(encoding="utf-8")) if pin.url]
    except (FileNotFoundError, tomllib.TOMLDecodeError) as error:
        raise UpgradeError(
            f"pyproject.toml cannot be read ({error}). Mend it, or take it from git."
        ) from error
    if not found:
        raise UpgradeError(
            "pyproject.toml pins no runtime-lib[…] @ address: `git log -p pyproject.toml` shows the lines "
            "that stood between the two fences; bring them back."
        )
    if found[0].local:
        return found[0].url
    # A commit past a tag is recorded as `v0.3.0-2-g1a2b3c4`, which no server knows; the pin has its hash.
    known = found[0].ref if same_version(found[0].ref, ref) else ref
    return f"{found[0].url}@{known}"


def _ls_remote(source: str) -> dict[str, str]:
    """Name → hash of HEAD and of each tag."""
    words = ["git", "ls-remote", "--", address(source), "HEAD", "refs/tags/v*"]
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}  # a missing login is an error, not a question
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise UpgradeError(without_secrets(f"The template at {source} cannot be reached: {said}"))
    pairs = (line.split("\t") for line in done.stdout.splitlines())
    return {name.removeprefix("refs/tags/"): commit for commit, name in pairs if not name.endswith("^{}")}
