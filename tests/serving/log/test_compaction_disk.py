"""Compaction on a disk that is full: it says so, the segments stay, and the next one does the work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.serving.log import compact
from tests.serving.test_log_disk import full_at
from tests.support.logged import LATER, Answered, counted, write

MANY = [Answered(0, minute, [f"{minute}-{row}" for row in range(200)]) for minute in range(40)]


def refused(folder: Path, reason: str) -> None:
    """Compaction is refused for this reason and changes nothing; readers get all."""
    before, files = counted(folder), sorted(folder.glob("*/*"))
    with pytest.raises(ServiceError, match=rf"2026-05-04 cannot be compacted \(.*{reason}.*Nothing is lost"):
        compact(folder, now=LATER)
    assert sorted(folder.glob("*/*")) == files
    assert counted(folder) == before


@pytest.mark.parametrize("share", [None, 20_000])  # in memory; rows put aside on the same disk
def test_a_file_that_may_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: int | None) -> None:
    if share:
        monkeypatch.setattr("runtime_lib.serving.log.spill._SHARE", share)
    write(tmp_path, MANY)
    expected = counted(tmp_path)
    with full_at(10_000):
        refused(tmp_path, "File too large")
    assert compact(tmp_path, now=LATER).rows == len(expected)
    write(tmp_path, [Answered(0, 100, ["late"])])
    with full_at(10_000):  # and so stays a day that was compacted once
        refused(tmp_path, "File too large")
    assert compact(tmp_path, now=LATER).rows == len(expected) + 1


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk, and not in every container")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_without_space(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, 2 * 2**20):
        write(disk / "log", MANY)
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        # The lock of the readers was not there yet, and needs no space; the list of the day does.
        refused(disk / "log", "No space left on device")
        filler.unlink()
        assert compact(disk / "log", now=LATER).rows == 8_000


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() == 0:
        pytest.skip("root may write everywhere")
    write(tmp_path, MANY)
    day = tmp_path / "2026-05-04"
    day.chmod(0o500)
    try:
        refused(tmp_path, "Permission denied")
    finally:
        day.chmod(0o700)
