"""Nothing that projects of the last release use is gone or changed without having been announced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runtime_lib.settings import RENAMED
from runtime_lib.upgrade.migrations import MIGRATIONS, Migration
from tests.support.compatibility import breaking
from tests.support.depth import DEEP
from tests.support.releases import RELEASES, REPOSITORY, library_at

DEPRECATED = '@deprecated("use nothing; goes in 0.4")\n'


@pytest.fixture
def mutate(tmp_path):
    """Copy the library as it is, with `(file, text, other text)` exchanged."""

    def copy(name: str, *changes: tuple[str, str, str]) -> Path:
        shutil.copytree(REPOSITORY / "runtime_lib", tmp_path / name / "runtime_lib")
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
    ("file", "text", "other", "told"),
    [
        ("training/model.py", "def digest(", "def _digest(", "runtime_lib.training.model.digest: removed"),
        (
            "training/model.py",
            '__all__ = ["Model", "digest", ',
            '__all__ = ["Model", ',
            "runtime_lib.training.model.digest: removed from __all__",
        ),
        (
            "hardware/__init__.py",
            '"choose_device", ',
            "",
            "runtime_lib.hardware.choose_device: removed from __all__",
        ),
        (
            "data/periods.py",
            "def months(first: str, last: str)",
            "def months(last: str, first: str)",
            "runtime_lib.data.months.months: positional parameter was moved 'first'",
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
        ("cli/app.py", '"--open"', '"--show"', "mlops monitor --open: removed"),
    ],
)
def test_a_break_is_told(mutate, file, text, other, told):
    assert told in breaking(REPOSITORY, mutate("new", (file, text, other)))


def test_a_module_goes_with_all_its_names(mutate):
    new = mutate("new", ("training/stages.py", "from runtime_lib.task.binary import binary_metrics\n", ""))
    (new / "runtime_lib/task/binary.py").unlink()
    assert breaking(REPOSITORY, new) == [
        "runtime_lib.task.binary: removed",
        "runtime_lib.task.binary.binary_metrics: removed",
    ]


def test_a_name_that_moved_is_compared_where_it_went(mutate):
    new = mutate("new")
    metrics = new / "runtime_lib/task/binary.py"
    text = metrics.read_text()
    metrics.with_name("figures.py").write_text(
        text.replace("def binary_metrics(", "def binary_metrics(names: str, ")
    )
    metrics.write_text(
        'from runtime_lib.training.figures import binary_metrics\n\n__all__ = ["binary_metrics"]\n'
    )
    told = "runtime_lib.training.figures.binary_metrics: parameter was added as required 'names'"
    assert told in breaking(REPOSITORY, new)


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
        ("training/model.py", "def _read_weights(", "def _other("),
        ("training/model.py", "_read_weights(folder, config", "_other(folder, config"),
        (
            "data/periods.py",
            "def months(first: str, last: str)",
            "def months(first: str, last: str, step: int = 1)",
        ),
    )
    assert breaking(REPOSITORY, new) == []


def removing_digest(mutate, *, announced: bool) -> tuple[Path, Path]:
    start = "from __future__ import annotations\n"
    marked = [
        ("training/model.py", start, f"{start}from typing_extensions import deprecated\n"),
        ("training/model.py", "def digest(", f"{DEPRECATED}def digest("),
    ]
    old = mutate("old", *(marked if announced else []))
    return old, mutate("new", ("training/model.py", "def digest(", "def _digest("))


NAMES = {"runtime_lib.training.model.digest": "nothing"}


def test_a_removal_that_was_announced_is_accepted(mutate):
    old, new = removing_digest(mutate, announced=True)
    assert breaking(old, new, migrations=[Migration("0.3.0", names=NAMES)]) == []


@pytest.mark.parametrize(("announced", "names"), [(True, {}), (False, NAMES), (False, {})])
def test_half_an_announcement_is_none(mutate, announced, names):
    old, new = removing_digest(mutate, announced=announced)
    told = breaking(old, new, migrations=[Migration("0.3.0", names=names)])
    assert told == ["runtime_lib.training.model.digest: removed"]


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
    told = breaking(REPOSITORY, new, version="0.4.0", migrations=[Migration("0.4.0", settings=settings)])
    assert told == ([] if accepted else ["monitoring.max_drop: the setting was removed"])


def test_settings_that_are_renamed_are_rewritten_in_projects_too():
    moved = {old: new for migration in MIGRATIONS for old, new in migration.settings.items()}
    assert {old: moved.get(old) for old in RENAMED} == {old: new for old, (new, _) in RENAMED.items()}
