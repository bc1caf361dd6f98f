"""A damaged log: its reader never dies, names what it skips, and reads the rest."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from runtime_lib.serving.log import Damage, PredictionLog, read_predictions
from tests.support.depth import examples
from tests.support.releases import REPOSITORY

COUNT = examples(50, 10_000)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_damage_kills_the_reader_or_hides_what_is_whole(tmp_path: Path, number: int) -> None:
    """Bits flipped, holes of zeros, files cut short, batches half-written: each `COUNT` times."""
    script = REPOSITORY / "tests" / "support" / "damaged_log.py"
    command = [sys.executable, script, str(number), str(COUNT), tmp_path]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    kinds = ("bit", "hole", "truncation", "half-written")
    assert done.stdout.strip() == str(dict.fromkeys(kinds, COUNT))


def put(log: PredictionLog, name: str, carrier: str = "UA") -> None:
    rows = {"carrier": np.array([carrier], dtype=object)}
    log.append([name], rows, {"probability": np.zeros(1)}, model="flights", version="1", time=NOON)


def test_damage_is_named_by_file_place_and_size(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    ends = []
    for name in "abcd":
        put(log, name)
        [path] = tmp_path.glob("*/*")
        ends.append(path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[ends[1] - 1] ^= 1
    path.write_bytes(data)
    found: list[Damage] = []
    assert read_predictions(tmp_path, on_damage=found.append)["id"].tolist() == ["a", "c", "d"]
    size = ends[1] - ends[0]
    assert found == [Damage(path, ends[0], size, "a batch does not match its checksum")]
    assert str(found[0]) == (
        f"{path}, byte {ends[0]:,}: a batch does not match its checksum; {size:,} bytes were skipped."
    )
    with pytest.warns(UserWarning, match=r"The prediction log is damaged: .*, byte \d+:"):
        read_predictions(tmp_path)


def test_a_client_cannot_forge_a_batch(tmp_path: Path) -> None:
    """Text that holds a batch of another log is not read as one, when damage makes the reader search."""
    other = PredictionLog(tmp_path / "other")
    put(other, "forged")
    [path] = tmp_path.glob("other/*/*")
    forged = path.read_bytes().decode("latin-1")  # as near as text comes to it

    log = PredictionLog(tmp_path / "log")
    put(log, "a")
    [path] = tmp_path.glob("log/*/*")
    place = path.stat().st_size
    put(log, "b", carrier=forged)
    put(log, "c")
    data = path.read_bytes().replace(forged.encode(), forged.encode("latin-1").ljust(len(forged.encode())))
    path.write_bytes(data[:place] + b"\0" + data[place + 1 :])
    found: list[Damage] = []
    assert read_predictions(tmp_path / "log", on_damage=found.append)["id"].tolist() == ["a", "c"]
    assert [each.offset for each in found] == [place]


def test_a_batch_that_is_being_written_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader sees a part of it; the rest is there when it has come to its end."""
    from runtime_lib.serving.log import frames

    log = PredictionLog(tmp_path)
    put(log, "a")
    [path] = tmp_path.glob("*/*")
    size = path.stat().st_size
    put(log, "b")
    whole = path.read_bytes()
    path.write_bytes(whole[: size + 100])
    checksum = frames.zlib.crc32

    def meanwhile(data: bytes) -> int:
        path.write_bytes(whole)
        return checksum(data)

    monkeypatch.setattr(frames, "zlib", type("zlib", (), {"crc32": staticmethod(meanwhile)}))
    found: list[Damage] = []
    assert read_predictions(tmp_path, on_damage=found.append)["id"].tolist() == ["a"]
    assert found == []
    assert read_predictions(tmp_path, on_damage=found.append)["id"].tolist() == ["a", "b"]
