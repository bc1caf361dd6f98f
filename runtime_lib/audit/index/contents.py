"""The files of a repository that say something: each is read once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from runtime_lib.audit.index.documents import DocumentKind, read_document
from runtime_lib.audit.index.files import Files, read
from runtime_lib.audit.index.model import Document, LeftOut, Text
from runtime_lib.audit.index.places import not_own
from runtime_lib.audit.index.readable import LIMITS, Kind, kind_of
from runtime_lib.audit.index.text import decode, lines_of

__all__ = ["Contents"]

# So many files of one kind in one folder are data.
CROWDS: Mapping[str, int] = {".json": 100, ".txt": 100, ".yaml": 1000, ".yml": 1000, ".md": 1000, ".sql": 300}
KINDS: tuple[DocumentKind, ...] = ("yaml", "toml", "json", "ini")
# Bytes of all files of a kind. A document takes some thirty times its size of memory, code ten times.
TOGETHER: Mapping[Kind, int] = {
    "python": 24_000_000,
    "notebook": 300_000_000,
    "yaml": 2_000_000,
    "toml": 1_000_000,
    "json": 800_000,
    "ini": 500_000,
    "text": 12_000_000,
    "lock": 30_000_000,
}
# A file without a suffix may be anything.
NAMELESS = 100_000
HEAD = 2000


class Contents:
    """What is read of a repository, by path.

    Attributes:
        texts, documents: see `Repo`; a document that could not be read in whole is a text too.
        locks: texts of locks.
        paths: of each kind, what is to be read.
    """

    def __init__(self, root: Path, files: Files) -> None:
        self._root = root
        self._left_out = files.left_out
        self._sizes = files.sizes
        self.texts: dict[str, Text] = {}
        self.documents: dict[str, Document] = {}
        self.locks: dict[str, str] = {}
        self.paths: dict[Kind, list[str]] = {kind: [] for kind in LIMITS}
        for path in self._own(files.sizes):
            self.paths[kind_of(path)].append(path)
        for kind, paths in self.paths.items():
            self.paths[kind] = self._within(kind, paths)

    def read(self) -> None:
        """Read texts, documents and locks."""
        for path in self.paths["lock"]:
            if (text := self.text(path)) is not None:
                self.locks[path] = text
        for path in self.paths["text"]:
            if (text := self.text(path)) is not None:
                self.texts[path] = Text(path, lines_of(text))
        for kind in KINDS:
            for path in self.paths[kind]:
                if (text := self.text(path)) is not None:
                    document = read_document(path, text, kind)
                    self.documents[path] = document
                    if document.problem:
                        self.texts[path] = Text(path, lines_of(text))
        self.documents = dict(sorted(self.documents.items()))

    def _within(self, kind: Kind, paths: list[str]) -> list[str]:
        """As many paths as the bound of their kind allows; of the rest the number is said."""
        if sum(self._sizes[path] for path in paths) <= TOGETHER[kind]:
            return paths
        left, kept = TOGETHER[kind], []
        # Large documents are data; code in deep folders is seldom the project's main one.
        by_size = kind in KINDS
        for path in sorted(paths, key=lambda path: (self._sizes[path] if by_size else path.count("/"), path)):
            left -= min(self._sizes[path], LIMITS[kind])
            if left < 0:
                break
            kept.append(path)
        what = "text files" if kind == "text" else f"files of {kind}"
        self._left_out.append(LeftOut(".", f"{len(paths) - len(kept):,} {what}, too many in all"))
        return sorted(kept)

    def text(self, path: str) -> str | None:
        """The text of a file; None, and a reason in `left_out`, if there is none."""
        raw = self.bytes(path)
        if raw is None:
            return None
        text = decode(raw, python=kind_of(path) == "python")
        if text is None:
            if kind_of(path) != "text":
                self._left_out.append(LeftOut(path, "binary"))
            return None
        # Of a file without a suffix it is not known what it is: prose of a thousand columns is data.
        return None if _is_nameless(path) and max(map(len, text[:HEAD].split("\n"))) > 1000 else text

    def bytes(self, path: str) -> bytes | None:
        """What is in a file; None, and a reason in `left_out`, if it cannot be read or is too large."""
        most = NAMELESS if _is_nameless(path) else LIMITS[kind_of(path)]
        try:
            return read(self._root, path, most)
        except OSError as error:
            self._left_out.append(
                LeftOut(path, f"cannot be read: {error.strerror}" if error.strerror else str(error))
            )
            return None

    def _own(self, sizes: Mapping[str, int]) -> Iterator[str]:
        """Paths that are read, without what is not the project's own and without crowds of data files."""
        foreign: Counter[tuple[str, str]] = Counter()
        readable = [path for path in sizes if kind_of(path)]
        crowds = Counter(_crowd(path) for path in readable)
        passed: Counter[tuple[str, str]] = Counter()
        for path in readable:
            crowd = _crowd(path)
            if found := not_own(path.rpartition("/")[0]):
                foreign[found] += 1
            elif crowds[crowd] > CROWDS.get(crowd[1], len(readable)):
                passed[crowd] += 1
            else:
                yield path
        for (folder, kind), count in foreign.items():
            self._left_out.append(LeftOut(folder, f"{kind}, files that were not read: {count:,}"))
        for (folder, suffix), count in passed.items():
            self._left_out.append(
                LeftOut(folder or ".", f"{count:,} files {suffix} in one folder, taken for data")
            )


def _crowd(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, f".{name.rpartition('.')[2].lower()}"


def _is_nameless(path: str) -> bool:
    name = path.rpartition("/")[2]
    return "." not in name and kind_of(path) == "text" and not name.lower().startswith(KNOWN)


KNOWN = (
    "dockerfile",
    "containerfile",
    "makefile",
    "gnumakefile",
    "jenkinsfile",
    "justfile",
    "snakefile",
    "procfile",
)
