"""Choose the version to upgrade to, and start that version's own `mlops upgrade`.

The newest release knows best how to upgrade from an old one. So the installed library only finds the newest
release and runs its `mlops upgrade` through `uvx`, in a separate environment.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from runtime_lib import __version__
from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.answers import Answers
from runtime_lib.upgrade.git import remote
from runtime_lib.upgrade.lockstep import pins, same_version
from runtime_lib.upgrade.versions import release_tags, version_of

__all__ = ["is_target", "launch", "named", "newest"]

_FIRST = (0, 3, 0)  # the first release with `mlops upgrade`


def newest(answers: Answers) -> str:
    """Return the newest release tag of the template, or the commit of its default branch if there is none.

    A project past the newest release stays at its commit.

    Raises:
        UpgradeError: the template cannot be reached.
    """
    listed = remote(answers.source)
    tags = release_tags(listed)
    if not tags:
        return listed["HEAD"]
    past = answers.commit != tags[-1] and version_of(answers.commit) == version_of(tags[-1])
    return answers.commit if past else tags[-1]


def named(answers: Answers, given: str) -> str:
    """Return the git ref for what a user gave: a release, with or without its `v`, or a commit.

    Raises:
        UpgradeError: there is no such release, or the project cannot be upgraded to it.
    """
    if re.fullmatch(r"[0-9a-f]{7,40}", given) or given == answers.commit:
        return given
    tags = release_tags(remote(answers.source))
    ref = given if given.startswith("v") else f"v{given}"
    if ref not in tags:
        known = ", ".join(tags[-5:]) or "none"
        raise UpgradeError(f"The template has no release '{given}' (--to). The newest: {known}.")
    if (version_of(ref) or ()) < (version_of(answers.commit) or ()):
        raise UpgradeError(
            f"The project follows {answers.commit}; {ref} is older. To go back, revert the commit that took "
            f"the update: git revert COMMIT"
        )
    if (version_of(ref) or ()) < _FIRST:
        raise UpgradeError(
            f"{ref} does not have `mlops upgrade` yet. Choose a newer one: {', '.join(tags[-3:])}."
        )
    return ref


def is_target(ref: str) -> bool:
    """Whether the running code is that of the release `ref`."""
    return ref == f"v{__version__}"


def launch(project: Path, ref: str, options: Sequence[str]) -> NoReturn:
    """Replace this process by `mlops upgrade` of the template's version `ref`.

    Raises:
        UpgradeError: uv is not installed, or no pin gives the library's address.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise UpgradeError(
            "uv is not on PATH: install it, https://docs.astral.sh/uv/getting-started/installation/."
        )
    wanted = f"runtime-lib[upgrade] @ {_library(project, ref)}"
    os.execv(uv, ["uv", "tool", "run", "--from", wanted, "mlops", "upgrade", *options, "--here", "--to", ref])  # noqa: S606


def _library(project: Path, ref: str) -> str:
    """Return the address in the project's pin, at `ref`; a checkout has only its current version."""
    try:
        found = [pin for pin in pins((project / "pyproject.toml").read_text(encoding="utf-8")) if pin.url]
    except (FileNotFoundError, tomllib.TOMLDecodeError) as error:
        raise UpgradeError(
            f"pyproject.toml cannot be read ({error}). Fix it, or restore it from git."
        ) from error
    if not found:
        raise UpgradeError(
            "pyproject.toml pins no runtime-lib[…] @ address: `git log -p pyproject.toml` shows the lines "
            "that were between the two comments of the fence; restore them."
        )
    if found[0].local:
        return found[0].url
    # A commit past a tag is recorded as `v0.3.0-2-g1a2b3c4`, which is not a git ref; the pin has the hash.
    known = found[0].ref if same_version(found[0].ref, ref) else ref
    return f"{found[0].url}@{known}"
