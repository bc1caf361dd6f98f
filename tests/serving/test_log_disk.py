"""The prediction log on a disk that is full, and in a folder that cannot be written."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.serving.log import PredictionLog, read_predictions
from tests.support.waiting import eventually


def put(log: PredictionLog, *ids: str) -> None:
    rows = {"hour": np.arange(len(ids), dtype=float)}
    answer = {"probability": np.zeros(len(ids))}
    log.append(ids, rows, answer, model="flights", version="1", time=datetime.now(UTC))


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes; the kernel then writes a part, and refuses the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(log: PredictionLog, limit: int = 1_000) -> list[str]:
    """Append until it is refused; return what was not."""
    done: list[str] = []
    for number in range(limit):
        try:
            put(log, str(number), f"{number}b")
        except ServiceError:
            return done
        done += [str(number), f"{number}b"]
    raise AssertionError("nothing was refused")


def test_a_full_disk_is_told_counted_and_recovered_from(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    with full_at(20_000):
        done = fill(log)
        assert len(done) > 20
        assert log.failing is not None
        assert f"cannot be written to {tmp_path} (File too large)" in log.failing
        assert log.refused == 2
        with pytest.raises(ServiceError, match="Free space there"):
            put(log, "refused", "too", "as well")
        assert log.refused == 5
    eventually(lambda: log.failing is None, 3)
    put(log, "after")
    assert len(list(tmp_path.glob("*/*"))) == 1
    assert read_predictions(tmp_path)["id"].tolist() == [*done, "after"]  # without a warning, see below
    assert log.refused == 5


def test_an_append_too_finds_that_there_is_space_again(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    with full_at(5_000):
        done = fill(log)

    def goes() -> bool:
        try:
            put(log, "after")
        except ServiceError:
            return False
        return True

    eventually(goes, 3)
    assert log.failing is None
    assert read_predictions(tmp_path)["id"].tolist() == [*done, "after"]


def test_it_is_tried_once_a_second_however_many_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, tries, write = PredictionLog(tmp_path), [], os.write

    def counted(file: int, data: bytes) -> int:
        tries.append(time.monotonic())
        return write(file, data)

    with full_at(5_000):
        fill(log)
        monkeypatch.setattr(os, "write", counted)
        start = time.monotonic()
        for number in range(2_000):
            with pytest.raises(ServiceError):
                put(log, str(number))
            assert log.failing
        took = time.monotonic() - start
    assert len(tries) <= 2 * (int(took) + 1)  # of one attempt the kernel may take a part first
    assert log.refused == 2_002


def test_a_disk_without_any_space_is_not_littered(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    with full_at(100):  # less than the beginning of a segment
        assert log.failing
        fill(log)
        assert list(tmp_path.glob("*/*")) == []
    eventually(lambda: log.failing is None, 3)
    put(log, "a")
    assert read_predictions(tmp_path)["id"].tolist() == ["a"]


def test_a_folder_that_cannot_be_made_is_told_before_the_first_row(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "predictions"
    folder.parent.mkdir()
    folder.write_text("in the way")
    log = PredictionLog(folder)
    assert log.failing
    assert f"{folder} (File exists)" in log.failing
    assert "make the folder writable" in log.failing
    folder.unlink()
    eventually(lambda: log.failing is None, 3)
    put(log, "a")
    assert read_predictions(folder)["id"].tolist() == ["a"]


def test_a_log_that_was_only_asked_leaves_nothing(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    assert log.failing is None
    assert len(list(tmp_path.glob("*/*"))) == 1
    assert read_predictions(tmp_path).empty
    log.close()
    assert list(tmp_path.glob("*/*")) == []


def test_a_segment_that_someone_removed_is_begun_anew(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    put(log, "gone")
    [path] = tmp_path.glob("*/*")
    path.unlink()
    path.parent.rmdir()
    put(log, "here")
    assert read_predictions(tmp_path)["id"].tolist() == ["here"]


pytestmark = pytest.mark.filterwarnings("error:The prediction log is damaged")
