"""Answers on their way to another version: switched with what hangs on them, never changed in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.answers import Answers, parse_answers, read_answers
from runtime_lib.upgrade.render import render
from tests.support.releases import commit, git
from tests.support.scene import make


@pytest.fixture
def answers(tagged: Path, tmp_path: Path) -> Answers:
    return read_answers(make(tagged, "HEAD", tmp_path / "project"))


def test_a_switch_takes_along_what_hangs_on_it(tagged, answers):
    files = render(answers, ref=answers.commit, changes={"with_serving": False})
    now = parse_answers(files[answers.file].decode(), answers.file)
    assert now.values["with_serving"] is False
    assert "with_monitoring" not in now.values  # not asked any more
    assert b"[serving]" not in files["mlops.toml"]
    assert b"[monitoring]" not in files["mlops.toml"]


def test_an_answer_that_is_no_longer_offered_is_refused(tagged, answers, tmp_path):
    """Copier itself would fall back to the default, and turn a project to another framework."""
    later = tmp_path / "later"
    git(tagged, "clone", "--quiet", str(tagged), str(later))
    questions = later / "copier.yml"
    text = questions.read_text()
    for line in ("PyTorch elsewhere: auto\n", "default: auto\n"):
        assert text.count(line) == 1
        text = text.replace(line, line.replace("auto", "either"))
    questions.write_text(text)
    ref = commit(later, "Another word for a choice")
    moved = Answers(answers.file, str(later), answers.commit, answers.values)
    with pytest.raises(UpgradeError, match=r"no longer accepts the answer framework=auto.*framework=either"):
        render(moved, ref=ref)
    assert b'framework = "torch"' in render(moved, ref=ref, changes={"framework": "torch"})["mlops.toml"]
