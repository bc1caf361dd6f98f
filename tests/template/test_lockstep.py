"""Tag, VERSION, pin, lock and installed library are one version, wherever the template comes from."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import plumbum
import pytest
import yaml

from tests.support.depth import examples
from tests.support.projects import environment
from tests.support.releases import RELEASES, commit, git
from tests.template.test_pin import pins
from tests.template.test_update import make

SOURCES = {
    "gh:{name}": "https://github.com/{name}.git",
    "https://github.com/{name}.git": "https://github.com/{name}.git",
    "git@github.com:{name}.git": "ssh://git@github.com/{name}.git",
    "ssh://git@github.com/{name}.git": "ssh://git@github.com/{name}.git",
    "git+file://{clone}": "file://{clone}",
    "{clone}": "file://{clone}",
}
LIGHT = {"framework": "torch", "tier": "quick", "with_serving": False, "with_orchestration": False}
ASK = """
import json, runtime_lib
from importlib.metadata import distribution
library = distribution("runtime-lib")
where = json.loads(library.read_text("direct_url.json"))["vcs_info"]
print(json.dumps([runtime_lib.__version__, library.version, where["commit_id"]]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived"),
]


@pytest.fixture
def names(tagged, tmp_path, monkeypatch) -> dict[str, str]:
    """A clone that is past the last release, and a name on GitHub under which git, copier and uv find it.

    No other test has that name: uv remembers by its address what a repository held.
    """
    clone, config = tmp_path / "clone", tmp_path / "gitconfig"
    git(tmp_path, "clone", "--quiet", str(tagged), str(clone))
    commit(clone, "Past the release")
    name = f"acme/{tmp_path.parent.name}-{tmp_path.name}"
    hosts = ("https://github.com/", "git@github.com:", "ssh://git@github.com/")
    lines = [f"    insteadOf = {host}{name}.git\n" for host in hosts]
    config.write_text(f'[url "{clone}"]\n' + "".join(lines))
    for key, value in {
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "COPIER_CACHE_DIR": str(tmp_path / "copier"),
    }.items():
        monkeypatch.setenv(key, value)
        monkeypatch.setitem(plumbum.local.env, key, value)  # its copy of the environment runs copier's git
    return {"clone": str(clone), "name": name}


def uv(folder: Path, *words: str) -> None:
    subprocess.run(["uv", *words, "--quiet"], cwd=folder, env=environment(), check=True)


def locked(project: Path) -> dict[str, Any]:
    """The lock's entry of the library: one, and not of an index."""
    packages = tomllib.loads((project / "uv.lock").read_text())["package"]
    (library,) = [package for package in packages if package["name"] == "runtime-lib"]
    assert set(library["source"]) == {"git"}
    return dict(library)


def installed(project: Path, requirement: str) -> list[str]:
    """Install just the library; return its version by itself, by its metadata, and its commit."""
    uv(project, "venv", "throwaway")
    python = str(project / "throwaway" / "bin" / "python")
    uv(project, "pip", "install", "--no-deps", "--python", python, requirement)
    answer = subprocess.run([python, "-c", ASK], cwd=project, capture_output=True, text=True, check=True)
    return list(json.loads(answer.stdout))


def in_step(project: Path, url: str, ref: str, clone: Path) -> None:
    """Follow one version from the answers to the interpreter."""
    sha = git(clone, "rev-parse", f"{ref}^{{commit}}")
    version = git(clone, "show", f"{ref}:runtime_lib/VERSION")
    described = yaml.safe_load((project / ".copier-answers.yml").read_text())["_commit"]
    assert described == git(clone, "describe", "--tags", "--always", ref)
    assert pins(project) == {f"git+{url}@{ref}"}
    uv(project, "lock")
    uv(project, "lock", "--check")  # what `uv sync --locked` asks in CI
    library = locked(project)
    assert library["version"] == version
    assert library["source"]["git"] == f"{url}?rev={ref}#{sha}"
    assert installed(project, f"runtime-lib @ git+{url}@{ref}") == [version, version, sha]


# The pin of each source is in test_pin.py; here it is locked and installed too.
@pytest.mark.parametrize("source", [*SOURCES][: examples(1, 6)])
def test_a_release_is_one_version_throughout(names, tmp_path, source):
    version = RELEASES[-1][0]
    project = make(source.format_map(names), tmp_path / "project", f"v{version}", **LIGHT)
    in_step(project, SOURCES[source].format_map(names), f"v{version}", Path(names["clone"]))
    assert git(Path(names["clone"]), "show", f"v{version}:runtime_lib/VERSION") == version


@pytest.mark.parametrize("source", ["{clone}", "gh:{name}"][: examples(1, 2)])
def test_a_commit_past_the_release_is_one_commit_throughout(names, tmp_path, source):
    head = git(Path(names["clone"]), "rev-parse", "HEAD")
    project = make(source.format_map(names), tmp_path / "project", "HEAD", **LIGHT)
    in_step(project, SOURCES[source].format_map(names), head, Path(names["clone"]))
