"""Run git, and read from it what it knows about a project.

Paths are relative to the project, which may be a sub-folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime_lib.errors import UpgradeError
from runtime_lib.secrets import without_secrets
from runtime_lib.upgrade.answers import Answers, address, parse_answers

__all__ = [
    "Update",
    "changed_since_head",
    "environment",
    "file_at",
    "files",
    "files_at",
    "git",
    "in_git",
    "remote",
    "run",
    "unmerged",
    "updates",
]

_SECONDS = 10.0
# How many past updates the doctor checks, and how many changes of the answers it reads to find them.
_UPDATES, _CHANGES = 5, 50


@dataclass(frozen=True)
class Update:
    """A change of version or answers from commit `before` to `after`; empty until it is committed."""

    before: str
    after: str
    old: Answers
    new: Answers


def run(
    folder: Path,
    *words: str,
    variables: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git in `folder`; after `seconds`, it and its helpers are killed.

    Raises:
        UpgradeError: git is not installed, or took too long.
    """
    try:
        process = subprocess.Popen(
            ["git", *words],
            cwd=folder,
            env={**environment(), **(variables or {})},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Without a limit Ctrl-C and a passphrase prompt must reach it.
            start_new_session=seconds is not None,
        )
    except OSError as error:
        raise UpgradeError("git is not installed, or not on PATH.") from error
    with process:
        try:
            printed, said = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)  # also git's helper, which waits for the network
            raise UpgradeError(f"git {words[0]} took longer than {seconds:.0f} s.") from error
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


def environment() -> dict[str, str]:
    """Return the environment that git is run with."""
    # Git sets these for its hooks, to the top of the repository instead of this folder.
    hidden = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
    kept = {key: value for key, value in os.environ.items() if key not in hidden}
    # Reading the state must not write: `git status` locks the index to refresh it.
    return {**kept, "GIT_OPTIONAL_LOCKS": "0"}


def git(root: Path, *words: str, seconds: float = _SECONDS) -> bytes | None:
    """Run git in `root` and return its output; None if it fails, needs a password or takes too long."""
    try:
        done = run(root, *words, variables=_without_questions(), seconds=seconds)
    except UpgradeError:
        return None
    return done.stdout if done.returncode == 0 else None


def remote(source: str, *, seconds: float | None = None) -> dict[str, str]:
    """Ask the template's repository for HEAD and its version tags: name → commit.

    Raises:
        UpgradeError: it cannot be reached, needs a password or takes longer than `seconds`.
    """
    words = ("ls-remote", "--", address(source), "HEAD", "refs/tags/v*")
    try:
        # Without a limit, the user is there to enter the passphrase of an ssh key.
        variables = _without_questions() if seconds else {"GIT_TERMINAL_PROMPT": "0"}
        done = run(Path.cwd(), *words, variables=variables, seconds=seconds)
        # Git's last two lines are advice that reads as if the repository existed.
        said = done.stderr.decode(errors="replace").partition("Please make sure")[0]
        problem = " ".join(said.split()) or "no answer" if done.returncode else ""
    except UpgradeError as error:
        problem = str(error)
    if problem:
        raise UpgradeError(without_secrets(f"The template at {source} cannot be reached: {problem}"))
    pairs = (line.split("\t") for line in done.stdout.decode().splitlines())
    return {name.removeprefix("refs/tags/"): commit for commit, name in pairs if not name.endswith("^{}")}


def _without_questions() -> dict[str, str]:
    """Return variables that make a missing login an error, not a prompt that nobody sees."""
    ssh = os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    return {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": ssh, "LC_ALL": "C"}


def in_git(root: Path) -> bool:
    """Whether git tracks this folder; False if the surrounding repository ignores it."""
    inside = git(root, "rev-parse", "--is-inside-work-tree")
    return inside is not None and inside.strip() == b"true" and git(root, "check-ignore", "-q", ".") is None


def files(root: Path) -> list[str]:
    """Return tracked files and those that `git add` would add."""
    listed = git(
        root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", "."
    )
    return _names(listed)


def unmerged(root: Path) -> list[str]:
    """Return the files with unresolved conflicts of a merge."""
    listed = git(root, "ls-files", "-z", "--unmerged", "--", ".") or b""
    return sorted({entry.partition("\t")[2] for entry in _names(listed)})


def files_at(root: Path, commit: str) -> set[str]:
    return set(_names(git(root, "ls-tree", "-r", "-z", "--name-only", commit)))


def file_at(root: Path, commit: str, path: str) -> bytes | None:
    return git(root, "cat-file", "blob", f"{commit}:./{path}")


def changed_since_head(root: Path, path: str) -> bool:
    """Whether `path` has content that is not committed: edited, staged or never added."""
    return bool(git(root, "status", "--porcelain", "--untracked-files=all", "--ignored", "--", path))


def updates(root: Path, answers: Answers) -> Iterator[Update]:
    """Yield the project's updates, newest first, including those that only changed an answer."""
    head = _answers_at(root, "HEAD", answers.file)
    if head and _differ(head, answers):
        yield Update("HEAD", "", head, answers)
    changes = git(root, "log", f"-{_CHANGES}", "--format=%H", "--", answers.file) or b""
    found = 0
    for commit in changes.decode().split():
        old = _answers_at(root, f"{commit}^", answers.file)
        new = _answers_at(root, commit, answers.file)
        if old and new and _differ(old, new):
            yield Update(f"{commit}^", commit, old, new)
            found += 1
        if found == _UPDATES:
            return


def _answers_at(root: Path, commit: str, file: str) -> Answers | None:
    text = file_at(root, commit, file)
    try:
        return parse_answers(text.decode("utf-8", errors="replace"), file) if text else None
    except UpgradeError:
        return None


def _differ(old: Answers, new: Answers) -> bool:
    return (old.commit, old.values) != (new.commit, new.values)


def _names(listed: bytes | None) -> list[str]:
    return [os.fsdecode(name) for name in (listed or b"").split(b"\0") if name]
