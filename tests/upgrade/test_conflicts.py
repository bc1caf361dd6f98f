"""Where both sides changed the same lines: the files say so, and the user finishes or gives up."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.apply import Checks, abort, finish, journal, upgrade
from runtime_lib.upgrade.repository import Repository
from tests.support import scene
from tests.support.depth import examples
from tests.support.releases import RELEASES, commit, git
from tests.support.scene import state

FIRST = f"v{RELEASES[0][0]}" if RELEASES else ""
NOTHING = Checks(lock=False, tests=False)
KILLS = examples(3, 10)
RENAMED = "src/late_flights/steps.py"


@pytest.fixture(scope="module")
def edited(line, tmp_path_factory) -> Path:
    """Edits in the way of the release after next: of a file that it changes, of one that it renames."""
    project = scene.make(line.folder, FIRST, tmp_path_factory.mktemp("edited") / "project")
    scene.replace(project / "params.yaml", "batch_size: 1024", "batch_size: 64")
    scene.replace(
        project / "src/late_flights/stages.py", '"""Train the candidate."""', '"""Train it my way."""'
    )
    commit(project, "Mine")
    return project


@pytest.fixture
def project(edited, tmp_path) -> Path:
    return scene.copy(edited, tmp_path / "project")


@pytest.fixture(scope="module")
def waiting(line, edited, tmp_path_factory) -> Path:
    """Where the upgrade has stopped for its owner to resolve the conflicts."""
    project = scene.copy(edited, tmp_path_factory.mktemp("waiting") / "project")
    done = scene.upgrade(project, "--to", line.next, code=line.folder)
    assert done.returncode == 4, done.stderr
    assert f"2 file(s) have conflicts: params.yaml, {RENAMED}." in done.stdout
    assert "mlops upgrade --finish" in done.stdout
    return project


@pytest.fixture
def stopped(waiting, tmp_path) -> Path:
    return scene.copy(waiting, tmp_path / "project")


def resolve(project: Path) -> None:
    """Take the user's side in each."""
    for path in ("params.yaml", RENAMED):
        lines, side = [], ""
        for row in (project / path).read_text().splitlines(keepends=True):
            mark = row[:7]
            side = {"<<<<<<<": "mine", "|||||||": "base", "=======": "theirs"}.get(mark, side)
            if mark == ">>>>>>>":
                side = ""
            elif side in ("", "mine") and mark != "<<<<<<<":
                lines.append(row)
        (project / path).write_text("".join(lines))


def check_finished(project: Path, before: str) -> None:
    assert git(project, "rev-list", f"{before}..HEAD", "--count") == "1"
    assert git(project, "status", "--porcelain", "--branch") == "## main"
    assert journal(project) is None
    assert "batch_size: 64" in (project / "params.yaml").read_text()
    assert "Train it my way" in (project / RENAMED).read_text()
    assert not (project / "src/late_flights/stages.py").exists()


def run_finish(project: Path) -> subprocess.CompletedProcess[str]:
    return scene.upgrade(project, "--finish")


def test_the_conflicts_stand_in_the_files_and_in_gits_index(stopped):
    head = git(stopped, "rev-parse", "HEAD")
    for path, mine, theirs in (
        ("params.yaml", "batch_size: 64", "batch_size: 1025"),
        (RENAMED, "Train it my way", "Train the candidate, once more"),
    ):
        text = (stopped / path).read_text()
        assert "<<<<<<< yours\n" in text
        assert ">>>>>>> the template now\n" in text
        assert mine in text
        assert theirs in text
        stages = [row.split()[2] for row in git(stopped, "ls-files", "--unmerged", path).splitlines()]
        assert stages == ["1", "2", "3"]
        assert mine in git(stopped, "show", f":2:{path}")
        assert theirs in git(stopped, "show", f":3:{path}")
    assert not (stopped / "AGENTS.md").exists()  # what merged without conflict is there as well
    waiting = journal(stopped)
    assert (waiting["before"], waiting["conflicts"]) == (head, ["params.yaml", RENAMED])


def test_files_with_another_time_are_not_edited_ones(line, project):
    """As after a checkout from a backup: only their content counts."""
    for path in project.rglob("*.*"):
        os.utime(path, (0, 0))
    assert scene.upgrade(project, "--to", line.next, code=line.folder).returncode == 4


def test_neither_a_second_upgrade_nor_an_early_finish(line, stopped):
    before = state(stopped)
    again = scene.upgrade(stopped, "--to", line.next, code=line.folder)
    assert again.returncode == 1
    assert "--finish`; or undo it with `--abort`" in again.stderr
    early = run_finish(stopped)
    assert early.returncode == 1
    assert "params.yaml" in early.stderr
    assert RENAMED in early.stderr
    assert state(stopped) == before


def test_one_marker_left_is_enough_to_refuse(stopped):
    text = (stopped / RENAMED).read_text()
    resolve(stopped)
    (stopped / RENAMED).write_text(text)
    with pytest.raises(UpgradeError, match=RENAMED) as raised:
        finish(stopped, checks=NOTHING)
    assert "params.yaml" not in str(raised.value)


@pytest.mark.parametrize("added", [False, True], ids=["edited", "added to the index"])
def test_after_resolving_one_commit_holds_it_all(line, stopped, added):
    before = git(stopped, "rev-parse", "HEAD")
    resolve(stopped)
    scene.write(stopped, {"note.md": b"Written meanwhile\n", "aside.md": b"Not for git\n"})
    (stopped / RENAMED).chmod(0o755)
    git(stopped, "add", "note.md")
    if added:
        git(stopped, "add", "--update")
    done = run_finish(stopped)
    assert done.returncode == 0, done.stderr
    assert git(stopped, "status", "--porcelain") == "?? aside.md"
    (stopped / "aside.md").unlink()
    check_finished(stopped, before)
    assert "100755" in git(stopped, "ls-tree", "HEAD", RENAMED)
    assert git(stopped, "show", "HEAD:note.md") == "Written meanwhile"
    assert git(stopped, "log", "-1", "--format=%s") == f"Take version {line.next} of the template"
    with pytest.raises(UpgradeError, match="No upgrade is waiting"):
        finish(stopped, checks=NOTHING)


def test_a_file_may_be_deleted_to_resolve_it(stopped):
    resolve(stopped)
    (stopped / "params.yaml").unlink()
    finish(stopped, checks=NOTHING)
    assert git(stopped, "ls-tree", "HEAD", "params.yaml") == ""
    assert git(stopped, "status", "--porcelain") == ""


def test_giving_up_brings_everything_back(line, project):
    """Also the file that was renamed, the ones that went, and none of those that came."""
    before = state(project)
    assert scene.upgrade(project, "--to", line.next, code=line.folder).returncode == 4
    assert state(project) != before
    assert (project / "docs_alerts.md").is_file()
    done = scene.upgrade(project, "--abort")
    assert done.returncode == 0, done.stderr
    assert state(project) == before
    with pytest.raises(UpgradeError, match="No upgrade is waiting"):
        abort(project)


def test_giving_up_half_resolved_keeps_files_of_the_users(line, project):
    before = state(project)
    scene.upgrade(project, "--to", line.next, code=line.folder)
    resolve(project)
    git(project, "add", "params.yaml")
    notes = {"note.md": b"Written meanwhile\n", "staged.md": b"Written and added\n"}
    scene.write(project, notes)
    git(project, "add", "staged.md")
    # A file that the upgrade does not touch: git has no copy of this line.
    edited = project / "src" / "late_flights" / "features.py"
    features = edited.read_bytes()
    edited.write_bytes(features + b"# Mine, and not yet in git.\n")
    abort(project)
    assert edited.read_bytes() == features + b"# Mine, and not yet in git.\n"
    edited.write_bytes(features)
    for path, content in notes.items():
        assert (project / path).read_bytes() == content
    git(project, "rm", "--quiet", "--force", "staged.md")
    (project / "note.md").unlink()
    assert state(project) == before


def test_after_giving_up_it_may_start_again(line, project):
    for _ in range(2):
        assert scene.upgrade(project, "--to", line.next, code=line.folder).returncode == 4
        abort(project)


def test_a_commit_by_hand_is_taken_for_the_upgrades(stopped):
    """`git commit -a` is how a merge ends, so some will end this one so."""
    before = git(stopped, "rev-parse", "HEAD")
    resolve(stopped)
    commit(stopped, "By hand")
    with pytest.raises(UpgradeError, match="committed since"):
        abort(stopped)
    assert finish(stopped, checks=NOTHING) == git(stopped, "rev-parse", "HEAD")
    check_finished(stopped, before)
    assert git(stopped, "log", "-1", "--format=%s") == "By hand"


def test_a_commit_of_something_else_in_between(stopped):
    before = git(stopped, "rev-parse", "HEAD")
    resolve(stopped)
    git(stopped, "add", "--all")
    scene.write(stopped, {"note.md": b"Mine\n"})
    git(stopped, "add", "note.md")
    git(stopped, "commit", "--quiet", "--message", "By hand")
    scene.write(stopped, {"more.md": b"Mine\n"})
    git(stopped, "add", "more.md")
    finish(stopped, checks=NOTHING)
    assert git(stopped, "rev-list", f"{before}..HEAD", "--count") == "2"
    assert git(stopped, "status", "--porcelain") == ""


def test_in_a_folder_of_a_larger_repository(line, project, tmp_path):
    top = tmp_path / "top"
    scene.write(top / "flights", scene.files(project))
    scene.write(top, {"other/a.txt": b"a\n"})
    scene.start_git(top)
    before = commit(top, "All")
    (top / "other/a.txt").write_text("changed\n")
    scene.write(top, {"other/new.txt": b"new\n"})
    git(top, "add", "other/new.txt")
    dirty = git(top, "status", "--porcelain")
    for step in ("--abort", "--finish"):
        assert scene.upgrade(top / "flights", "--to", line.next, code=line.folder).returncode == 4
        assert "flights/params.yaml" in git(top, "ls-files", "--unmerged")
        if step == "--finish":
            resolve(top / "flights")
        done = scene.upgrade(top / "flights", step)
        assert done.returncode == 0, done.stderr
        assert git(top, "status", "--porcelain") == dirty
    touched = git(top, "diff", "--name-only", before, "HEAD").splitlines()
    assert {name.startswith("flights/") for name in touched} == {True}
    assert git(top, "rev-list", f"{before}..HEAD", "--count") == "1"


def test_a_project_without_gits_knowledge_of_its_author(stopped):
    """The stop is over only when a commit is made; until then the conflicts are still there to see."""
    resolve(stopped)
    git(stopped, "config", "--unset", "user.name")
    git(stopped, "config", "user.useConfigOnly", "true")
    nobody = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    done = scene.upgrade(stopped, "--finish", **nobody)
    assert done.returncode == 1
    assert journal(stopped) is not None
    git(stopped, "config", "user.name", "Owner")
    assert run_finish(stopped).returncode == 0


def test_an_upgrade_after_one_with_conflicts_changes_nothing(line, stopped):
    """What was resolved is part of the project, not a difference that conflicts again and again."""
    resolve(stopped)
    finish(stopped, checks=NOTHING)
    done = scene.upgrade(stopped, "--to", line.next, code=line.folder)
    assert done.returncode == 0, done.stderr
    assert "Nothing to change" in done.stdout


@pytest.mark.parametrize("step", ["--abort", "--finish"])
def test_interrupted_before_the_conflicts_are_written(line, project, monkeypatch, step):
    """The journal comes first. Without the files, finishing would be an upgrade that changes nothing."""
    before = state(project)

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    conflict = "learning_rate: 0.5"
    text = (project / "params.yaml").read_text().splitlines()
    (project / "params.yaml").write_text(
        "\n".join(conflict.rjust(len(conflict) + 2) if "learning_rate" in row else row for row in text) + "\n"
    )
    commit(project, "More of mine")
    before = state(project)
    with monkeypatch.context() as patched:
        patched.setattr(Repository, "unstoppable", end)
        with pytest.raises(KeyboardInterrupt):
            upgrade(project, ref=line.head, checks=NOTHING)
    if step == "--finish":
        with pytest.raises(UpgradeError, match=r"interrupted.*--abort"):
            finish(project, checks=NOTHING)
    abort(project)
    assert state(project) == before


def test_giving_up_reads_without_a_lock(stopped, monkeypatch):
    """`git diff` refreshes an index whose times are old; killed at that, it leaves index.lock for ever."""
    for path in scene.files(stopped):
        os.utime(stopped / path, (0, 0))
    index = (stopped / ".git/index").read_bytes()

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Repository, "unstoppable", end)
    with pytest.raises(KeyboardInterrupt):
        abort(stopped)
    assert (stopped / ".git/index").read_bytes() == index


@pytest.mark.slow
@pytest.mark.parametrize("step", ["--abort", "--finish"])
def test_killed_while_it_writes_the_conflicts(line, project, tmp_path, step):
    """At moments around the stop: giving up always works, finishing where it is offered."""
    start = time.monotonic()
    whole = scene.copy(project, tmp_path / "whole")
    assert scene.upgrade(whole, "--to", line.next, code=line.folder).returncode == 4
    took = time.monotonic() - start
    for number in range(KILLS):
        one = scene.copy(project, tmp_path / f"{step}{number}")
        before = state(one)
        kill_after(one, took * (0.75 + 0.3 * number / KILLS), line)
        if journal(one) is None:
            assert state(one) == before
            continue
        if step == "--finish" and journal(one)["written"]:
            resolve(one)
            finish(one, checks=NOTHING)
            check_finished(one, before["head"])
        else:
            abort(one)
            assert state(one) == before


def kill_after(project: Path, seconds: float, line, *words: str) -> None:
    process = subprocess.Popen(
        scene.command(*(words or ("--to", line.next))),
        cwd=project,
        env=scene.variables_for(line.folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 20
    while list((project / ".git").glob("**/*.lock")):  # of git's own step, which goes on
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["--abort", "--finish"])
def test_killed_on_the_way_out(line, stopped, tmp_path, step):
    """Giving up and finishing write to the project as well: killed at any moment, the next try ends it."""
    before = git(stopped, "rev-parse", "HEAD")
    resolve(stopped)
    whole = scene.copy(stopped, tmp_path / "whole")
    start = time.monotonic()
    assert scene.upgrade(whole, step).returncode == 0
    took = time.monotonic() - start
    for number in range(KILLS):
        one = scene.copy(stopped, tmp_path / str(number))
        kill_after(one, took * (0.4 + 0.6 * number / KILLS), line, step)
        if journal(one) is not None:
            done = scene.upgrade(one, step)
            assert done.returncode == 0, done.stderr
        assert scene.files(one) == scene.files(whole)
        assert git(one, "rev-parse", "HEAD^{tree}") == git(whole, "rev-parse", "HEAD^{tree}")
        assert git(one, "status", "--porcelain") == ""
        assert git(one, "rev-list", f"{before}..HEAD", "--count") == ("1" if step == "--finish" else "0")
