"""The doctor: what an update left unfinished, most urgent first, even if the project's files are damaged."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import copier
import pytest

from runtime_lib import __version__
from runtime_lib.doctor.conflicts import conflicts
from runtime_lib.doctor.examine import examine
from runtime_lib.doctor.finding import Finding
from runtime_lib.upgrade import apply as run
from runtime_lib.upgrade import git as history
from runtime_lib.upgrade import rendering
from tests.conftest import copy_template
from tests.support.releases import commit, git

STAGES = "src/flight_delays/stages.py"
RESTORE_HERE = "uv run mlops doctor --restore"
TORN = "a\n<<<<<<< before updating\nmine\n=======\ntheirs\n>>>>>>> after updating\nb\n"
MLOPS = Path(sys.executable).with_name("mlops")


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    folder = copy_template(tmp_path_factory.mktemp("doctor") / "template")
    git(folder, "init", "--quiet")
    commit(folder, "One", tag=f"v{__version__}")
    hook = next((folder / "template").glob("*noxfile*"))
    hook.write_text(hook.read_text().replace("The project's checks", "All checks of the project"))
    (folder / "runtime_lib" / "VERSION").write_text("9.0.0\n")
    commit(folder, "Two", tag="v9.0.0")
    return folder


@pytest.fixture(scope="session")
def made(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "project"
    name = {"project_name": "flight-delays"}
    copier.run_copy(str(source), folder, data=name, defaults=True, quiet=True, vcs_ref=f"v{__version__}")
    git(folder, "init", "--quiet")
    commit(folder, "Made")
    return folder


@pytest.fixture
def project(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project"))


def quickly(folder: Path) -> list[Finding]:
    """All but the checks that need settings, of which MLflow takes seconds."""
    text = (folder / "mlops.toml").read_text()
    (folder / "mlops.toml").write_text(text + "no toml\n")
    found = examine(folder)
    (folder / "mlops.toml").write_text(text)
    return [finding for finding in found if finding.what != "settings"]


def about(what: str, found: list[Finding]) -> Finding:
    (finding,) = [finding for finding in found if finding.what == what]
    return finding


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_project_as_it_was_made_has_nothing_but_its_lock_to_make(project):
    began = time.monotonic()
    found = quickly(project)
    assert time.monotonic() - began < 10
    assert [finding.what for finding in found if not finding.ok] == ["uv.lock"]
    assert about("conflicts", found).level == "ok"
    assert about("template's files", found).level == "ok"
    assert git(project, "status", "--porcelain") == "", "looking changes nothing"


def test_all_checks_run_where_the_settings_can_be_read(project):
    found = [finding.what for finding in examine(project)]
    assert found[-3:] == ["device", "tracking", "champion"]
    assert "settings" not in found


def test_a_conflict_of_a_real_update_is_found(project):
    edit(project / "noxfile.py", "The project's checks", "The checks of our project")
    commit(project, "Mine")
    copier.run_update(project, defaults=True, overwrite=True, quiet=True)
    found = quickly(project)
    conflict = found[0]
    assert (conflict.what, conflict.level) == ("noxfile.py", "fix")
    assert "unmerged" in conflict.found
    assert "git add noxfile.py" in conflict.fix
    assert "noxfile.py" not in [f.what for f in found if f.level == "note"], "said once"
    (project / "noxfile.py").write_text("# resolved\n")
    assert conflicts(project)[0].found == "unmerged in git's index"
    git(project, "add", "noxfile.py")
    assert [f.level for f in conflicts(project)] == ["ok"]


@pytest.mark.parametrize("followed", ["tracked", "untracked", "no git"])
def test_markers_and_rejected_parts_are_found(project, followed):
    (project / "docs" / "mine.md").write_text(TORN)
    (project / "docs" / "mine.py.rej").write_text("@@\n")
    (project / "docs" / "half.md").write_text("<<<<<<< only the beginning\nTitle\n=======\n")
    (project / "docs" / "quoted.md").write_text(textwrap.indent(TORN, "    "))
    (project / "var").mkdir()
    (project / "var" / "ignored.txt").write_text(TORN)
    if followed == "tracked":
        commit(project, "Too early")
    if followed == "no git":
        shutil.rmtree(project / ".git")
    found = conflicts(project)
    assert [f.what for f in found if f.level == "fix"] == ["docs/mine.md", "docs/mine.py.rej"]
    assert about("docs/mine.py.rej", found).fix.endswith("rm docs/mine.py.rej")
    assert [f.what for f in found if f.level == "note"] == (["git"] if followed == "no git" else [])


def test_a_page_about_conflicts_says_so_in_gitattributes(project):
    (project / "docs" / "merging.md").write_text(TORN)
    (project / ".gitattributes").write_text("docs/merging.md conflict-marker-size=32\n")
    assert [f.level for f in conflicts(project)] == ["ok"]


def test_below_the_top_of_a_repository_only_its_own_files_count(made, tmp_path):
    folder = tmp_path / "all" / "services" / "delays"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns(".git"))
    git(tmp_path / "all", "init", "--quiet")
    (tmp_path / "all" / "others.txt").write_text(TORN)
    commit(tmp_path / "all", "All")
    assert conflicts(folder)[0].level == "ok"
    (folder / "mine.txt").write_text(TORN)
    assert [f.what for f in conflicts(folder)] == ["mine.txt"]
    assert about("template's files", quickly(folder)).level == "ok"
    (tmp_path / "all" / ".gitignore").write_text("/services/\n")
    git(tmp_path / "all", "rm", "--quiet", "-r", "--cached", "services")
    assert [f.what for f in conflicts(folder)] == ["mine.txt", "git"], "a repository that ignores it is none"


@pytest.mark.parametrize("name", ["mlops.toml", "pyproject.toml", ".copier-answers.yml", "uv.lock"])
def test_a_torn_file_does_not_stop_the_doctor(project, name):
    file = project / name
    file.write_text((file.read_text() if file.exists() else "") + TORN)
    found = examine(project) if name == "mlops.toml" else quickly(project)
    assert found[0].what == name
    assert found[0].found == "conflict markers"
    whats = [finding.what for finding in found]
    other = {"mlops.toml": "settings", ".copier-answers.yml": "answers"}.get(name, name)
    assert (other in whats[1:]) is (name != "uv.lock"), "of a lock, one command is enough"
    assert "dvc" in whats
    assert ("device" in whats) is False
    commands = " ".join(finding.fix for finding in found)
    if name == "uv.lock":
        assert found[0].fix == "git restore --source=HEAD --staged --worktree uv.lock && uv lock"
    if name in ("pyproject.toml", "uv.lock"):
        assert "uv run mlops" not in commands, "uv does not start where it cannot read these"


def test_no_command_would_fetch_a_bare_name_before_it_is_fixed(project):
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(re.sub(r'"(runtime-lib\[data[^]]*\]) @ [^"]*"', r'"\1"', text))
    finding = about("library's pin (project.dependencies)", quickly(project))
    assert finding.fix.startswith(".venv/bin/mlops doctor --restore pyproject.toml && uv lock")
    assert done("doctor", "--restore", "pyproject.toml", cwd=project).returncode == 0
    assert (project / "pyproject.toml").read_text() == text


def test_changed_files_of_the_template_are_notes_with_a_way_back(project):
    with (project / STAGES).open("a") as file:
        file.write("# mine\n")
    edit(project / "pyproject.toml", "runtime-lib[data,", "runtime-lib[data,data-s3,")
    edit(project / "dvc.yaml", "deps: [", "deps: [params.yaml, ")
    edit(project / "dags" / "flight_delays_dags.py", 'schedule="@monthly"', 'schedule="0 4 * * MON"')
    (project / ".pre-commit-config.yaml").unlink()
    (project / "uv.lock").write_text("")
    found = quickly(project)
    notes = {f.what: f.fix for f in found if f.level == "note"}
    assert f"--restore {STAGES}" in notes[STAGES]
    assert notes.pop("template") == "uv run mlops upgrade --plan"
    assert set(notes) == {STAGES}, "fenced lines are only judged where the versions agree"
    (project / "uv.lock").write_text(locked(project))
    notes = {f.what: f.fix for f in quickly(project) if f.level == "note"}
    assert set(notes) == {STAGES, "pyproject.toml", "template"}
    assert done("doctor", "--restore", "pyproject.toml", cwd=project / "src").returncode == 0
    assert "data-s3" not in (project / "pyproject.toml").read_text()


def locked(project: Path) -> str:
    """An entry of uv.lock that agrees with the pin; no environment is there to disagree."""
    (pin,) = {
        line.split("@ ")[1]
        for line in (project / "pyproject.toml").read_text().splitlines()
        if "@ git" in line
    }
    address, _, ref = pin.strip('",').rpartition("@")
    (project / ".venv" / "lib" / "python3.11" / "site-packages" / "runtime_lib-1.dist-info").mkdir(
        parents=True
    )
    info = project / ".venv" / "lib" / "python3.11" / "site-packages" / "runtime_lib-1.dist-info"
    (info / "METADATA").write_text(f"Name: runtime-lib\nVersion: {__version__}\n")
    (info / "direct_url.json").write_text(json.dumps({"url": "x", "vcs_info": {"commit_id": "abc"}}))
    source = f"{address.removeprefix('git+')}?rev={ref}#abc"
    return f'[[package]]\nname = "runtime-lib"\nversion = "{__version__}"\nsource = {{ git = "{source}" }}\n'


def test_questions_without_an_answer_and_answers_without_a_question(project):
    edit(project / ".copier-answers.yml", "ci_provider: github\n", "ci_provder: gitlab\n")
    notes = [f for f in quickly(project) if f.what == ".copier-answers.yml"]
    assert [f.level for f in notes] == ["note", "note"]
    assert "ci_provider=github" in notes[0].found
    assert "ci_provder" in notes[1].found
    assert done("doctor", "--restore", ".copier-answers.yml", cwd=project).returncode == 0
    assert git(project, "status", "--porcelain") == ""


def test_a_refused_answer_is_reported(project):
    edit(project / ".copier-answers.yml", "ci_provider: github", "ci_provider: jenkins")
    assert "jenkins" in about("template", quickly(project)).found


def test_a_template_out_of_reach_is_one_note_without_its_password(project):
    answers = project / ".copier-answers.yml"
    lines = [line for line in answers.read_text().splitlines() if not line.startswith("_src_path")]
    answers.write_text("\n".join([*lines, "_src_path: https://me:hunter2@localhost:9/acme/ml.git", ""]))
    commit(project, "Elsewhere")
    began = time.monotonic()
    found = quickly(project)
    assert time.monotonic() - began < 10
    note = about("template", found)
    assert note.level == "note"
    assert "localhost:9/acme/ml.git" in note.found
    assert "hunter2" not in json.dumps([finding.to_dict() for finding in found])


def test_a_server_that_does_not_answer_is_not_waited_for(project, monkeypatch):
    monkeypatch.setattr(rendering, "_PROBE_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/acme/ml.git"
        answers = project / ".copier-answers.yml"
        lines = [line for line in answers.read_text().splitlines() if not line.startswith("_src_path")]
        answers.write_text("\n".join([*lines, f"_src_path: {address}", ""]))
        began = time.monotonic()
        assert address in about("template", quickly(project)).found
        assert time.monotonic() - began < 10


def test_without_copier_the_rest_goes_on(project):
    """In an interpreter without copier the doctor names the command that provides it."""
    script = (
        "import sys; sys.modules['copier'] = None\n"
        "from pathlib import Path; from runtime_lib.doctor.examine import examine\n"
        "[print(f.level, f.what, f.found, f.fix) for f in examine(Path())]"
    )
    edit(project / "mlops.toml", "[project]", "[project")  # so that MLflow is not loaded
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("note template copier")]
    assert "uvx --from 'runtime-lib[upgrade] @ git+file://" in line
    assert "fix uv.lock" in said.stdout


@pytest.mark.parametrize("environment", ["none", "its own"])
def test_a_borrowed_command_does_without_the_projects_packages(project, environment):
    """As `uvx` runs it: numpy, dvc and MLflow are missing, which says nothing about the project."""
    if environment == "its own":
        (project / ".venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['numpy', 'mlflow', 'dvc', 'torch', 'mlx']))\n"
        "from runtime_lib.doctor import examine\n"
        "def absent(name): raise examine.PackageNotFoundError(name)\n"
        "examine.version = absent\n"
        "from pathlib import Path; from runtime_lib.cli.doctor import diagnose\n"
        "diagnose(Path(), as_json=True)"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    found = {finding["what"]: finding for finding in json.loads(said.stdout)}
    for what in ("device", "champion", "dvc", "mlflow"):
        assert found[what]["level"] == "note", found[what]
        assert "not checked" in found[what]["found"]
    assert found["champion"]["found"] == "not checked: numpy is not installed here"


def test_a_healthy_new_project_has_nothing_to_fix_for_want_of_a_champion(project):
    assert about("champion", examine(project)).level == "note"


def test_a_pin_held_back_is_fixed_by_the_templates_own_version(project):
    edit(project / ".copier-answers.yml", f"_commit: v{__version__}", "_commit: v9.0.0")
    finding = about("library's pin", quickly(project))
    assert finding.fix == f"{RESTORE_HERE} pyproject.toml && uv lock && uv sync", "this version knows how"
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace(f"@v{__version__}", "@v0.1.0"))
    finding = about("library's pin", quickly(project))
    assert re.fullmatch(
        r"uvx --from 'runtime-lib\[upgrade\] @ git\+file://\S+@v9\.0\.0' mlops doctor "
        r"--restore pyproject.toml && uv lock && uv sync",
        finding.fix,
    )


def test_a_library_moved_alone_is_locked_and_committed_before_the_upgrade(project):
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace(f"@v{__version__}", "@v9.0.0"))
    commit(project, "Bumped by a bot")
    fix = about("library's pin", quickly(project)).fix
    locking, _, upgrading = fix.partition("  # ")[0].rpartition(" && ")
    assert upgrading == "uv run mlops upgrade --to v9.0.0"
    for lock in ("one\n", "two\n", "two\n"):
        typed = locking.replace("uv lock", f"printf '{lock}' > uv.lock", 1)
        subprocess.run(typed, cwd=project, shell=True, check=True, capture_output=True)
        assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize("committed", [False, True])
def test_torn_answers_come_back_from_the_last_commit_that_has_them_whole(project, committed):
    file = project / ".copier-answers.yml"
    whole = file.read_text()
    file.write_text(whole + TORN)
    if committed:
        commit(project, "Too early")
    fix = about("answers", quickly(project)).fix
    assert fix.startswith("git restore --source=")
    subprocess.run(fix, cwd=project, shell=True, check=True)
    assert file.read_text() == whole


def test_the_lock_comes_out_of_a_conflict_by_the_command_printed(project):
    (project / "uv.lock").write_text("one\n")
    commit(project, "Lock")
    git(project, "checkout", "--quiet", "-b", "other")
    (project / "uv.lock").write_text("two\n")
    commit(project, "Other")
    git(project, "checkout", "--quiet", "-")
    (project / "uv.lock").write_text("three\n")
    commit(project, "Mine")
    subprocess.run(["git", "merge", "--quiet", "other"], cwd=project, capture_output=True)
    fix = about("uv.lock", quickly(project)).fix
    subprocess.run(fix.removesuffix(" && uv lock"), cwd=project, shell=True, check=True)
    assert (project / "uv.lock").read_text() == "three\n"
    assert conflicts(project)[0].level == "ok"


def test_a_newer_release_is_a_note_at_no_second_call(project, monkeypatch):
    calls = []
    run_git = history.run

    def counted(folder, *words, **options):
        calls.append(words[0])
        return run_git(folder, *words, **options)

    monkeypatch.setattr(history, "run", counted)
    finding = about("template", quickly(project))
    assert (finding.level, finding.found) == ("note", "v9.0.0 is out")
    assert finding.fix == "uv run mlops upgrade --plan"
    assert calls.count("ls-remote") == 1
    edit(project / ".copier-answers.yml", f"_commit: v{__version__}", "_commit: v9.0.0")
    assert "template" not in [finding.what for finding in quickly(project)]


def test_a_champion_is_not_looked_for_where_nothing_was_ever_tracked(project):
    examine(project)
    assert not (project / "var").exists(), "looking makes no store"


def test_an_upgrade_that_waits_comes_first(project, source):
    edit(project / "noxfile.py", "The project's checks", "The checks of our project")
    commit(project, "Mine")
    run.upgrade(project, ref="v9.0.0", checks=run.Checks(lock=False, tests=False))
    found = quickly(project)
    assert found[0].what == "upgrade"
    assert "mlops upgrade --finish" in found[0].fix
    run.abort(project)
    assert "upgrade" not in [finding.what for finding in quickly(project)]


def test_an_upgrade_of_ours_drops_nothing(project):
    edit(project / "src" / "flight_delays" / "replay.py", '"""', '"""Mine. ')
    commit(project, "Mine")
    checks = run.Checks(lock=False, tests=False)
    run.upgrade(project, ref="v9.0.0", data={"with_serving": False, "with_monitoring": False}, checks=checks)
    assert (project / "src" / "flight_delays" / "replay.py").exists()
    found = quickly(project)
    assert about("template's files", found).level == "ok"


def done(*words: str, cwd: Path, width: int = 60) -> subprocess.CompletedProcess[str]:
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "COLUMNS": str(width)}
    env = {**os.environ, **identity}
    return subprocess.run([MLOPS, *words], cwd=cwd, env=env, capture_output=True, text=True)


def test_on_a_narrow_terminal_no_command_is_cut(project):
    edit(project / "mlops.toml", "[project]", "[project")
    (project / "[odd] name with a long way to go, longer than the terminal is wide.md").write_text(TORN)
    printed = done("doctor", cwd=project / "src")
    spoken = done("doctor", "--json", cwd=project)
    assert printed.returncode == spoken.returncode == 4
    assert printed.stderr == spoken.stderr == ""
    for finding in json.loads(spoken.stdout):
        assert finding["ok"] is (finding["level"] != "fix")
        assert finding["fix"] in printed.stdout
        assert finding["what"].split()[0] in printed.stdout


def test_notes_alone_leave_exit_code_0(project, capsys):
    from runtime_lib.cli.doctor import _print

    _print([Finding("a", "note", "b [c] d", "e"), Finding("f", "ok", "g")])
    assert capsys.readouterr().out.split("\n")[:2] == ["note a: b [c] d", "     → e"]
    assert Finding("a", "note", "b").ok
    assert not Finding("a", "fix", "b").ok


def test_restoring_nothing_is_no_error_and_the_unknown_is(project):
    nothing = done("doctor", "--restore", "all", cwd=project)
    assert (nothing.returncode, nothing.stdout) == (0, "No update dropped an edit.\n")
    unknown = done("doctor", "--restore", "params.yaml", cwd=project)
    assert unknown.returncode == 1
    assert "the template does not own it" in unknown.stderr
