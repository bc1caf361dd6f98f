"""Where a recording is written: whole, or not at all, and never over something."""

from __future__ import annotations

import pytest

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.hardware.read.probe import Question
from runtime_lib.hardware.replay.folder import Replay
from runtime_lib.hardware.replay.recording import record
from tests.support.identifiable import M5, mac
from tests.support.stubs import live


def test_a_folder_with_files_is_refused_and_keeps_them(tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "note.txt").write_text("mine")
    with pytest.raises(SettingsError, match=r"mine exists and is not empty: name a new folder"):
        record(target, mac(tmp_path))
    assert [path.name for path in target.iterdir()] == ["note.txt"]
    with pytest.raises(SettingsError, match=r"note.txt exists"):
        record(target / "note.txt", mac(tmp_path))
    assert (target / "note.txt").read_text() == "mine"


def test_a_folder_that_fills_meanwhile_keeps_its_files(tmp_path):
    target = tmp_path / "mine"

    class Slow(Replay):
        def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
            target.mkdir(exist_ok=True)
            (target / "note.txt").write_text("mine")
            return super().ask(*questions)

    with pytest.raises(SettingsError, match="cannot be written"):
        record(target, Slow(M5))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"], "nothing half-written beside it"
    assert [path.name for path in target.iterdir()] == ["note.txt"]


def test_an_empty_folder_and_folders_that_are_not_there_are_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    assert record(tmp_path / "empty", Replay(M5))
    assert record(tmp_path / "a" / "b" / "c", Replay(M5))


def test_where_no_folder_can_be_the_message_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot be written .*: name another folder"):
        record(tmp_path / "file" / "new", Replay(M5))


def test_a_machine_that_answers_nothing_leaves_no_folder(tmp_path):
    with pytest.raises(DataError, match="nothing to record"):
        record(tmp_path / "new", live(tmp_path / "bin", {}))
    assert not (tmp_path / "new").exists()


def test_interrupted_it_leaves_nothing(tmp_path):
    class Interrupted(Replay):
        def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(tmp_path / "new", Interrupted(M5))
    assert not list(tmp_path.iterdir())
