"""What is said when a stage ends badly."""

from __future__ import annotations

import pytest

from runtime_lib.errors import PipelineError, SettingsError
from runtime_lib.pipeline.dvc import reproduce


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        ("exit 1", PipelineError, "The stage's own message is above"),
        ("exit 2", SettingsError, "The stage's own message is above"),
        ("kill -9 $$", PipelineError, "It was killed (Killed"),
        ("exit 130", KeyboardInterrupt, ""),
    ],
)
def test_how_a_stage_ended_decides_what_is_said_and_the_exit_code(
    tmp_path, monkeypatch, command, error, said
):
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  train:\n    cmd: {command}\n    outs: [model]\n")
    with pytest.raises(error) as caught:
        reproduce(tmp_path)
    assert said in str(caught.value)
