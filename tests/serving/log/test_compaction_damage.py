"""Damage around compaction: it is named, what is damaged is kept, and the rest is read."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from runtime_lib.errors import DataError
from runtime_lib.serving.log import Damage, PredictionLog, compact, read_predictions
from runtime_lib.serving.log.manifest import MANIFEST
from tests.support.depth import examples
from tests.support.logged import LATER, Answered, put, rows_of, write
from tests.support.releases import REPOSITORY

TIMES = examples(60, 5_000)

_READER = """
import random, sys
from pathlib import Path
from runtime_lib.serving.log import read_predictions
path, seeds = Path(sys.argv[1]), int(sys.argv[2])
whole = path.read_bytes()
expected = {f"{minute}-{row}": float(minute) for minute in range(40) for row in range(25)}
for seed in range(seeds):
    draw = random.Random(seed)
    data = bytearray(whole)
    where = draw.randrange(len(data))
    kind = draw.choice(["bit", "hole", "cut"])
    if kind == "bit":
        data[where] ^= 1 << draw.randrange(8)
    elif kind == "hole":
        data[where : where + 64] = bytes(len(data[where : where + 64]))
    else:
        del data[where:]
    path.write_bytes(data)
    found = []
    table = read_predictions(path.parents[1], on_damage=found.append)
    read = dict(zip(table["id"], table["hour"])) if len(table) else {}
    assert read.items() <= expected.items(), (seed, kind, where)
    assert len(read) == len(expected) or found, (seed, kind, where)
    assert all(each.path == path for each in found), found
    rest = "end is damaged" not in found[0].reason and "list" not in found[0].reason if found else True
    assert len(read) >= 800 or not rest, (seed, kind, where)  # a hole may reach into two groups of 100
print("read", seeds)
"""


@pytest.mark.parametrize("pattern", ["*/*.parquet", "*/compacted.json"])
def test_no_damage_ends_the_reader_or_is_read_as_something_else(tmp_path: Path, pattern: str) -> None:
    """A process of its own, as what it looks for is its death; row groups of 100 rows, 10 of them."""
    code = (
        "import sys; from pathlib import Path\n"
        "import runtime_lib.serving.log.parts as parts; parts._GROUP = 100\n"
        "from tests.support.logged import *; from runtime_lib.serving.log import compact\n"
        "write(Path(sys.argv[1]), [Answered(0, m, [f'{m}-{r}' for r in range(25)]) for m in range(40)])\n"
        "print(compact(Path(sys.argv[1]), now=LATER).rows)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    [path] = tmp_path.glob(pattern)
    command = [sys.executable, "-c", _READER, str(path), str(TIMES)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert done.stdout == f"read {TIMES}\n"


def test_a_damaged_segment_is_kept_aside_and_still_named(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    ends = []
    for number, name in enumerate("abc"):
        put(log, Answered(0, number, [name]))
        [path] = tmp_path.glob("*/*.arrows")
        ends.append(path.stat().st_size)
    log.close()
    data = bytearray(path.read_bytes())
    data[ends[1] - 1] ^= 1
    path.write_bytes(data)
    before: list[Damage] = []
    assert read_predictions(tmp_path, on_damage=before.append)["id"].tolist() == ["a", "c"]
    done = compact(tmp_path, now=LATER)
    assert done.damage == tuple(before)
    aside = path.with_name(path.name + ".damaged")
    assert aside.read_bytes() == data
    after: list[Damage] = []
    assert read_predictions(tmp_path, on_damage=after.append)["id"].tolist() == ["a", "c"]
    assert after == [Damage(aside, ends[0], ends[1] - ends[0], "a batch does not match its checksum")]
    write(tmp_path, [Answered(0, 5, ["d"])])  # and still when the day is compacted again
    assert compact(tmp_path, now=LATER).rows == 3
    again: list[Damage] = []
    assert read_predictions(tmp_path, on_damage=again.append)["id"].tolist() == ["a", "c", "d"]
    assert again == after
    assert aside.exists()


def test_a_damaged_part_is_kept_when_its_day_is_compacted_again(tmp_path: Path) -> None:
    write(tmp_path, [Answered(0, 0, ["a", "b"]), Answered(0, 1, ["a"], version="2")])
    compact(tmp_path, now=LATER)
    path = min(tmp_path.glob("*/*.parquet"))
    data = bytearray(path.read_bytes())
    data[random.Random(1).randrange(10, 60)] ^= 1  # within the first page
    path.write_bytes(data)
    write(tmp_path, [Answered(0, 2, ["c"])])
    done = compact(tmp_path, now=LATER)
    assert done.rows == 2
    assert done.damage[0].reason == "2 rows do not match the checksum of their column 'id'"
    [aside] = tmp_path.glob("*/*.damaged")
    assert aside.read_bytes() == data
    found: list[Damage] = []
    assert [row["id"] for row in rows_of(tmp_path, on_damage=found.append)] == ["c", "a"]
    assert [each.path for each in found] == [aside]


def test_a_day_whose_list_is_damaged_is_left_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, [Answered(0, 0, ["a", "b"])])
    compact(tmp_path, now=LATER)
    write(tmp_path, [Answered(0, 2, ["c"])])
    [path] = tmp_path.glob(f"*/{MANIFEST}")
    path.write_text(path.read_text().replace('"number": 1', '"number": 2'))
    files = sorted(tmp_path.glob("*/*"))
    done = compact(tmp_path, now=LATER)
    [damage] = done.damage
    assert str(damage).startswith(f"{path}, byte 0: the list of the day's compacted rows is damaged; ")
    assert sorted(tmp_path.glob("*/*")) == files


def test_a_day_compacted_by_a_later_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, [Answered(0, 0, ["a"])])
    with monkeypatch.context() as patch:
        patch.setattr("runtime_lib.serving.log.manifest._FORMAT", 2)
        compact(tmp_path, now=LATER)
    for use in (read_predictions, lambda folder: compact(folder, now=LATER)):
        write(tmp_path, [Answered(0, 1, ["b"])])
        with pytest.raises(DataError, match=r"compacted.json has format 2; this library reads 1"):
            use(tmp_path)
