"""The template keeps its word to the projects that it made; copies of it broken on purpose are found out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.migrations import pending
from tests.support import scene
from tests.support.checks import VARIATIONS, changed_meaning, unfenced
from tests.support.depth import DEEP
from tests.support.releases import RELEASES, SAMPLE, commit, git
from tests.support.scene import ANSWERS, replace
from tests.upgrade.test_migrations import PACKAGES, undeclared

VERSIONS = [f"v{version}" for version in SAMPLE]


@pytest.fixture
def broken(tagged, tmp_path) -> Path:
    """A copy of the template to break."""
    git(tagged, "clone", "--quiet", str(tagged), str(tmp_path / "template"))
    return tmp_path / "template"


@pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")
@pytest.mark.parametrize(("number", "version"), [*enumerate(VERSIONS)])
def test_an_answer_means_what_it_meant(tagged, number, version):
    """Every answer from the oldest release, whose way is the longest; the others share the answers."""
    variations = VARIATIONS if DEEP or number == 0 else VARIATIONS[number - 1 :: len(VERSIONS) - 1]
    assert changed_meaning(tagged, version, "HEAD", pending(version), variations) == []


@pytest.mark.parametrize("name", ANSWERS)
def test_each_pin_is_fenced(tagged, name):
    assert unfenced(scene.rendered(tagged, "HEAD", name)) == []


# ---------------------------------------------------------------- broken copies


def test_a_pin_without_its_fence(broken):
    file = broken / "template/pyproject.toml.jinja"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "# >>> " not in line))
    commit(broken, "No fence")
    found = unfenced(scene.rendered(broken, "HEAD", "default"))
    assert len(found) >= 2  # the project's own and Airflow's
    assert all(line.startswith('"runtime-lib[') for line in found)


@pytest.mark.parametrize("name", ["default", "least"])
def test_a_renamed_file_without_a_migration(broken, name):
    module = broken / "template/src/{{project_package}}"
    (module / "stages.py.jinja").rename(module / "steps.py.jinja")
    commit(broken, "A rename")
    before, after = (scene.rendered(broken, ref, name) for ref in (VERSIONS[0], "HEAD"))
    lost = undeclared(before, after, pending(VERSIONS[0]), PACKAGES[name])
    assert lost == {f"src/{PACKAGES[name]}/stages.py"}


_REPLAY = "{% if with_serving and start == 'earlier' %}replay.py{% endif %}.jinja"


def _flip_serving(template: Path) -> None:
    folder = template / "template/src/{{project_package}}"
    (folder / _REPLAY).rename(folder / _REPLAY.replace("if with", "if not with"))


def _always_serve(template: Path) -> None:
    folder = template / "template/src/{{project_package}}"
    (folder / _REPLAY).rename(folder / _REPLAY.replace("with_serving and ", ""))


def _swap_frameworks(template: Path) -> None:
    swapped = "{{ {'mlx': 'torch', 'torch': 'mlx'}.get(framework, framework) }}"
    replace(template / "template/mlops.toml.jinja", "{{ framework }}", swapped)


def _swap_extras(template: Path) -> None:
    replace(
        template / "copier.yml",
        ",tracking,{{ framework }}",
        ",tracking,{{ 'torch' if framework == 'mlx' else 'mlx' }}",
    )


def _swap_tiers(template: Path) -> None:
    file = template / "template/{% if tier != 'quick' %}noxfile.py{% endif %}.jinja"
    file.rename(file.with_name(file.name.replace("!=", "==")))


def _rename_a_question(template: Path) -> None:
    """Its stored answer would be forgotten without a word."""
    for file in [template / "copier.yml", *(template / "template").rglob("*.jinja")]:
        file.write_text(file.read_text().replace("author_email", "author_address"))


def _move_a_setting(template: Path) -> None:
    replace(template / "template/mlops.toml.jinja", "min_rows = ", "least_rows = ")


@pytest.mark.parametrize(
    ("change", "variations", "words"),
    [
        (_flip_serving, [{}], "{}: lost file src/late_flights/replay.py"),
        (
            _always_serve,
            [{"with_serving": False}],
            "{'with_serving': False}: back file src/late_flights/replay.py",
        ),
        (_swap_frameworks, [{"framework": "mlx"}], "lost setting training.framework = 'mlx'"),
        (_swap_extras, [{"framework": "mlx"}], "lost extra mlx"),
        (_swap_tiers, [{"tier": "quick"}], "{'tier': 'quick'}: back file noxfile.py"),
        (_rename_a_question, [{}], "lost answer author_email = ''"),
        (_move_a_setting, [{}], "lost setting monitoring.min_rows = 500"),
    ],
)
def test_an_answer_that_means_something_else(
    broken, change: Callable[[Path], None], variations: list[dict[str, Any]], words: str
):
    change(broken)
    commit(broken, "Another meaning")
    found = changed_meaning(broken, VERSIONS[0], "HEAD", pending(VERSIONS[0]), variations)
    assert any(words in line for line in found), found


def test_a_choice_that_is_gone(broken):
    """Copier would take the default instead, without a word."""
    replace(broken / "copier.yml", 'choices: ["3.11", "3.12", "3.13"]', 'choices: ["3.11", "3.12"]')
    commit(broken, "A choice less")
    with pytest.raises(UpgradeError, match=r"no longer accepts the answer python_version=3\.13"):
        changed_meaning(broken, VERSIONS[0], "HEAD", pending(VERSIONS[0]), [{"python_version": "3.13"}])
