"""Git plumbing: export a project's state from the repository, and bring a new one in.

A new state is built outside the project and becomes a commit object that nothing refers to. Then the project
moves to it in one step, which git finishes even if this process is killed. Before that step nothing in the
project has changed; after it everything has.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.git import environment, run

__all__ = ["Repository"]


@dataclass(frozen=True)
class Repository:
    """The git repository that holds a project.

    Attributes:
        top: its top folder.
        prefix: the project's folder below `top`, with a trailing slash; empty if the two are the same.
        folder: git's own folder for this working tree (`.git`, or a worktree's).
    """

    top: Path
    prefix: str
    folder: Path

    @classmethod
    def at(cls, project: Path) -> Repository:
        """Find the repository of the project at `project`.

        Raises:
            UpgradeError: there is no repository, or it has no commit.
        """
        try:
            said = _git(project, "rev-parse", "--show-toplevel", "--show-prefix", "--absolute-git-dir").split(
                "\n"
            )
            _git(project, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except UpgradeError as error:
            raise UpgradeError(
                f"{project} is not in a git repository with a commit; an upgrade is a merge and needs one: "
                f"git init && git add . && git commit -m 'Before the update'"
            ) from error
        return cls(Path(said[0]), said[1], Path(said[2]))

    def git(
        self, *words: str, index: Path | None = None, tree: Path | None = None, stdin: bytes | None = None
    ) -> str:
        """Run git at the top of the repository, on another index or working tree if given."""
        variables = {
            **({"GIT_INDEX_FILE": str(index)} if index else {}),
            **({"GIT_WORK_TREE": str(tree), "GIT_DIR": str(self.folder)} if tree else {}),
        }
        return _git(tree or self.top, *words, variables=variables, stdin=stdin)

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    @property
    def scope(self) -> str:
        """The project's path for git commands that run at the top."""
        return self.prefix or "."

    def files(self) -> list[str]:
        """Every file of the project that git tracks or would track, relative to the project."""
        names = self._listed("--cached", "--others", "--exclude-standard")
        return [name for name in names if (self.top / self.prefix / name).is_file()]

    def in_the_way(self, paths: Iterable[str]) -> list[str]:
        """Return what would be overwritten by writing `paths` and has no copy in git."""
        tracked = set(self._listed("--cached"))
        project = self.top / self.prefix
        return sorted({found for path in paths if (found := _obstacle(project, path, tracked))})

    def _listed(self, *options: str) -> list[str]:
        listed = self.git("ls-files", "-z", "--deduplicate", *options, "--", self.scope)
        return [name.removeprefix(self.prefix) for name in listed.split("\0") if name]

    def changed(self) -> list[str]:
        """Return what differs from the last commit, also untracked files, as `git status --short` does."""
        return self.git("status", "--porcelain", "--untracked-files=all", "--", self.scope).splitlines()

    def export(self, folder: Path, state: str) -> Path:
        """Write the project's files at the commit or tree `state` below `folder`; return their folder."""
        index = folder / "index"
        self.git("read-tree", state, index=index)
        names = self.git("ls-files", "-z", "--", self.scope, index=index)
        target = folder / "tree"
        target.mkdir()
        self.git("checkout-index", "-z", "--stdin", f"--prefix={target}/", index=index, stdin=_bytes(names))
        return target / self.prefix

    def snapshot(self, folder: Path, commit: str) -> str:
        """Store the project's tracked files as they are now, with the rest of `commit`, as a tree."""
        index = folder / "snapshot"
        self.git("read-tree", commit, index=index)
        self.git("rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "--", self.scope, index=index)
        names = self._listed("--cached")
        there = [self.prefix + name for name in names if os.path.lexists(self.top / self.prefix / name)]
        self.git("update-index", "--add", "-z", "--stdin", index=index, stdin=_bytes("\0".join(there)))
        return self.git("write-tree", index=index)

    def tree(self, folder: Path) -> str:
        """Store what `export` wrote to `folder`, as it is now, as a tree object; return its hash."""
        index = folder / "index"
        # Forced: a file of the template belongs in the commit even if the user's .gitignore matches it.
        self.git("add", "--all", "--force", "--", self.scope, index=index, tree=folder / "tree")
        return self.git("write-tree", index=index)

    def commit(self, tree: str, message: str, *, parent: str) -> str:
        """Store a commit of `tree` on top of `parent` without moving to it; return its hash.

        `parent` is what the tree was made from. HEAD may have moved since: on top of that, this tree would
        undo what the user has just committed.
        """
        sign = (
            ["-S"]
            if self.git("config", "--default", "false", "--type=bool", "commit.gpgsign") == "true"
            else []
        )
        words = ["commit-tree", tree, "-p", parent, *sign, "-F", "-"]
        return self.git(*words, stdin=message.encode())

    def move_to(self, commit: str) -> None:
        """Bring branch, index and files to `commit`, a child of HEAD, in one step.

        Raises:
            UpgradeError: somebody changed a file or committed in the meantime; nothing was moved.
        """
        # Git must not overwrite ignored files either, such as an `.env`.
        self.unstoppable(
            "merge",
            "--ff-only",
            "--quiet",
            "--no-autostash",
            "--no-verify-signatures",
            "--no-overwrite-ignore",
            commit,
        )

    def unstoppable(self, *words: str, stdin: bytes = b"") -> None:
        """Run git so that neither Ctrl-C nor the end of this process stops it half-way.

        For every write to the project, its index or a branch: a killed git leaves a lock there.
        """
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            process = subprocess.Popen(
                ["git", "-c", f"core.hooksPath={os.devnull}", *words],
                cwd=self.top,
                env=environment(),
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            try:
                _, said = process.communicate()
            except KeyboardInterrupt:
                process.wait()
                raise
        if process.returncode:
            raise UpgradeError(f"git could not bring the project to its new state: {said.strip()}")

    def mark_unmerged(self, stages: Mapping[str, tuple[bytes | None, bytes | None, bytes | None]]) -> None:
        """Record in git which files are in conflict; base, ours and theirs each as content, or None."""
        lines = []
        for path, contents in stages.items():
            name = self.prefix + path
            lines.append(f"0 {'0' * 40}\t{name}")
            for stage, content in enumerate(contents, start=1):
                if content is not None:
                    blob = self.git("hash-object", "-w", "--stdin", stdin=content)
                    lines.append(f"100644 {blob} {stage}\t{name}")
        self.unstoppable("update-index", "-z", "--index-info", stdin=_bytes("\0".join(lines) + "\0"))

    def restore(self, commit: str, merged: str) -> None:
        """Restore what differs between `commit` and the tree `merged` from `commit`, in index and files.

        Nothing else is touched: what the user edited or added elsewhere in the meantime has no copy in git.
        """
        differing = self.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", commit, merged)
        touched = {name for name in differing.split("\0") if name}
        # git restore refuses unmerged files, and paths that neither side knows.
        # `git diff` would lock the index to refresh it, whatever GIT_OPTIONAL_LOCKS says.
        unmerged = self.git("diff-files", "--name-only", "--diff-filter=U", "-z", "--", self.scope)
        self.unstoppable("update-index", "--add", "--remove", "-z", "--stdin", stdin=_bytes(unmerged))
        before = set(self.git("ls-tree", "-r", "-z", "--name-only", commit).split("\0"))
        staged = {self.prefix + name for name in self._listed("--cached")}
        paths = sorted(touched & (before | staged))
        options = ("--staged", "--worktree", "--pathspec-from-file=-", "--pathspec-file-nul")
        if paths:
            command = ("--literal-pathspecs", "restore", f"--source={commit}", *options)
            self.unstoppable(*command, stdin=_bytes("\0".join(paths)))

    def who(self) -> None:
        """Check that git knows the author of a commit."""
        try:
            self.git("var", "GIT_COMMITTER_IDENT")
            self.git("var", "GIT_AUTHOR_IDENT")
        except UpgradeError as error:
            raise UpgradeError(
                "git does not know who is committing: "
                "git config user.name 'Your Name'; git config user.email you@example.org"
            ) from error


def _obstacle(project: Path, path: str, tracked: set[str]) -> str:
    """Return what blocks `path`: a file instead of a folder, or the reverse, or an untracked file."""
    *folders, _ = parts = Path(path).parts
    for count in range(1, len(folders) + 1):
        folder = project.joinpath(*parts[:count])
        if os.path.lexists(folder) and not folder.is_dir():
            return "/".join(parts[:count])
    file = project / path
    return path if file.is_dir() or (path not in tracked and os.path.lexists(file)) else ""


def _bytes(names: str) -> bytes:
    """Return names as git gave them: any bytes, not only UTF-8."""
    return names.encode(errors="surrogateescape")


def _git(
    folder: Path, *words: str, variables: Mapping[str, str] | None = None, stdin: bytes | None = None
) -> str:
    done = run(folder, *words, variables=variables, stdin=stdin)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UpgradeError(f"git {words[0]}: {said or f'exit code {done.returncode}'}")
    return done.stdout.decode(errors="surrogateescape").rstrip("\n")
