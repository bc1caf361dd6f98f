"""Days that are old enough are deleted whole: never today's, never what is no day, and labels stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.locks import one_at_a_time
from runtime_lib.serving.log import compact, delete_before, read_predictions, scan
from tests.support.logged import DAY, LATER, Answered, write

NOON = DAY + timedelta(days=10, hours=12)


def days(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A row for each of eleven days, the first of which are compacted; the last one is today."""
    early = [Answered(0, day * 24 * 60, [str(day)]) for day in range(11)]
    write(tmp_path, early[:6])
    compact(tmp_path, now=LATER)
    write(tmp_path, early[6:])
    return tmp_path


def test_older_days_are_deleted_whole(log: Path) -> None:
    (log / "2026-05-03-copy").mkdir()
    (log / "2026-05-99").mkdir()
    (log / "notes.txt").write_text("mine")
    assert delete_before(log, 3, now=NOON) == tuple(f"2026-05-{day:02}" for day in range(4, 11))
    left = ["2026-05-03-copy", *(f"2026-05-{day}" for day in (11, 12, 13, 14, 99)), "notes.txt"]
    assert days(log) == left
    assert read_predictions(log)["id"].tolist() == ["7", "8", "9", "10"]
    assert delete_before(log, 3, now=NOON) == ()


@pytest.mark.parametrize(("keep", "left"), [(0, 11), (1, 2), (10, 11), (9, 10), (10**9, 11)])
def test_so_many_days_before_today_are_kept(log: Path, keep: int, left: int) -> None:
    delete_before(log, keep, now=NOON)
    assert len(days(log)) == left


def test_nothing_goes_while_someone_reads_or_compacts(log: Path) -> None:
    reader = scan(log)
    next(reader)
    assert delete_before(log, 1, now=NOON) == ()
    assert sum(map(len, reader)) == 10
    with one_at_a_time(log) as alone:
        assert alone
        assert delete_before(log, 1, now=NOON) == ()
    assert len(delete_before(log, 1, now=NOON)) == 9


def test_a_link_to_a_folder_elsewhere_is_left_alone(log: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (log / "2020-01-01").symlink_to(elsewhere)
    assert "2020-01-01" not in delete_before(log, 1, now=NOON)
    assert (elsewhere / "kept").exists()


def test_what_cannot_be_deleted_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)  # root may delete everything
    with pytest.raises(ServiceError, match=r"older than the 1 of `keep_days`.*Permission denied: .*05-04"):
        delete_before(log, 1, now=NOON)


def test_no_log_is_no_error(tmp_path: Path) -> None:
    assert delete_before(tmp_path / "none", 1, now=datetime.now(UTC)) == ()
