"""The library's pin follows the template: same repository, same version, for every kind of source."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import copier
import plumbum
import pytest
from packaging.requirements import Requirement

from tests.conftest import REPOSITORY, copy_template
from tests.support.releases import commit, git

HOST = "https://github.com/acme/ml-template.git"


HOSTS = [
    HOST,
    "https://gitlab.com/acme/ml-template.git",
    "https://git.example.org/acme/ml-template.git",
    "git@github.com:acme/ml-template.git",
    "ssh://git@git.example.org/acme/ml-template.git",
]


def stand_in(config: Path, address: str, folder: Path) -> None:
    """Let git find `folder` where it is asked for `address`: no network, the real code path."""
    with config.open("a") as file:
        file.write(f'[url "{folder}"]\n    insteadOf = {address}\n')


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """The template in a git repository of its own, which also answers for the addresses of its hosts."""
    folder = copy_template(tmp_path / "repository")
    config = tmp_path / "gitconfig"
    for name, value in {
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "COPIER_CACHE_DIR": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setitem(plumbum.local.env, name, value)  # its copy of the environment runs copier's git
    config.write_text("[user]\n    name = Test\n    email = test@example.org\n")
    for host in HOSTS:
        stand_in(config, host, folder)
    git(folder, "init", "--quiet")
    return folder


def pins(project: Path) -> set[str | None]:
    """The addresses behind `runtime-lib @`; each mention stands between the two lines of a fence."""
    text = (project / "pyproject.toml").read_text()
    assert (
        text.count('"runtime-lib[')
        == text.count("# >>> runtime library")
        == text.count("# <<< runtime library")
    )
    tables = tomllib.loads(text)
    named = [*tables["project"]["dependencies"], *chain.from_iterable(tables["dependency-groups"].values())]
    return {Requirement(line).url for line in named if Requirement(line).name == "runtime-lib"}


def make(source: str, folder: Path, *, ref: str | None = None, **answers: object) -> Path:
    copier.run_copy(source, folder, data=answers, defaults=True, quiet=True, vcs_ref=ref)
    return folder


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("gh:acme/ml-template", "git+https://github.com/acme/ml-template.git"),
        ("gh:acme/ml-template.git", "git+https://github.com/acme/ml-template.git"),
        ("gl:acme/ml-template", "git+https://gitlab.com/acme/ml-template.git"),
        ("https://github.com/acme/ml-template", "git+https://github.com/acme/ml-template.git"),
        (HOST, "git+https://github.com/acme/ml-template.git"),
        ("https://git.example.org/acme/ml-template.git", "git+https://git.example.org/acme/ml-template.git"),
        (
            "git+https://git.example.org/acme/ml-template.git",
            "git+https://git.example.org/acme/ml-template.git",
        ),
        ("git@github.com:acme/ml-template.git", "git+ssh://git@github.com/acme/ml-template.git"),
        (
            "ssh://git@git.example.org/acme/ml-template.git",
            "git+ssh://git@git.example.org/acme/ml-template.git",
        ),
    ],
)
def test_a_hosted_source_is_pinned_to_its_tag(repository, tmp_path, source, url):
    commit(repository, "First", tag="v0.1.0")
    assert pins(make(source, tmp_path / "project")) == {f"{url}@v0.1.0"}


def test_a_local_repository_is_pinned_to_its_tag_or_commit(repository, tmp_path):
    first = commit(repository, "First")
    assert pins(make(str(repository), tmp_path / "untagged")) == {f"git+file://{repository}@{first}"}
    git(repository, "tag", "v0.1.0")
    second = commit(repository, "Second")
    assert pins(make(str(repository), tmp_path / "newest")) == {f"git+file://{repository}@v0.1.0"}
    assert pins(make(str(repository), tmp_path / "head", ref="HEAD")) == {f"git+file://{repository}@{second}"}


def test_a_tag_that_is_no_release_is_not_used(repository, tmp_path):
    head = commit(repository, "First", tag="nightly")
    assert pins(make(str(repository), tmp_path / "project", ref="nightly")) == {
        f"git+file://{repository}@{head}"
    }


def test_an_explicit_source_replaces_the_derived_one(repository, tmp_path):
    commit(repository, "First", tag="v0.1.0")
    fork = make(str(repository), tmp_path / "fork", library_source="git+https://git.example.org/fork/lib.git")
    assert pins(fork) == {"git+https://git.example.org/fork/lib.git@v0.1.0"}
    tree = make(str(repository), tmp_path / "tree", library_source=str(REPOSITORY))
    assert pins(tree) == {f"file://{REPOSITORY}"}


def test_a_bare_repository_by_its_file_address_is_pinned(repository, tmp_path):
    commit(repository, "First", tag="v0.1.0")
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(bare))
    assert pins(make(f"file://{bare}", tmp_path / "project")) == {f"git+file://{bare}@v0.1.0"}


def test_a_file_address_that_git_cannot_read_makes_nothing(repository, tmp_path):
    """Copier takes `file://` for a folder unless it ends in `.git`, before any question is asked."""
    commit(repository, "First", tag="v0.1.0")
    with pytest.raises(ValueError, match="Local template must be a directory"):
        make(f"file://{repository}", tmp_path / "project")
    assert not (tmp_path / "project").exists()


DRAFT = "has changes that are not committed"


@pytest.mark.filterwarnings("ignore::copier.errors.DirtyLocalWarning")
@pytest.mark.parametrize("fork", ["", "git+https://git.example.org/fork/lib.git"])
@pytest.mark.parametrize("change", ["edited", "new file"])
def test_a_template_with_changes_that_are_not_committed_is_refused(repository, tmp_path, change, fork):
    """Copier commits them where nobody can fetch them, so a pin to that commit would be broken."""
    commit(repository, "First", tag="v0.1.0")
    name = "README.md.jinja" if change == "edited" else "NEW.md"
    with (repository / "template" / name).open("a") as file:
        file.write("A draft.\n")
    with pytest.raises(ValueError, match=DRAFT):
        make(str(repository), tmp_path / "project", ref="HEAD", library_source=fork)
    assert not (tmp_path / "project").exists()
    assert pins(make(str(repository), tmp_path / "release")) == {f"git+file://{repository}@v0.1.0"}
    tree = make(str(repository), tmp_path / "tree", ref="HEAD", library_source=str(REPOSITORY))
    assert pins(tree) == {f"file://{REPOSITORY}"}
    assert "A draft." in (tree / name.removesuffix(".jinja")).read_text()


@pytest.mark.filterwarnings("ignore::copier.errors.DirtyLocalWarning")
def test_an_update_to_changes_that_are_not_committed_is_refused_and_changes_nothing(repository, tmp_path):
    commit(repository, "First", tag="v0.1.0")
    project = make(str(repository), tmp_path / "project")
    git(project, "init", "--quiet")
    commit(project, "Start")
    (repository / "template" / "NEW.md").write_text("A draft.\n")
    with pytest.raises(ValueError, match=DRAFT):
        copier.run_update(project, defaults=True, overwrite=True, quiet=True, vcs_ref="HEAD")
    assert git(project, "status", "--porcelain") == ""


def test_what_is_committed_is_no_draft(repository, tmp_path):
    """Neither the message of a real commit, nor a worktree, a mirror or an untracked change elsewhere."""
    commit(repository, "First")
    head = commit(repository, "Copier automated commit for draft changes")
    worktree = tmp_path / "worktree"
    git(repository, "worktree", "add", "--quiet", "--detach", str(worktree))
    assert pins(make(str(worktree), tmp_path / "of-worktree")) == {f"git+file://{worktree}@{head}"}
    (repository / "template" / "NEW.md").write_text("A draft.\n")
    hosted = f"git+{HOST}@{head}"
    assert pins(make("gh:acme/ml-template", tmp_path / "first", ref="HEAD")) == {hosted}
    assert pins(make("gh:acme/ml-template", tmp_path / "cached", ref="HEAD")) == {hosted}
    assert pins(make(str(repository), tmp_path / "named", ref=head)) == {f"git+file://{repository}@{head}"}


@pytest.mark.parametrize("kind", ["relative path", "no git", "tarball", "password"])
def test_a_source_that_gives_no_pin_is_refused(repository, tmp_path, monkeypatch, kind):
    commit(repository, "First", tag="v0.1.0")
    monkeypatch.chdir(repository.parent)
    source, message = "./repository", "library_source=/absolute/path"
    if kind == "no git":
        shutil.rmtree(repository / ".git")
        source = str(repository)
    if kind == "tarball":
        archive = shutil.make_archive(str(tmp_path / "template"), "gztar", repository)
        source, message = archive, "Local template must be a directory"
    if kind == "password":
        source, message = "https://me:pw@git.example.org/acme/ml-template.git", "holds a password"
        stand_in(tmp_path / "gitconfig", source, repository)
    with pytest.raises(ValueError, match=message):
        make(source, tmp_path / "project")
    assert not (tmp_path / "project").exists()


def test_an_update_moves_the_pin_and_keeps_the_edits(repository, tmp_path):
    commit(repository, "First", tag="v0.1.0")
    project = make(str(repository), tmp_path / "project", project_name="flight-delays")
    git(project, "init", "--quiet")
    features = project / "src" / "flight_delays" / "features.py"
    features.write_text(features.read_text().replace("LATE_MINUTES = 15", "LATE_MINUTES = 20"))
    packaging = project / "pyproject.toml"
    subprocess.run(["uv", "add", "--frozen", "--quiet", "aiohttp>=3", "polars>=1"], cwd=project, check=True)
    commit(project, "Mine")

    (repository / "runtime_lib" / "VERSION").write_text("0.2.0\n")
    readme = repository / "template" / "README.md.jinja"
    readme.write_text(readme.read_text() + "\nNew in this version.\n")
    commit(repository, "Second", tag="v0.2.0")
    copier.run_update(project, defaults=True, overwrite=True, quiet=True)

    assert not git(project, "ls-files", "--unmerged")
    assert "<<<<<<<" not in packaging.read_text() + features.read_text()
    assert pins(project) == {f"git+file://{repository}@v0.2.0"}
    assert {"aiohttp>=3", "polars>=1"} <= set(tomllib.loads(packaging.read_text())["project"]["dependencies"])
    assert "LATE_MINUTES = 20" in features.read_text()
    assert "New in this version." in (project / "README.md").read_text()


@pytest.mark.slow
def test_uv_locks_both_mentions_of_the_library(repository, tmp_path):
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, repository / name)
    shutil.copytree(REPOSITORY / "runtime_lib", repository / "runtime_lib", dirs_exist_ok=True)
    head = commit(repository, "First", tag="v0.1.0")
    project = make(str(repository), tmp_path / "project")
    subprocess.run(["uv", "lock", "--quiet"], cwd=project, check=True)
    locked = tomllib.loads((project / "uv.lock").read_text())["package"]
    (library,) = [package for package in locked if package["name"] == "runtime-lib"]
    assert library["source"]["git"].endswith(f"?rev=v0.1.0#{head}")
    assert {"mlflow", "apache-airflow", "ray", "torch", "mlx"} <= {package["name"] for package in locked}


@pytest.mark.slow
@pytest.mark.parametrize("build", ["cpu", "pypi"])
def test_the_lock_says_which_build_of_pytorch(repository, tmp_path, monkeypatch, build):
    """An index of this test stands in for PyTorch's own, which uv lets a variable replace by its name."""
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, repository / name)
    shutil.copytree(REPOSITORY / "runtime_lib", repository / "runtime_lib", dirs_exist_ok=True)
    commit(repository, "First", tag="v0.1.0")
    answers = {"tier": "quick", "with_orchestration": False, "with_serving": False}
    project = make(str(repository), tmp_path / "project", torch_build=build, **answers)
    if build == "cpu":
        monkeypatch.setenv("UV_INDEX", f"pytorch-cpu={index_of_pytorch(tmp_path / 'index').as_uri()}")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    subprocess.run(["uv", "lock", "--quiet"], cwd=project, check=True)
    locked = tomllib.loads((project / "uv.lock").read_text())["package"]
    found = {package["version"] for package in locked if package["name"] == "torch"}
    cuda = {p["name"] for p in locked if p["name"].startswith(("nvidia-c", "cuda-", "triton"))}
    if build == "cpu":
        assert "2.13.0+cpu" in found
        assert cuda == set()
    else:
        assert found == {"2.13.0"}
        assert "triton" in cuda


def index_of_pytorch(folder: Path) -> Path:
    """A package index that holds one wheel, of PyTorch for CPUs, with nothing in it but what a lock reads."""
    wheel = folder / "torch" / "torch-2.13.0+cpu-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        info = "torch-2.13.0+cpu.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cpu\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    return folder
