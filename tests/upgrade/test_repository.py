"""What `mlops upgrade` leaves behind, what it refuses, and what of the user's repository it lets be."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from runtime_lib.errors import UpgradeError
from runtime_lib.settings import load
from runtime_lib.upgrade.apply import Checks, finish, upgrade
from runtime_lib.upgrade.plan import make_plan
from tests.support import scene
from tests.support.releases import RELEASES, commit, git
from tests.support.scene import state

FIRST = f"v{RELEASES[0][0]}" if RELEASES else ""
NOTHING = Checks(lock=False, tests=False)


@pytest.fixture
def project(line, tmp_path) -> Path:
    return scene.make(line.folder, FIRST, tmp_path / "project")


def take(project: Path, line, **data: object) -> dict[str, str]:
    plan = upgrade(project, ref=line.head, data=data, checks=NOTHING)
    return {change.path: change.kind for change in plan.changes}


def check_refused(project: Path, line, words: str, **data: object) -> None:
    """It says why, and all is as it was."""
    before = state(project)
    with pytest.raises(UpgradeError, match=words):
        take(project, line, **data)
    assert state(project) == before


# ---------------------------------------------------------------- what a user sees


def test_files_with_odd_names_are_kept(line, project):
    odd = ("\nfirst of all", "last\n", " a space", "a\ttab", "größer", '"quoted"')
    for name in odd:
        (project / name).write_text(f"mine: {name}")
    commit(project, "Odd names")
    take(project, line)
    assert {name: (project / name).read_text() for name in odd} == {name: f"mine: {name}" for name in odd}
    assert git(project, "status", "--porcelain") == ""


def test_one_commit_with_the_report_in_its_message(line, project, own_cache):
    with (project / "AGENTS.md").open("a") as file:
        file.write("- Mine.\n")
    commit(project, "Mine")
    before = git(project, "rev-parse", "HEAD")
    done = scene.upgrade(project, "--to", line.next, "--json", code=line.folder)
    assert done.returncode == 0, done.stderr
    files = {file["path"]: file for file in json.loads(done.stdout)["files"]}
    assert (files["AGENTS.md"]["kind"], files["AGENTS.md"]["reason"]) == ("kept", "deleted")
    assert git(project, "rev-list", f"{before}..HEAD", "--count") == "1"
    assert git(project, "log", "-1", "--format=%an <%ae>") == "Owner <owner@example.org>"
    message = git(project, "log", "-1", "--format=%B")
    assert "kept      AGENTS.md (deleted by the new version)" in message
    assert git(project, "status", "--porcelain", "--branch") == "## main"
    assert [path for path in own_cache.iterdir() if path.name.endswith(".tmp")] == []


def test_a_second_upgrade_changes_nothing(line, project):
    take(project, line)
    before = state(project)
    assert take(project, line) == {}
    assert state(project) == before


def test_the_plan_says_it_all_and_writes_nothing(line, project):
    before = state(project)
    done = scene.upgrade(project, "--plan", "--to", line.next, code=line.folder, aside=())
    assert done.returncode == 0, done.stderr
    words = ("steps.py", "was src/late_flights/stages.py", "deleted", "AGENTS.md", "with_alerts=true")
    missing = [word for word in (*words, "registry.max_loss", "Alerts.") if word not in done.stdout]
    assert missing == [], done.stdout
    assert state(project) == before


def test_the_plan_is_what_happens(line, project):
    with (project / "params.yaml").open("a") as file:
        file.write("# Mine\n")
    commit(project, "Mine")
    plan = make_plan(project, ref=line.head)
    done = upgrade(project, ref=line.head, checks=NOTHING)
    assert plan.to_dict() == done.to_dict()


def test_a_new_question_takes_the_answer_given(line, project):
    done = scene.upgrade(project, "--to", line.next, "-d", "with_alerts=false", code=line.folder)
    assert done.returncode == 0, done.stderr
    assert "with_alerts: false" in (project / ".copier-answers.yml").read_text()
    assert (project / "docs_alerts.md").read_text() == "Alerts: False.\n"


def test_an_answer_alone_may_change(line, tmp_path):
    project = scene.make(line.folder, line.head, tmp_path / "project")
    kinds = take(project, line, with_monitoring=False)
    assert scene.files(project) == scene.rendered(
        line.folder, line.head, "default", (("with_monitoring", False),)
    )
    assert kinds["mlops.toml"] == "changed"
    assert load(project).monitoring is not None


# ---------------------------------------------------------------- what is refused


def test_a_tree_with_changes(line, project):
    (project / "README.md").write_text("changed\n")
    (project / "new.txt").write_text("new\n")
    git(project, "rm", "--quiet", "--cached", "LICENSE")
    check_refused(project, line, r"(?s)LICENSE.*README\.md.*new\.txt.*git stash -u")


def test_no_name_to_commit_under(line, project):
    before = state(project)
    git(project, "config", "--unset", "user.name")
    git(project, "config", "--unset", "user.email")
    git(project, "config", "user.useConfigOnly", "true")
    nobody = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "EMAIL": ""}
    done = scene.upgrade(project, "--to", line.next, code=line.folder, **nobody)
    assert done.returncode == 1
    assert "git config user.name" in done.stderr
    assert state(project) == before


def test_an_older_version(line, tmp_path):
    project = scene.make(line.folder, line.head, tmp_path / "project")
    before = state(project)
    done = scene.upgrade(project, "--to", FIRST, code=line.folder)
    assert done.returncode == 1
    assert f"follows {line.head}; {FIRST} is older" in done.stderr
    assert state(project) == before


def test_an_unknown_question(line, project):
    check_refused(project, line, "asks no question 'with_servin'.*Did you mean 'with_serving'", with_servin=1)


@pytest.mark.parametrize(
    "answer", [{"tier": "enterprise"}, {"framework": "jax"}, {"project_name": "No Name"}]
)
def test_an_answer_that_the_template_refuses(line, project, answer):
    check_refused(
        project, line, f"refuses an answer.*({next(iter(answer))}|{next(iter(answer.values()))})", **answer
    )


def test_a_version_that_does_not_exist(line, project):
    before = state(project)
    with pytest.raises(UpgradeError, match=r"v99\.0\.0 cannot be reached: Unknown revision"):
        upgrade(project, ref="v99.0.0", checks=NOTHING)
    assert state(project) == before


def test_a_template_that_is_gone(line, project):
    scene.replace(project / ".copier-answers.yml", str(line.folder), str(line.folder.parent / "gone"))
    commit(project, "Moved")
    check_refused(project, line, "cannot be reached")


def test_outside_git(line, tmp_path):
    scene.write(tmp_path / "project", scene.rendered(line.folder, FIRST, "default"))
    with pytest.raises(UpgradeError, match="not in a git repository"):
        take(tmp_path / "project", line)


def test_a_run_of_the_pipeline_under_way(line, project):
    from runtime_lib.pipeline.run_lock import hold

    before = state(project)
    with hold(project / "var/run.lock"):
        done = scene.upgrade(project, "--to", line.next, code=line.folder)
    assert done.returncode != 0
    assert "Another run or an upgrade is under way" in done.stderr
    assert state(project) == before


# ---------------------------------------------------------------- what is in the way

NEW = ".github/workflows/update.yml"  # came with 0.2.0


@pytest.mark.parametrize("conflict", [False, True], ids=["clean", "conflict"])
def test_an_ignored_file_in_the_way_of_a_new_one_stays(line, project, conflict):
    """Git has no copy of it, so nobody could bring it back."""
    with (project / ".gitignore").open("a") as file:
        file.write("update.yml\n")
    if conflict:
        text = (project / "params.yaml").read_text()
        (project / "params.yaml").write_text(text.replace("learning_rate: ", "learning_rate: 9"))
    commit(project, "Mine")
    (project / NEW).write_text("the only copy\n")
    check_refused(project, line, f"would be overwritten.*{NEW}")
    assert (project / NEW).read_text() == "the only copy\n"


def test_a_file_in_place_of_a_folder(line, project):
    git(project, "rm", "-r", "--quiet", ".github")
    (project / ".github").write_text("a file\n")
    commit(project, "Mine")
    check_refused(project, line, r"would be overwritten.*\.github")


def test_a_folder_in_place_of_a_file(line, project):
    scene.write(project, {f"{NEW}/keep.txt": b"mine\n"})
    commit(project, "Mine")
    check_refused(project, line, f"would be overwritten.*{NEW}")


def test_a_link_to_a_place_outside(line, project, tmp_path):
    """The merge is written to a copy of the project; through such a link it would reach the original."""
    shared = tmp_path / "shared.md"
    shared.write_bytes((project / "README.md").read_bytes())
    before = shared.read_bytes()
    (project / "README.md").unlink()
    (project / "README.md").symlink_to(shared)
    commit(project, "A shared page")
    check_refused(project, line, "README.md is a link to a place outside")
    assert shared.read_bytes() == before


def test_a_link_inside_is_followed(line, project):
    scene.write(project, {"docs/readme.md": (project / "README.md").read_bytes()})
    (project / "README.md").unlink()
    (project / "README.md").symlink_to("docs/readme.md")
    commit(project, "Pages have one place")
    take(project, line)
    expected = scene.renewed(line.folder, FIRST, line.head, "default")["README.md"]
    assert (project / "docs/readme.md").read_bytes() == expected
    assert (project / "README.md").is_symlink()
    assert git(project, "status", "--porcelain") == ""


# ---------------------------------------------------------------- what it lets be


def test_a_folder_of_a_larger_repository(line, tmp_path):
    """Next to it there is work in progress, some of it staged; none of it is touched or committed."""
    top = tmp_path / "top"
    scene.write(top, {"other/a.txt": b"a\n", "other/b.txt": b"b\n", "README.md": b"Ours\n"})
    scene.start_git(top)
    project = top / "teams/flights"
    scene.write(project, scene.rendered(line.folder, FIRST, "default"))
    before = commit(top, "All")
    (top / "other/a.txt").write_text("changed\n")
    (top / "other/b.txt").write_text("staged\n")
    (top / "other/new.txt").write_text("new\n")
    git(top, "add", "other/b.txt")
    dirty = git(top, "status", "--porcelain")
    take(project, line)
    assert scene.files(project) == scene.renewed(line.folder, FIRST, line.head, "default")
    assert git(top, "status", "--porcelain") == dirty
    assert git(top, "rev-list", f"{before}..HEAD", "--count") == "1"
    touched = git(top, "diff", "--name-only", "HEAD^", "HEAD").splitlines()
    assert {name.startswith("teams/flights/") for name in touched} == {True}


def test_another_project_of_the_same_repository_may_wait(line, tmp_path):
    top = tmp_path / "top"
    for name in ("one", "two"):
        scene.write(top / name, scene.rendered(line.folder, FIRST, "default"))
    params = top / "one/params.yaml"
    params.write_text(params.read_text().replace("learning_rate: ", "learning_rate: 9"))
    scene.start_git(top)
    commit(top, "Both")
    first = upgrade(top / "one", ref=line.head, checks=NOTHING)
    assert first.conflicts == ["params.yaml"]
    # Git commits nothing while any file of the repository is unmerged, and says so.
    before = git(top, "status", "--porcelain")
    with pytest.raises(UpgradeError, match="git could not bring the project to its new state"):
        take(top / "two", line)
    assert git(top, "status", "--porcelain") == before


def test_a_detached_head(line, project):
    git(project, "checkout", "--quiet", "--detach")
    take(project, line)
    assert git(project, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert git(project, "rev-list", "main..HEAD", "--count") == "1"
    assert git(project, "status", "--porcelain") == ""


def test_a_second_working_tree(line, project, tmp_path):
    git(project, "worktree", "add", "--quiet", "-b", "try", str(tmp_path / "second"))
    before = git(project, "rev-parse", "main")
    take(tmp_path / "second", line)
    expected = scene.renewed(line.folder, FIRST, line.head, "default")
    assert scene.files(tmp_path / "second").items() >= expected.items()
    assert git(project, "rev-parse", "main") == before
    assert git(project, "status", "--porcelain") == ""


def test_hooks_that_fail(line, project):
    """The commit is made of tested files; a hook has no say, and cannot leave half of it."""
    for name in ("pre-commit", "commit-msg", "prepare-commit-msg", "pre-merge-commit", "post-merge"):
        hook = project / ".git/hooks" / name
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    take(project, line)
    assert git(project, "status", "--porcelain", "--branch") == "## main"


def test_lines_as_on_windows(line, project):
    (project / ".gitattributes").write_text("* text=auto eol=crlf\n*.zip binary\n")
    commit(project, "Mine")
    git(project, "rm", "-r", "--quiet", "--cached", ".")
    git(project, "reset", "--quiet", "--hard")
    assert b"\r\n" in (project / "README.md").read_bytes()
    kinds = take(project, line)
    assert set(kinds.values()) <= {"added", "changed", "deleted", "moved", "migrated"}
    assert git(project, "status", "--porcelain") == ""
    expected = scene.renewed(line.folder, FIRST, line.head, "default")
    stored = {path: git(project, "show", f"HEAD:{path}") for path in expected}
    assert stored == {path: content.decode().strip() for path, content in expected.items()}
    assert b"\r\n" in (project / "README.md").read_bytes()


def test_filters_and_files_that_archives_leave_out(line, project):
    """Git hands files out through a filter, as LFS does; `export-ignore` is for archives."""
    git(project, "config", "filter.upper.clean", "tr A-Z a-z")
    git(project, "config", "filter.upper.smudge", "tr a-z A-Z")
    (project / ".gitattributes").write_text(
        "*.big filter=upper\nREADME.md export-ignore\ntests export-ignore\n"
    )
    scene.write(project, {"data.big": b"STORED SMALL\n"})
    commit(project, "Mine")
    assert git(project, "show", "HEAD:data.big") == "stored small"
    take(project, line)
    assert scene.files(project).items() >= scene.renewed(line.folder, FIRST, line.head, "default").items()
    assert (project / "data.big").read_bytes() == b"STORED SMALL\n"
    assert git(project, "show", "HEAD:data.big") == "stored small"
    assert git(project, "status", "--porcelain") == ""


def test_modes_links_and_names_of_the_users(line, project):
    """Own files with an executable bit, a name that is not UTF-8, a link to nowhere: all as they were."""
    (project / "src/late_flights/stages.py").chmod(0o755)
    scene.write(project, {"tool.sh": b"#!/bin/sh\n", "with space/and ünïcode.txt": b"x\n"})
    (project / "tool.sh").chmod(0o755)
    (project / "nowhere").symlink_to("/does/not/exist")
    latin = os.fsencode(project) + b"/caf\xe9.txt"
    Path(os.fsdecode(latin)).write_bytes(b"latin\n")
    commit(project, "Mine")
    done = scene.upgrade(project, "--to", line.next, code=line.folder)
    assert done.returncode == 0, done.stderr
    moved = project / "src/late_flights/steps.py"
    assert moved.stat().st_mode & stat.S_IXUSR
    assert (project / "tool.sh").stat().st_mode & stat.S_IXUSR
    assert (project / "nowhere").is_symlink()
    assert Path(os.fsdecode(latin)).read_bytes() == b"latin\n"
    assert git(project, "status", "--porcelain") == ""
    assert (
        git(project, "diff", "--name-only", "HEAD^", "HEAD", "--", "tool.sh", "nowhere", "caf*", "with*")
        == ""
    )


def test_a_submodule_stays(line, project, tmp_path):
    scene.write(tmp_path / "lib", {"a.txt": b"a\n"})
    scene.start_git(tmp_path / "lib")
    commit(tmp_path / "lib", "Lib")
    git(
        project,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(tmp_path / "lib"),
        "lib",
    )
    commit(project, "A submodule")
    entry = git(project, "ls-tree", "HEAD", "lib")
    take(project, line)
    assert git(project, "ls-tree", "HEAD", "lib") == entry
    assert (project / "lib/a.txt").read_text() == "a\n"
    assert git(project, "status", "--porcelain") == ""


def test_a_template_file_that_the_users_gitignore_names(line, project):
    with (project / ".gitignore").open("a") as file:
        file.write("/docs/\n")
    commit(project, "Mine")
    take(project, line)
    expected = scene.renewed(line.folder, FIRST, line.head, "default")["docs/runbook.md"]
    assert (project / "docs/runbook.md").read_bytes() == expected
    assert git(project, "status", "--porcelain") == ""


def test_started_from_a_hook(line, project):
    """Git sets variables for its hooks that name another index; the upgrade goes by the project."""
    hook = project / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\nexec {shlex.join(scene.command('--to', line.next))}\n")
    hook.chmod(0o755)
    env = scene.variables_for(line.folder, GIT_INDEX_FILE=str(project / ".git/index"))
    subprocess.run(["git", "checkout", "--quiet", "-b", "next"], cwd=project, env=env, check=True)
    assert line.next in git(project, "log", "-1", "--format=%s")
    assert git(project, "status", "--porcelain") == ""


COMMITS_MEANWHILE = """#!/bin/sh
cd "$PROJECT" || exit 1
echo "$1" >> meanwhile.txt
git add meanwhile.txt && git commit -qm Meanwhile
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["upgrade", "finish"])
def test_a_commit_made_meanwhile_is_not_taken_back(line, project, tmp_path, monkeypatch, stopped):
    """Locking and testing take minutes, in which people work. Here `uv` stands for those minutes."""
    scene.write(project, {"uv.lock": b""})
    if stopped:
        text = (project / "params.yaml").read_text()
        (project / "params.yaml").write_text(text.replace("learning_rate: ", "learning_rate: 9"))
    commit(project, "Mine")
    slow = Checks(lock=True, tests=False)
    if stopped:
        assert upgrade(project, ref=line.head, checks=slow).conflicts == ["params.yaml"]
        (project / "params.yaml").write_text(text)
        git(project, "add", "params.yaml")
    scene.write(tmp_path, {"bin/uv": COMMITS_MEANWHILE.encode()})
    (tmp_path / "bin/uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PROJECT", str(project))
    with pytest.raises(UpgradeError, match="committed in the meantime"):
        finish(project, checks=slow) if stopped else upgrade(project, ref=line.head, checks=slow)
    assert git(project, "log", "-1", "--format=%s") == "Meanwhile"
    assert (project / "meanwhile.txt").read_text() == "lock\n"
