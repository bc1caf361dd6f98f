"""Which version is taken, and that the code which takes it is that version's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import copier
import pytest

from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.answers import read_answers
from runtime_lib.upgrade.apply import Checks, upgrade
from runtime_lib.upgrade.launch import newest
from runtime_lib.upgrade.plan import make_plan
from tests.support import scene
from tests.support.projects import environment
from tests.support.releases import RELEASES, commit, git

FIRST = f"v{RELEASES[0][0]}" if RELEASES else ""


@pytest.fixture
def template(line, tmp_path) -> Path:
    """A copy of the repository, to tag as a test likes."""
    git(line.folder, "clone", "--quiet", str(line.folder), str(tmp_path / "template"))
    return tmp_path / "template"


@pytest.fixture
def project(template, tmp_path) -> Path:
    return scene.make(template, FIRST, tmp_path / "project")


def test_the_highest_tag_is_the_newest(line, template, project):
    assert newest(read_answers(project)) == line.next
    for tag in ("v0.100.0", "v0.99.0", "v0.110.0rc1", "v1", "version-9.9.9"):
        git(template, "tag", tag)
    git(template, "tag", "--annotate", "v0.120.0", "--message", "With words")
    assert newest(read_answers(project)) == "v0.120.0"


def test_without_a_tag_the_newest_is_the_commit(template, project):
    for tag in git(template, "tag").split():
        git(template, "tag", "--delete", tag)
    assert newest(read_answers(project)) == git(template, "rev-parse", "HEAD")


def test_an_unreachable_template_is_named_without_a_password(project):
    answers = (project / ".copier-answers.yml").read_text()
    source = read_answers(project).source
    (project / ".copier-answers.yml").write_text(
        answers.replace(source, "https://me:hidden@127.0.0.1:9/template.git")
    )
    with pytest.raises(UpgradeError, match=r"127\.0\.0\.1:9/template\.git cannot be reached") as raised:
        newest(read_answers(project))
    assert "hidden" not in str(raised.value)


@pytest.fixture
def ahead(line, template, tmp_path) -> Path:
    """A project made past the newest tag."""
    (template / "template/past.md").write_text("Past the release\n")
    commit(template, "Past the release")
    folder = tmp_path / "ahead"
    data = {"project_name": "late-flights"}
    copier.run_copy(str(template), folder, data=data, defaults=True, quiet=True, vcs_ref="HEAD")
    scene.start_git(folder)
    commit(folder, "Start")
    return folder


def test_a_project_past_the_newest_tag_stays_there(line, ahead):
    answers = read_answers(ahead)
    assert answers.commit.startswith(f"{line.next}-1-g")
    assert newest(answers) == answers.commit
    assert make_plan(ahead, ref=newest(answers)).empty


def test_a_project_past_a_tag_takes_the_next_one(template, ahead):
    tag = scene.release(template, "9.0.0")
    assert newest(read_answers(ahead)) == tag
    upgrade(ahead, ref=tag, checks=Checks(lock=False, tests=False))
    assert read_answers(ahead).commit == tag
    assert f"@{tag}" in (ahead / "pyproject.toml").read_text()


def hand_over(project: Path, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line as installed here, which is not the code of the release to take."""
    return run(project, tmp_path, str(Path(sys.executable).with_name("mlops")), "upgrade", *words)


def run(project: Path, tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = {**environment(), "COLUMNS": "200", "UV_TOOL_DIR": str(tmp_path / "tools")}
    if links := os.environ.get("PIP_FIND_LINKS"):
        variables.setdefault("UV_FIND_LINKS", links)
    return subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_target_takes_over(line, project, tmp_path):
    """Only that release knows of its migration: it is in the plan, so its code made the plan."""
    before = scene.state(project)
    done = hand_over(project, tmp_path, "--plan", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["to"] == line.next
    assert any("registry.max_loss_to_incumbent is registry.max_loss" in said for said in plan["settings"])
    assert f"## {line.next[1:]}" in plan["changelog"]
    assert scene.state(project) == before


@pytest.mark.slow
def test_the_target_takes_over_and_finishes(line, project, tmp_path):
    """All of it, on a named version, with an option of the user's; the exit code comes through."""
    done = hand_over(
        project, tmp_path, "--to", line.next, "--no-lock", "--no-tests", "-d", "with_alerts=false"
    )
    assert done.returncode == 0, done.stderr
    assert read_answers(project).commit == line.next
    assert git(project, "status", "--porcelain", "--branch") == "## main"
    refused = hand_over(project, tmp_path, "--to", line.next, "-d", "with_alarms=true", "--plan")
    assert refused.returncode == 1
    assert "Did you mean 'with_alerts'" in refused.stderr


@pytest.mark.slow
def test_the_line_for_projects_that_have_no_upgrade(line, template, project, tmp_path):
    """Releases before 0.3.0 have no such command; the same line, typed by hand, serves their projects."""
    wanted = f"runtime-lib[upgrade] @ git+file://{template}@{line.next}"
    done = run(project, tmp_path, "uvx", "--from", wanted, "mlops", "upgrade", "--plan")
    assert done.returncode == 0, done.stderr
    assert f"Template {FIRST} → {line.next}" in done.stdout
    assert "with_alerts=true" in done.stdout


@pytest.mark.slow
def test_past_the_newest_tag_the_projects_own_version_runs(template, ahead, tmp_path):
    """It has no tag; the pin names its commit."""
    done = hand_over(ahead, tmp_path, "--plan")
    assert done.returncode == 0, done.stderr
    assert "Nothing to change" in done.stdout


@pytest.mark.parametrize(
    "text", ["[project\n", "[project]\nname = 'late-flights'\ndependencies = ['runtime-lib']\n"]
)
def test_a_pyproject_without_an_address_of_the_library(line, project, tmp_path, text):
    (project / "pyproject.toml").write_text(text)
    done = hand_over(project, tmp_path, "--plan")
    assert done.returncode == 1
    assert done.stderr.startswith("mlops: pyproject.toml ")
    assert "Traceback" not in done.stderr
