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
# Bytes of all documents of a kind: each takes a few dozen bytes of memory.
TOGETHER: Mapping[DocumentKind, int] = {
    "yaml": 3_000_000,
    "toml": 1_500_000,
    "json": 1_500_000,
    "ini": 1_000_000,
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

    def read(self) -> None:
        """Read texts, documents and locks."""
        for path in self.paths["lock"]:
            if (text := self.text(path)) is not None:
                self.locks[path] = text
        for path in self.paths["text"]:
            if (text := self.text(path)) is not None:
                self.texts[path] = Text(path, lines_of(text))
        for kind in KINDS:
            for path in self._within(kind):
                if (text := self.text(path)) is not None:
                    document = read_document(path, text, kind)
                    self.documents[path] = document
                    if document.problem:
                        self.texts[path] = Text(path, lines_of(text))
        self.documents = dict(sorted(self.documents.items()))

    def _within(self, kind: DocumentKind) -> Iterator[str]:
        """Documents of a kind, the small ones first: large ones are data. Beyond a bound none is read."""
        left = TOGETHER[kind]
        paths = sorted(self.paths[kind], key=lambda path: (path.count("/") > 0, self._sizes[path]))
        for number, path in enumerate(paths):
            left -= min(self._sizes[path], LIMITS[kind])
            if left < 0:
                count = len(paths) - number
                self._left_out.append(LeftOut(".", f"{count:,} files of {kind.upper()}, too many in all"))
                return
            yield path

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
