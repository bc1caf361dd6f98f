"""The scheduled upgrade: what its scripts do, with git as it is and a stand-in for the hosts' commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.releases import commit, git

# `mlops upgrade` by its contract: a commit, nothing, or exit code 4 with the tree in between.
UV = """#!/bin/sh
echo "uv $*" >> "$CALLS"
case "$*" in
*--abort) git checkout --quiet -- . ;;
*--plan) echo "README.md conflicts" ; exit 4 ;;
*"mlops upgrade")
  case "$RELEASE" in
  conflict) echo "<<<<<<<" >> README.md ; exit 4 ;;
  broken) exit 1 ;;
  new) echo "new" >> README.md ; git commit --quiet --all --message "Take 0.3.0" ;;
  esac ;;
esac
"""
GH = """#!/bin/sh
echo "gh $*" >> "$CALLS"
case "$*" in "pr list"*) echo "$OPEN" ;; esac
"""
HOSTS = {"github": ".github/workflows/update.yml", "gitlab": ".gitlab-ci.yml"}


def scripts(project: Path, host: str) -> list[str]:
    """The job's scripts; GitHub's stop where a step fails, or has nothing to do."""
    jobs = yaml.safe_load((project / HOSTS[host]).read_text())
    if host == "gitlab":
        return ["\n".join(jobs["update"]["script"])]
    upgrade, request = jobs["jobs"]["upgrade"]["steps"][-2:]
    assert request["if"] == f"steps.{upgrade['id']}.outputs.new == 'true'"
    return [upgrade["run"], request["run"]]


class Runner:
    """A checkout on one of the hosts."""

    def __init__(self, folder: Path, project: Path, host: str) -> None:
        self.origin, self.work, self.host = folder / "origin.git", folder / "work", host
        self.calls, self.output, self.summary = (folder / name for name in ("calls", "output", "summary"))
        self.scripts = scripts(project, host)
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.origin))
        git(self.origin, "config", "receive.advertisePushOptions", "true")
        git(folder, "clone", "--quiet", str(self.origin), str(self.work))
        (self.work / "README.md").write_text("# Flights\n")
        commit(self.work, "Start")
        git(self.work, "push", "--quiet", "origin", "HEAD:main")
        self.stand_ins = folder / "bin"
        self.stand_ins.mkdir()
        for name, text in {"uv": UV, "gh": GH}.items():
            (self.stand_ins / name).write_text(text)
            (self.stand_ins / name).chmod(0o755)

    def run(self, release: str, *, open_requests: int = 0) -> int:
        """Run the job in a fresh checkout of main; return its exit code."""
        git(self.work, "fetch", "--quiet", "origin")
        git(self.work, "checkout", "--quiet", "--detach", "origin/main")
        if self.host == "github" and git(self.work, "branch", "--list", "template-update"):
            git(self.work, "branch", "--quiet", "-D", "template-update")
        for file in (self.calls, self.output, self.summary):
            file.write_text("")
        head = git(self.work, "rev-parse", "HEAD")
        # GitLab pushes to the address of its server, which is this folder here.
        address = "https://template-update:secret@gitlab.example.org/team/flights.git"
        env = {
            **os.environ,
            "PATH": f"{self.stand_ins}:{os.environ['PATH']}",
            "RELEASE": release,
            "OPEN": str(open_requests),
            "CALLS": str(self.calls),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_SHA": head,
            "GITHUB_REF_NAME": "main",
            "CI_COMMIT_SHA": head,
            "CI_DEFAULT_BRANCH": "main",
            "CI_SERVER_HOST": "gitlab.example.org",
            "CI_PROJECT_PATH": "team/flights",
            "TEMPLATE_UPDATE_TOKEN": "secret",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.origin}.insteadOf",
            "GIT_CONFIG_VALUE_0": address,
        }
        for step, script in enumerate(self.scripts):
            if step == 1 and "new=true" not in self.output.read_text():
                break
            done = subprocess.run(["bash", "-e", "-c", script], cwd=self.work, env=env, check=False)
            if done.returncode:
                return done.returncode
        return 0

    def pushed(self) -> str:
        """The newest commit of the branch on the host, or nothing."""
        return git(self.origin, "for-each-ref", "--format=%(objectname)", "refs/heads/template-update")


@pytest.fixture(params=HOSTS)
def runner(request, render: Callable[..., Path], tmp_path) -> Runner:
    return Runner(tmp_path, render(ci_provider=request.param), request.param)


def test_nothing_new_pushes_nothing(runner):
    assert runner.run("none") == 0
    assert not runner.pushed()
    assert "gh pr" not in runner.calls.read_text()


def test_a_release_becomes_one_request_and_is_pushed_once(runner):
    assert runner.run("new") == 0
    first = runner.pushed()
    assert git(runner.origin, "show", f"{first}:README.md").endswith("new")
    assert ("gh pr create" in runner.calls.read_text()) == (runner.host == "github")
    assert runner.run("new", open_requests=1) == 0
    assert runner.pushed() == first, "the same content need not run CI again"
    assert "gh pr create" not in runner.calls.read_text()


def test_the_request_follows_main(runner):
    assert runner.run("new") == 0
    first = runner.pushed()
    git(runner.work, "checkout", "--quiet", "--detach", "origin/main")
    (runner.work / "mine.txt").write_text("mine\n")
    commit(runner.work, "Main goes on")
    git(runner.work, "push", "--quiet", "origin", "HEAD:main")
    assert runner.run("new", open_requests=1) == 0
    assert runner.pushed() != first
    assert git(runner.origin, "show", f"{runner.pushed()}:mine.txt") == "mine"


def test_what_somebody_added_to_the_request_stays(runner):
    assert runner.run("new") == 0
    git(runner.work, "checkout", "--quiet", "--detach", runner.pushed())
    (runner.work / "mended.txt").write_text("mended\n")
    mended = commit(runner.work, "Mend what the release broke")
    git(runner.work, "push", "--quiet", "origin", "HEAD:template-update")
    assert runner.run("new", open_requests=1) == 0
    assert runner.pushed() == mended


def test_conflicts_are_taken_back_and_reported(runner, capfd):
    assert runner.run("conflict") == 4
    assert not runner.pushed()
    assert git(runner.work, "status", "--porcelain") == ""
    said = capfd.readouterr().out
    assert "on a machine of your own" in said
    assert "README.md conflicts" in said + runner.summary.read_text()


def test_a_failed_upgrade_fails_the_job(runner):
    assert runner.run("broken") == 1
    assert not runner.pushed()
    assert "--abort" not in runner.calls.read_text()
