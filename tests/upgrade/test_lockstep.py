"""Template, pin, lock and environment: each that differs is reported, with its own command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from runtime_lib import __version__
from runtime_lib.doctor.skew import drift
from runtime_lib.upgrade import fence, lockstep
from runtime_lib.upgrade.answers import Answers
from tests.conftest import REPOSITORY
from tests.support.projects import run
from tests.support.releases import commit, git

URL = "git+https://git.example.org/acme/ml.git"
SHA = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
FENCE = ("# >>> runtime library: leave these lines", "# <<< runtime library")


def project(
    folder: Path,
    *,
    pin: str = f"{URL}@v0.2.0",
    other: str | None = None,
    lock: str | None = "?rev=v0.2.0",
    version: str = "0.2.0",
    installed: str | None = "0.2.0",
    origin: dict[str, object] | None = None,
    fence: tuple[str, str] = FENCE,
) -> Path:
    """A project as far as versions go; `lock` and `origin` are what uv writes."""
    first = f'"runtime-lib[data,tracking]{f" @ {pin}" if pin else ""}"'
    other = pin if other is None else other
    group = f'dev = [\n{fence[0]}\n"runtime-lib[upgrade] @ {other}",\n{fence[1]}\n"pytest>=9",\n]'
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "p"\nversion = "0.1.0"\ndependencies = [\n{fence[0]}\n{first},\n{fence[1]}\n]\n\n'
        f"[dependency-groups]\n{group}\n"
    )
    if lock is not None:
        source = lock if lock.startswith("{") else f'{{ git = "{URL.removeprefix("git+")}{lock}#{SHA}" }}'
        (folder / "uv.lock").write_text(
            f'version = 1\n\n[[package]]\nname = "runtime-lib"\nversion = "{version}"\nsource = {source}\n'
        )
    environment(folder, installed, origin)
    return folder


def environment(folder: Path, version: str | None, origin: dict[str, object] | None) -> None:
    site = folder / ".venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    if version is None:
        return
    info = site / f"runtime_lib-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: runtime-lib\nVersion: {version}\n")
    usual = {"url": URL.removeprefix("git+"), "vcs_info": {"vcs": "git", "commit_id": SHA}}
    if origin != {}:
        (info / "direct_url.json").write_text(json.dumps(usual if origin is None else origin))


def answers(commit: str = "v0.2.0", **values: object) -> Answers:
    return Answers(".copier-answers.yml", "gh:acme/ml", commit, values)


def fixes(folder: Path, commit: str = "v0.2.0") -> list[tuple[str, str, str]]:
    return [(f.what, f.found, f.fix) for f in drift(folder, answers(commit)) if f.level == "fix"]


def test_in_step_is_one_line(tmp_path):
    found = drift(project(tmp_path), answers())
    assert found[0].what == "library and template"
    assert found[0].found == "runtime-lib 0.2.0, template v0.2.0"
    assert [f.level for f in found if f.what != "environment"] == ["ok"]


@pytest.mark.parametrize(
    ("changes", "what", "found", "fix"),
    [
        (
            {"pin": f"{URL}@v0.1.0"},
            "library's pin",
            "v0.1.0, older than the template (v0.2.0)",
            "mlops doctor --restore pyproject.toml && uv lock && uv sync",
        ),
        (
            {"pin": f"{URL}@v0.3.0"},
            "library's pin",
            "v0.3.0, newer than the template (v0.2.0)",
            "mlops upgrade --to v0.3.0",
        ),
        (
            {"pin": f"{URL}@{SHA}"},
            "library's pin",
            f"{SHA}, different from the template (v0.2.0)",
            "--restore",
        ),
        ({"other": f"{URL}@v0.1.0"}, "library's pin", "the pins disagree with each other", "--restore"),
        (
            {"pin": "", "other": f"{URL}@v0.2.0"},
            "library's pin (project.dependencies)",
            "bare name",
            "--restore",
        ),
        (
            {"pin": URL, "other": f"{URL}@v0.2.0"},
            "library's pin (project.dependencies)",
            "no version",
            "--restore",
        ),
        (
            {"fence": ("", "")},
            "library's pin (dependency-groups.dev)",
            "comment lines",
            "--restore pyproject.toml",
        ),
        ({"lock": None}, "uv.lock", "missing", "uv lock && uv sync"),
        (
            {"lock": "?rev=v0.1.0"},
            "uv.lock",
            "still at v0.1.0, older than the pin (v0.2.0)",
            "uv lock && uv sync",
        ),
        ({"lock": "?tag=v0.3.0"}, "uv.lock", "newer than the pin (v0.2.0)", "uv lock && uv sync"),
        (
            {"lock": '{ git = "https://git.example.org/other/ml?rev=v0.2.0#1a2b" }'},
            "uv.lock",
            "has the library from https://git.example.org/other/ml",
            "uv lock && uv sync",
        ),
        ({"lock": '{ registry = "https://pypi.org/simple" }'}, "uv.lock", "anybody's package", "uv lock"),
        ({"lock": '{ editable = "../ml" }'}, "uv.lock", "has the library from ../ml", "uv lock && uv sync"),
        ({"version": "0.1.0"}, "uv.lock", "the tag has been moved", "uv lock --upgrade-package runtime-lib"),
        ({"installed": "0.1.0"}, "environment", "older than the template (v0.2.0)", "uv sync"),
        ({"installed": "0.9.0"}, "environment", "newer than the template (v0.2.0)", "uv sync"),
        ({"installed": None}, "environment", "not installed", "uv sync"),
        ({"origin": {}}, "environment", "came from an index", "uv sync --reinstall-package runtime-lib"),
        (
            {"origin": {"url": "file:///srv/ml", "dir_info": {"editable": True}}},
            "environment",
            "from file:///srv/ml",
            "uv sync",
        ),
    ],
)
def test_each_step_that_strays_has_its_own_command(tmp_path, changes, what, found, fix):
    said = fixes(project(tmp_path, **changes))
    assert [entry for entry in said if entry[0] == what and found in entry[1] and fix in entry[2]], said
    others = {entry[0].partition(" (")[0] for entry in said} - {what.partition(" (")[0]}
    assert others <= ({"uv.lock"} if "pin" in changes or "other" in changes else set()), (
        "one cause, one finding"
    )


def test_another_commit_of_the_same_version_is_seen(tmp_path):
    other = {"url": URL.removeprefix("git+"), "vcs_info": {"vcs": "git", "commit_id": "f" * 40}}
    ((what, found, fix),) = fixes(project(tmp_path, origin=other))
    assert (what, fix) == ("environment", "uv sync")
    assert SHA[:12] in found


def test_past_a_release_hashes_are_compared_by_their_beginning(tmp_path):
    folder = project(tmp_path, pin=f"{URL}@{SHA}", lock=f"?rev={SHA}")
    found = drift(folder, answers(f"v0.2.0-3-g{SHA[:7]}"))
    assert all(f.ok for f in found)
    (note,) = [f for f in found if f.what == "template"]
    assert note.level == "note"
    assert "not a release" in note.found
    assert [what for what, _, _ in fixes(folder, "v0.2.0-4-g9999999")] == ["library's pin"]


def test_a_checkout_is_a_note_and_a_lost_one_is_not(tmp_path):
    checkout = tmp_path / "ml"
    (checkout / "runtime_lib").mkdir(parents=True)
    (checkout / "runtime_lib" / "VERSION").write_text("0.1.0\n")
    folder = tmp_path / "p"
    folder.mkdir()
    origin = {"url": checkout.as_uri(), "dir_info": {}}
    lock = f'{{ directory = "{checkout}" }}'
    project(folder, pin=checkout.as_uri(), lock=lock, version="0.1.0", installed="0.1.0", origin=origin)
    notes = [f for f in drift(folder, answers()) if f.what == "library's pin"]
    assert [f.level for f in notes] == ["note"]
    assert "version 0.1.0, older than the template (v0.2.0)" in notes[0].found
    assert fixes(folder) == []
    shutil.rmtree(checkout)
    assert "does not exist" in fixes(folder)[0][1]


def test_a_bare_name_in_a_list_of_ones_own_is_written_out(tmp_path):
    folder = project(tmp_path)
    with (folder / "pyproject.toml").open("a") as file:
        file.write('bench = ["runtime_lib[serve]>=0.2", "runtime-library-of-others"]\n')
    ((what, _, fix),) = fixes(folder)
    assert what == "library's pin (dependency-groups.bench)"
    assert f'"runtime-lib[serve] @ {URL}@v0.2.0"' in fix


def test_a_line_with_extras_below_the_pin_adds_them_and_stays(tmp_path):
    folder = project(tmp_path)
    file, mine = folder / "pyproject.toml", '"runtime-lib[postgres,s3]",\n'
    text = file.read_text().replace(f"{FENCE[1]}\n]", f"{FENCE[1]}\n{mine}]")
    file.write_text(text)
    assert ("postgres", "s3") in {pin.extras for pin in lockstep.pins(text)}
    assert fixes(folder) == []
    renewed = fence.put(text, "project.dependencies", ['"runtime-lib[x] @ https://u",\n'])
    assert mine in renewed
    assert "lib[x]" in renewed
    assert fence.lost(text, renewed.replace(mine, "")) == [mine]


def test_a_second_source_is_told(tmp_path):
    folder = project(tmp_path)
    with (folder / "pyproject.toml").open("a") as file:
        file.write('[tool.uv.sources]\nruntime-lib = { path = "../ml" }\n')
    (note,) = [f for f in drift(folder, answers()) if f.what == "library's pin"]
    assert note.level == "note"
    assert "pip ignores that" in note.found


def test_torn_files_are_findings(tmp_path):
    folder = project(tmp_path)
    torn = "<<<<<<< mine\nx\n=======\ny\n>>>>>>> theirs\n"
    (folder / "uv.lock").write_text(torn)
    ((what, found, fix),) = fixes(folder)
    assert (what, "cannot be read" in found) == ("uv.lock", True)
    assert fix.startswith("git restore --source HEAD")
    (folder / "pyproject.toml").write_text(torn)
    assert [what for what, _, _ in fixes(folder)] == ["pyproject.toml"]


def test_a_workspace_has_one_lock_at_its_top(tmp_path):
    folder = tmp_path / "services" / "p"
    folder.mkdir(parents=True)
    project(folder)
    shutil.move(folder / "uv.lock", tmp_path / "uv.lock")
    assert [what for what, _, _ in fixes(folder)] == ["uv.lock"], "a lock above that is not of a workspace"
    (tmp_path / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["services/*"]\n')
    assert fixes(folder) == []


def test_without_answers_the_rest_is_compared(tmp_path):
    found = drift(project(tmp_path, installed="0.1.0"), None)
    assert [f.what for f in found if not f.ok] == ["environment"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("git+https://host/a/b.git", "https://host/a/b", True),
        ("git+ssh://git@host/a/b.git", "ssh://host/a/b.git/", True),
        ("https://host/a/b", "https://host/a/c", False),
        ("file:///srv/with%20space", "file:///srv/with space", True),
    ],
)
def test_an_address_is_compared_however_it_is_spelt(one, other, same):
    assert lockstep.same_place(one, other) is same


@pytest.mark.slow
def test_what_uv_writes_is_read(tmp_path):
    """A tiny library of the same name, locked and installed by uv for real."""
    library, folder = tmp_path / "ml", tmp_path / "p"
    (library / "runtime_lib").mkdir(parents=True)
    (library / "runtime_lib" / "__init__.py").touch()
    shutil.copy(REPOSITORY / "runtime_lib" / "VERSION", library / "runtime_lib")
    (library / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling>=1.27,<2"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "runtime-lib"\ndynamic = ["version"]\n'
        "[project.optional-dependencies]\ndata = []\ntracking = []\nupgrade = []\n"
        '[tool.hatch.version]\npath = "runtime_lib/VERSION"\npattern = "(?P<version>.+)"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["runtime_lib"]\n'
    )
    git(library, "init", "--quiet")
    commit(library, "One", tag=f"v{__version__}")
    folder.mkdir()
    project(folder, pin=f"git+{library.as_uri()}@v{__version__}", lock=None)
    shutil.rmtree(folder / ".venv")
    text = (folder / "pyproject.toml").read_text().replace('"pytest>=9",\n', "")
    (folder / "pyproject.toml").write_text(
        text.replace('version = "0.1.0"', 'version = "0.1.0"\nrequires-python = ">=3.11"')
    )
    run(folder, "uv", "sync", "--quiet")
    assert fixes(folder, f"v{__version__}") == []
    (library / "runtime_lib" / "VERSION").write_text("9.0.0\n")
    commit(library, "Two", tag="v9.0.0")
    packaging = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(packaging.replace(f"@v{__version__}", "@v9.0.0"))
    assert [what for what, _, _ in fixes(folder, "v9.0.0")] == ["uv.lock"]
    run(folder, "uv", "lock", "--quiet")
    ((what, found, fix),) = fixes(folder, "v9.0.0")
    assert (what, fix) == ("environment", "uv sync")
    assert "older than the template (v9.0.0)" in found
    run(folder, "uv", "sync", "--quiet")
    assert fixes(folder, "v9.0.0") == []
