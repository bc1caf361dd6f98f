"""Nothing that projects of the last release use is gone or changed without having been announced."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest

from runtime_lib import errors
from runtime_lib.errors import MlopsError
from runtime_lib.settings import RENAMED
from runtime_lib.upgrade.imports import Reader
from runtime_lib.upgrade.migrations import MIGRATIONS, Migration
from tests.support.compatibility import breaking, listed, promised
from tests.support.depth import DEEP
from tests.support.releases import RELEASES, REPOSITORY, library_at

needs_history = pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")
DEPRECATED = '@deprecated("use nothing; goes in 0.4")\n'


@pytest.fixture
def mutate(tmp_path):
    """Copy the library as it is, with `(file, text, other text)` exchanged."""

    def copy(name: str, *changes: tuple[str, str, str]) -> Path:
        shutil.copytree(REPOSITORY / "runtime_lib", tmp_path / name / "runtime_lib")
        (tmp_path / name / "docs").mkdir()
        shutil.copy(REPOSITORY / "docs/api.md", tmp_path / name / "docs")
        for file, text, other in changes:
            path = tmp_path / name / "runtime_lib" / file
            assert path.read_text().count(text) == 1, f"{file} has no single {text!r}"
            path.write_text(path.read_text().replace(text, other))
        return tmp_path / name

    return copy


@pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")
def test_nothing_of_the_last_release_breaks(tmp_path):
    assert breaking(library_at(RELEASES[-1][1], tmp_path / "released"), REPOSITORY) == []


@pytest.mark.skipif(len(RELEASES) < 2, reason="no git history here: releases cannot be derived")
def test_no_release_broke_the_one_before(tmp_path):
    # What is released no longer changes: but for the deep run, the last pair will do.
    pairs = RELEASES if DEEP else RELEASES[-2:]
    folders = [library_at(commit, tmp_path / version) for version, commit in pairs]
    for (version, _), old, new in zip(pairs[1:], folders, folders[1:], strict=False):
        assert breaking(old, new, version=version) == [], version


@pytest.mark.parametrize(
    ("file", "text", "other", "reported"),
    [
        (
            "registry/register.py",
            "def register(",
            "def enter(",
            "runtime_lib.registry.register.register: removed",
        ),
        (
            "hardware/__init__.py",
            "from runtime_lib.hardware.device.choice import choose_device\n",
            "",
            "runtime_lib.hardware.choose_device: removed",
        ),
        (
            "training/model.py",
            "    def predict(self",
            "    def answer(self",
            "runtime_lib.training.model.Model.predict: removed",
        ),
        (
            "data/calendar.py",
            "def months(first: str, last: str)",
            "def months(last: str, first: str)",
            "runtime_lib.data.calendar.months: positional parameter was moved 'first'",
        ),
        (
            "pipeline/airflow.py",
            "def pipeline_dag(root: Path, ",
            "def pipeline_dag(root: Path, owner: str, ",
            "runtime_lib.pipeline.airflow.pipeline_dag: parameter was added as required 'owner'",
        ),
        (
            "training/network.py",
            "class Architecture:",
            "class Architecture:\n    name: str",
            "runtime_lib.training.network.Architecture.__init__: parameter was added as required 'name'",
        ),
        (
            "errors.py",
            "class DataError(MlopsError, ValueError)",
            "class DataError(MlopsError)",
            "runtime_lib.errors.DataError: no longer a ValueError",
        ),
        (
            "errors.py",
            "class GateError(MlopsError)",
            "class GateError(Exception)",
            "runtime_lib.errors.GateError: no longer a MlopsError",
        ),
        (
            "settings/tables.py",
            "    max_drop: Share = 0.05\n",
            "",
            "monitoring.max_drop: the setting was removed",
        ),
        (
            "settings/tables.py",
            'engine: Literal["ray", "local"] = "ray"',
            'engine: Literal["ray"] = "ray"',
            "serving.engine: the setting takes less: no 'local'",
        ),
        (
            "settings/tables.py",
            "ge=1, le=65535",
            "ge=1024, le=65535",
            "serving.port: the setting takes less: minimum 1024",
        ),
        (
            "settings/tables.py",
            'webhook: str = ""',
            "webhook: int = 0",
            "monitoring.webhook: the setting takes less: integer instead of string",
        ),
        (
            "settings/tables.py",
            'uri: str = "sqlite:///var/mlflow.db"',
            "uri: str",
            "tracking.uri: the setting is required now",
        ),
        ("cli/monitor.py", '"--open"', '"--show"', "mlops monitor --open: removed"),
    ],
)
def test_a_break_is_reported(mutate, file, text, other, reported):
    assert reported in breaking(REPOSITORY, mutate("new", (file, text, other)))


def test_a_name_is_compared_where_its_package_takes_it_from(mutate):
    new = mutate("new", ("hardware/device/choice.py", "def choose_device(", "def choose_device(power: str, "))
    reported = "runtime_lib.hardware.device.choice.choose_device: parameter was added as required 'power'"
    assert reported in breaking(REPOSITORY, new)


@needs_history
def test_the_list_holds_for_releases_that_had_none(tmp_path):
    names = promised(library_at(RELEASES[0][1], tmp_path / "first"))
    assert names["runtime_lib.data.periods.months"] == "runtime_lib.data.months.months"
    assert names["runtime_lib.settings.load"] == "runtime_lib.settings.load"
    assert len(names) >= 35


# ---------------------------------------------------------------- the list itself

PROMISED = listed(REPOSITORY / "docs/api.md")


@pytest.mark.parametrize("name", PROMISED)
def test_a_listed_name_is_there_and_documented(name):
    module, _, last = name.rpartition(".")
    found = getattr(import_module(module), last)
    assert last == "__version__" or inspect.getdoc(found), f"{name} has no docstring"


def test_every_error_is_listed():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    wanted = {f"runtime_lib.errors.{kind.__name__}" for kind in kinds if issubclass(kind, MlopsError)}
    assert wanted == {name for name in PROMISED if name.startswith("runtime_lib.errors.")}


def unlisted(python: str) -> set[str]:
    """The names of the library that a source uses and that are neither listed nor on the way to one."""
    places = Reader(ast.parse(python)).places()
    used = {place.replace(":", ".").rstrip(".") for _, place in places}
    return {
        name
        for name in used
        if not any(f"{name}.".startswith(f"{p}.") or f"{p}.".startswith(f"{name}.") for p in PROMISED)
    }


def test_the_template_uses_listed_names_alone(render):
    sources = [path.read_text() for path in render(tier="standard").rglob("*.py")]
    assert sum("runtime_lib" in source for source in sources) > 5
    assert set().union(*map(unlisted, sources)) == set()
    assert unlisted("from runtime_lib.data import months\nmonths.split, months.weeks") == {
        "runtime_lib.data.months.weeks"
    }


def test_the_docs_show_listed_names_alone(render):
    pages = [
        *(REPOSITORY / "docs").glob("*.md"),
        REPOSITORY / "README.md",
        *render(tier="standard").rglob("*.md"),
    ]
    found: dict[str, set[str]] = {}
    for page in pages:
        for block in re.findall(
            r"^ *```python\n(.*?)^ *```", page.read_text(), flags=re.MULTILINE | re.DOTALL
        ):
            found[page.name] = found.get(page.name, set()) | unlisted(dedent(block))
    assert len(found) >= 4
    assert {page: names for page, names in found.items() if names} == {}


def test_what_a_project_cannot_notice_is_no_break(mutate):
    new = mutate(
        "new",
        ("settings/tables.py", "port: Port = 8000", "port: Port = 9000"),
        ("settings/tables.py", "max_rows: Annotated[int, msgspec.Meta(ge=1)]", "max_rows: int"),
        (
            "settings/tables.py",
            'framework: Literal["auto", "mlx", "torch"] = "auto"\n\n',
            "framework: str = ''\n\n",
        ),
        ("training/model.py", "def digest(", "def fingerprint("),
        (
            "data/calendar.py",
            "def months(first: str, last: str)",
            "def months(first: str, last: str, step: int = 1)",
        ),
    )
    assert breaking(REPOSITORY, new) == []


def test_a_constructor_with_private_parameters_is_the_librarys_own(mutate):
    fields = "    module: str\n", "    module: str\n    _made_by: str\n"
    old = mutate("old", ("training/network.py", *fields))
    new = mutate("new", ("training/network.py", fields[0], "    module: str\n    by: str\n"))
    name = "runtime_lib.training.network.Architecture"
    assert breaking(old, new) == []
    assert f"{name}.__init__: parameter was added as required 'by'" in breaking(REPOSITORY, new)


def removing_promote(mutate, *, announced: bool) -> tuple[Path, Path]:
    start = "from __future__ import annotations\n"
    marked = [
        ("registry/register.py", start, f"{start}from typing_extensions import deprecated\n"),
        ("registry/register.py", "def register(", f"{DEPRECATED}def register("),
    ]
    old = mutate("old", *(marked if announced else []))
    return old, mutate("new", ("registry/register.py", "def register(", "def enter("))


NAMES = {"runtime_lib.registry.register.register": "nothing"}


def test_a_removal_that_was_announced_is_accepted(mutate):
    old, new = removing_promote(mutate, announced=True)
    assert breaking(old, new, migrations=[Migration("0.3.0", names=NAMES)]) == []


@pytest.mark.parametrize(("announced", "names"), [(True, {}), (False, NAMES), (False, {})])
def test_half_an_announcement_is_none(mutate, announced, names):
    old, new = removing_promote(mutate, announced=announced)
    reported = breaking(old, new, migrations=[Migration("0.3.0", names=names)])
    assert reported == ["runtime_lib.registry.register.register: removed"]


@pytest.mark.parametrize(
    ("until", "settings", "accepted"),
    [
        ("0.5", {"monitoring.max_drop": "monitoring.max_loss"}, True),
        ("0.4", {"monitoring.max_drop": "monitoring.max_loss"}, False),
        ("0.5", {}, False),
    ],
)
def test_a_setting_is_renamed_with_a_minor_version_of_notice(mutate, until, settings, accepted):
    new = mutate(
        "new",
        ("settings/tables.py", "    max_drop: Share", "    max_loss: Share"),
        (
            "settings/tables.py",
            "RENAMED: Mapping[str, Moved] = {}",
            f'RENAMED = {{"monitoring.max_drop": Moved("monitoring.max_loss", "{until}")}}',
        ),
    )
    reported = breaking(REPOSITORY, new, version="0.4.0", migrations=[Migration("0.4.0", settings=settings)])
    assert reported == ([] if accepted else ["monitoring.max_drop: the setting was removed"])


def test_settings_that_are_renamed_are_rewritten_in_projects_too():
    moved = {old: new for migration in MIGRATIONS for old, new in migration.settings.items()}
    assert {old: moved.get(old) for old in RENAMED} == {old: new for old, (new, _) in RENAMED.items()}
