"""A repository as the checks see it: read once, plain values, no path to the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "UNKNOWN",
    "Branch",
    "Call",
    "Cell",
    "Command",
    "Dependencies",
    "Document",
    "Entry",
    "Evidence",
    "Function",
    "Import",
    "Job",
    "LeftOut",
    "Lock",
    "Module",
    "Notebook",
    "Pipeline",
    "Repo",
    "Requirement",
    "Text",
    "Trigger",
]


class _Unknown:
    """A value that is not written as a constant."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Evidence:
    """A line that shows something: `path` relative to the repository with `/`, `line` from 1."""

    path: str
    line: int
    what: str


@dataclass(frozen=True)
class LeftOut:
    """A tracked file that was not read, or only in part, and why ("larger than 4 MB", "Python 2")."""

    path: str
    why: str


@dataclass(frozen=True)
class Text:
    """A small text file: Dockerfile, Makefile, shell script, Markdown; lines without their ends."""

    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in a document: `keys` lead to it; places in lists are whole numbers. Containers have none."""

    keys: tuple[str | int, ...]
    value: str | int | float | bool | None
    line: int


@dataclass(frozen=True)
class Document:
    """YAML, TOML, JSON, INI.

    Attributes:
        data: as read, of several YAML documents a list; plain dicts, lists and scalars.
        entries: all scalars, flat, in the order of the file.
        problem: why it could not be read in whole; "" if it could.
    """

    path: str
    kind: Literal["yaml", "toml", "json", "ini"]
    data: Any
    entries: tuple[Entry, ...]
    problem: str = ""

    def line_of(self, *keys: str | int) -> int:
        """Where the value, or the first one below these keys, stands; 1 if nowhere."""
        return next((entry.line for entry in self.entries if entry.keys[: len(keys)] == keys), 1)


@dataclass(frozen=True, slots=True)
class Import:
    """`name`: whole, as "sklearn.ensemble.RandomForestClassifier"; relative ones made absolute."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call.

    Attributes:
        name: resolved by imports, assignments and `self`: `mlflow.log_metric`; of a method of an object that
            a known call made `sklearn.ensemble.RandomForestClassifier().fit`; else `?.fit`, or `fit` for a
            name that is not known. A function or class of the module itself is `package.module.fit`, and
            `self` is `package.module.Trainer()`; a chain of over 200 characters is cut after its first call.
        args, keywords: constants (also lists, tuples and dicts of them), else `UNKNOWN`; `**x` is the keyword
            "**".
        names: of arguments that are names, attributes or calls, what they are, by keyword or by place ("0"):
            resolved like `name`, else as written: "config.SEED", "args.seed"; of what is in a list by both:
            "callbacks.0".
        when: conditions of the `if`s around it within its function, the outermost first: a name or attribute
            resolved like `names`, with "not " before it if it must be false; anything else as source.
        function: in which function or method, as "Trainer.run"; "" at module level.
        live: False in `if False:`, `if DEBUG:` where the module sets `DEBUG = False`, `if TYPE_CHECKING:`.
    """

    name: str
    line: int
    args: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    function: str = ""
    live: bool = True
    names: Mapping[str, str] = field(default_factory=dict)
    when: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """An `if` that compares by size, or whose body ends in `raise` or in the end of the process.

    Also `return new > old` and `accepted = new > old`, without a body.

    Attributes:
        end: last line of its body; `test`: source of at most 200 characters.
        stops: its body ends in `raise`, `sys.exit(…)`, `exit(…)`; `leaves`: in `return`.
        last: last line of its `else`; `else_stops`: that ends so; `sets`: names that either assigns.
        function, live, when: as in `Call`.
    """

    line: int
    end: int
    test: str
    stops: bool
    leaves: bool = False
    function: str = ""
    live: bool = True
    when: tuple[str, ...] = ()
    last: int = 0
    else_stops: bool = False
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method, "Trainer.run", also one in a function: "train.objective".

    Attributes:
        decorators: resolved like calls; they are in the module's `calls` too, as are those of classes.
        asserts: `assert` statements, calls of `self.assert…`, `pytest.raises`, `np.testing.assert_…` and
            their like, as (line, source of at most 200 characters); with those of the functions in it.
        defaults: parameters with their constant defaults; `parameters`: all of them by name.
    """

    name: str
    line: int
    end: int
    decorators: tuple[str, ...] = ()
    asserts: tuple[tuple[int, str], ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Module:
    """A Python file.

    Attributes:
        name: as it is imported, "package.sub.module", from the nearest folder that is no package.
        lines: that are not blank.
        classes: name → bases, resolved, and line.
        constants: names at module level and attributes of classes with constant values → (value, line).
        strings: all string constants that are no docstrings, (line, text of at most 200 characters).
        asserts: those outside of functions, as in `Function`.
        branches: that may be gates, in the whole module.
        is_script: it has `if __name__ == "__main__"`, or calls at module level do its work.
        problem: why there is no more than text ("Python 2", "a template"); "" if it was parsed.
    """

    path: str
    name: str
    lines: int
    imports: tuple[Import, ...] = ()
    calls: tuple[Call, ...] = ()
    functions: tuple[Function, ...] = ()
    classes: Mapping[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    constants: Mapping[str, tuple[Any, int]] = field(default_factory=dict)
    strings: tuple[tuple[int, str], ...] = ()
    is_script: bool = False
    problem: str = ""
    asserts: tuple[tuple[int, str], ...] = ()
    branches: tuple[Branch, ...] = ()

    @property
    def packages(self) -> frozenset[str]:
        """The first names of what it imports: "sklearn"."""
        return frozenset(one.name.partition(".")[0] for one in self.imports)


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell of a notebook; `line`: where its source begins in the file; `count`: when it was run."""

    line: int
    source: str
    count: int | None
    has_output: bool


@dataclass(frozen=True)
class Notebook:
    """`module`: its code cells as one module, magics left out; lines are those of the notebook's file.

    Attributes:
        shell: what its cells hand to a shell, `!pip install x` and `%pip install x`, as (line, command).
    """

    path: str
    cells: tuple[Cell, ...]
    module: Module
    shell: tuple[tuple[int, str], ...] = ()
    language: str = "python"
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What a job runs, at last: "pytest -q tests".

    Attributes:
        text: one command of a shell, without `&&`, `;` and pipes around it.
        path, line: where it is written; `by`: what led there, as ("make test", "nox -s tests").
        may_fail: its failure is ignored: `|| true`, `continue-on-error`, `allow_failure`, `-` in make.
    """

    text: str
    path: str
    line: int
    by: tuple[str, ...] = ()
    may_fail: bool = False


TriggerKind = Literal["push", "pull_request", "schedule", "manual", "tag", "release", "event", "called"]


@dataclass(frozen=True)
class Trigger:
    """What starts a pipeline.

    `what`: branches, cron line, event; of a push that only some paths start "main; paths: data/**, *.csv"; of
    the end of a pull request "closed".
    """

    kind: TriggerKind
    path: str
    line: int
    what: str = ""


@dataclass(frozen=True)
class Job:
    """A job of a pipeline.

    Attributes:
        uses: actions, orbs, templates and images, as (name with version, line, its inputs as text → value).
        triggers: those of the pipeline that this job takes part in, by its own conditions as far as they are
            plain.
        unknown: what could not be followed, as ("remote workflow org/x/.github/workflows/y.yml", line).
        environment: variables and secrets by name, as written.
    """

    name: str
    line: int
    triggers: tuple[Trigger, ...]
    commands: tuple[Command, ...] = ()
    uses: tuple[tuple[str, int, Mapping[str, str]], ...] = ()
    unknown: tuple[tuple[str, int], ...] = ()
    disabled: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipeline:
    """A CI configuration file: `provider` as "github", "gitlab", "azure", "circleci", "jenkins" …

    `active`: it stands where the provider reads it, and is no example or template of one.
    """

    provider: str
    path: str
    jobs: tuple[Job, ...]
    triggers: tuple[Trigger, ...] = ()
    active: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """`name` normalised ("scikit-learn"); `spec` as "==1.4.2", "" if none; `group`: "", "dev", an extra."""

    name: str
    spec: str
    path: str
    line: int
    group: str = ""


@dataclass(frozen=True)
class Lock:
    """A file that fixes transitive versions; `kind` as "uv", "freeze"; `names`: what it fixes → version."""

    kind: str
    path: str
    names: Mapping[str, str]
    manifest: str = ""


@dataclass(frozen=True)
class Dependencies:
    """Declared and locked packages of the whole repository; `manifests`: the files that declare them."""

    requirements: tuple[Requirement, ...] = ()
    locks: tuple[Lock, ...] = ()
    manifests: tuple[str, ...] = ()
    python: tuple[tuple[str, str, int], ...] = ()  # (spec or version, path, line)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(one.name for one in self.requirements)


# Compared by identity, so that what is found of it once can be kept (`queries.once`).
@dataclass(frozen=True, eq=False)
class Repo:
    """A repository.

    Attributes:
        name: of its folder.
        files: path → bytes, of all tracked regular files in it; without git all but what is ignored or built.
        git: whether there is a repository of git; `shallow`: with a cut history.
        commit: the checked out commit, "" if not known.
        submodules: paths of submodules, whose files are not here.
        texts, documents, modules, notebooks: by path. Vendored code, builds and environments are left out.
        entry_points: commands that the project installs: name → "package.module:function".
        left_out: what was not read, and why.
    """

    name: str
    files: Mapping[str, int]
    git: bool
    shallow: bool = False
    commit: str = ""
    submodules: tuple[str, ...] = ()
    texts: Mapping[str, Text] = field(default_factory=dict)
    documents: Mapping[str, Document] = field(default_factory=dict)
    modules: Mapping[str, Module] = field(default_factory=dict)
    notebooks: Mapping[str, Notebook] = field(default_factory=dict)
    ci: tuple[Pipeline, ...] = ()
    dependencies: Dependencies = Dependencies()
    entry_points: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()

    def code(self) -> Iterator[Module]:
        """Modules, and notebooks as modules."""
        yield from self.modules.values()
        yield from (book.module for book in self.notebooks.values())
