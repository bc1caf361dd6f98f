"""Past days as Parquet: readers get what they got before, and nothing that may still change is touched."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_lib.serving.log import PredictionLog, compact, read_predictions, scan
from tests.support.depth import examples
from tests.support.logged import DAY, LATER, Answered, aged, answers, counted, put, rows_of, write
from tests.support.old_log import old_segment
from tests.support.releases import REPOSITORY

IDS = ["a", "b", "c", "order-17", "order-170", "é", "", "x" * 50]
ANSWERED = answers(IDS, "primary", "shadow")


def key(row: dict[str, object]) -> tuple[object, ...]:
    return row["id"], row["version"], row["mlops.role"], row["time"].date()  # type: ignore[attr-defined]


@given(st.lists(ANSWERED, max_size=30, unique_by=lambda a: a.minutes), st.integers(0, 30), st.booleans())
@settings(max_examples=examples(40, 500), deadline=None)
def test_compaction_changes_nothing_that_counts(history: list[Answered], cut: int, spilled: bool) -> None:
    """Two processes, versions and roles, ids repeated, and a part that comes after the first compaction."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        if spilled:
            patch.setattr("runtime_lib.serving.log.spill._SHARE", 500)
        log, whole = Path(name) / "log", Path(name) / "whole"
        write(whole, history)
        everything = rows_of(whole)
        last = {key(row): row for row in sorted(everything, key=lambda row: row["time"])}
        late = [Answered(each.process + 2, *list(vars(each).values())[1:]) for each in history[cut:]]
        write(log, history[:cut])
        done = [compact(log, now=LATER)]
        logs = [PredictionLog(log) for _ in range(4)]
        for number, answered in enumerate(late, cut):
            put(logs[answered.process], answered, float(number))
        for each in logs:
            each.close()
        assert counted(log) == counted(whole)
        done.append(compact(log, now=LATER))
        assert counted(log) == counted(whole)
        found = rows_of(log)
        assert {key(row): row for row in found} == last
        assert len(found) == len(last)
        assert len(everything) - len(found) == sum(each.repeated for each in done)
        assert list(log.glob("*/*.arrows")) == []
        for one in ({"version": "1"}, {"since": DAY + timedelta(days=1)}, {"until": DAY + timedelta(days=1)}):
            assert counted(log, **one) == counted(whole, **one)


def test_columns_are_the_same_whether_compacted_or_not(tmp_path: Path) -> None:
    history = [Answered(0, 0, ["a", "b"], text=True), Answered(0, 1, ["c"], version="2")]
    write(tmp_path, history)
    asked = ["hour", "mlops.answer.probability", "carrier", "unknown"]
    before = read_predictions(tmp_path, columns=asked)
    names = [batch.schema.names for batch in scan(tmp_path, columns=asked)]
    types = [batch.schema.types for batch in scan(tmp_path)]
    compact(tmp_path, now=LATER)
    assert read_predictions(tmp_path, columns=asked).equals(before)
    assert [batch.schema.names for batch in scan(tmp_path, columns=asked)] == names
    assert [batch.schema.types for batch in scan(tmp_path)] == types
    assert names == [["hour", "carrier", "mlops.answer.probability"], ["hour", "mlops.answer.probability"]]
    assert list(before.columns) == [
        *("id", "time", "model", "version", "hour", "carrier"),
        "mlops.answer.probability",
    ]
    for which in ("version", "mlops.role", "id"):
        assert sum(map(len, scan(tmp_path, columns=[which]))) == 3


def test_today_and_what_is_open_or_was_written_just_now_wait(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    put(log, Answered(0, 0, ["a"]))
    [segment] = tmp_path.glob("*/*.arrows")
    assert compact(tmp_path, now=LATER).days == ()  # open
    log.close()
    assert compact(tmp_path).days == ()  # written within ten minutes
    aged(tmp_path, 601)
    assert compact(tmp_path, now=DAY + timedelta(hours=23)).days == ()  # today
    assert segment.exists()
    assert compact(tmp_path).days == ("2026-05-04",)
    assert not segment.exists()
    assert compact(tmp_path).days == ()
    put(log, Answered(0, 0, ["a", "b"]), 7.0)  # the writer goes on after it was closed
    assert [path.name for path in tmp_path.glob("*/*.arrows")] != [segment.name]
    assert read_predictions(tmp_path)["hour"].tolist() == [7.0, 7.0]


def another(code: str, folder: Path) -> subprocess.Popen[bytes]:
    """A process that runs the code, which reads a line when it is to go on."""
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_writer_of_another_process_keeps_its_segment_until_it_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.support.logged import *\n"
        "from runtime_lib.serving.log import PredictionLog\n"
        "log = PredictionLog(Path(sys.argv[1])); put(log, Answered(0, 0, ['a']))\n"
        "print(flush=True); input()\n"
        "put(log, Answered(0, 1, ['b']))"
    )
    with another(code, tmp_path) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert compact(tmp_path, now=LATER).days == ()
        writer.communicate(b"\n")
    assert compact(tmp_path, now=LATER).rows == 2
    assert read_predictions(tmp_path)["id"].tolist() == ["a", "b"]


def test_a_reader_keeps_the_files_that_it_counts_on(tmp_path: Path) -> None:
    write(tmp_path, [Answered(n, n, [f"{n}-{row}" for row in range(70_000)]) for n in range(2)])
    reader = scan(tmp_path)
    first = next(reader)
    assert compact(tmp_path, now=LATER).rows == 140_000
    assert len(list(tmp_path.glob("*/*.arrows"))) == 2
    assert len(list(scan(tmp_path, columns=["id"]))) > 1  # another reader, who has the Parquet
    ids = [*first["id"].to_pylist(), *(each for batch in reader for each in batch["id"].to_pylist())]
    assert len(ids) == len(set(ids)) == 140_000
    assert compact(tmp_path, now=LATER).days == ()  # takes away what was left
    assert list(tmp_path.glob("*/*.arrows")) == []
    assert sum(map(len, scan(tmp_path))) == 140_000


def test_one_process_compacts_at_a_time(tmp_path: Path) -> None:
    write(tmp_path, [Answered(0, 0, ["a"])])
    code = (
        "import sys; from pathlib import Path; from runtime_lib.locks import one_at_a_time\n"
        "with one_at_a_time(Path(sys.argv[1])) as alone: print(alone, flush=True); input()"
    )
    with another(code, tmp_path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        assert compact(tmp_path, now=LATER).busy
        assert len(list(tmp_path.glob("*/*.arrows"))) == 1
        other.communicate(b"\n")
    assert not compact(tmp_path, now=LATER).busy


@pytest.mark.parametrize("number", [1, 2])
def test_segments_of_earlier_releases_are_compacted_too(tmp_path: Path, number: int) -> None:
    """With an answer of today's release to an id of theirs: the last one counts, in whatever shape it is."""
    path = tmp_path / "2026-05-04" / "1-0.arrows"
    old_segment(path, [["a", "b"], ["c"]], number=number, time=DAY)
    write(tmp_path, [Answered(0, 1, ["b"]), Answered(0, 2, ["c"], version="2")])
    before = counted(tmp_path)
    done = compact(tmp_path, now=LATER)
    assert (done.rows, done.repeated) == (4, 1)
    assert counted(tmp_path) == before
    assert {row["id"]: row["hour"] for row in rows_of(tmp_path, version="1")} == {"a": 0, "b": 0, "c": 2}


def test_a_segment_that_grew_after_it_was_compacted_is_read_on_behind_that(tmp_path: Path) -> None:
    """As a server of 0.8 may write it, which locks nothing."""
    write(tmp_path, [Answered(0, 0, ["a", "b"])])
    [segment] = tmp_path.glob("*/*.arrows")
    kept = segment.read_bytes()
    reader = scan(tmp_path)
    next(reader)  # so that the segment stays
    assert compact(tmp_path, now=LATER).rows == 2
    reader.close()
    write(tmp_path / "other", [Answered(0, 5, ["b", "c"])])
    [other] = (tmp_path / "other").glob("*/*.arrows")
    start, data = other.read_bytes().index(b"\xff\xfemlops\x03"), other.read_bytes()
    marker = kept[(at := kept.index(b"\xff\xfemlops\x03")) : at + 16]
    from runtime_lib.serving.log.format import frame, read_header

    header = read_header(data[start:])
    assert header is not None
    content = data[start + header.size :]
    more = frame(marker, content[: header.shape], content[header.shape :], time=header.time)
    with segment.open("ab") as file:
        file.write(more)
    for path in (*(tmp_path / "other").rglob("*"),):
        if path.is_file():
            path.unlink()
    assert [row["id"] for row in rows_of(tmp_path)] == ["a", "b", "b", "c"]
    assert compact(tmp_path, now=LATER).rows == 3
    assert sorted(row["id"] for row in rows_of(tmp_path)) == ["a", "b", "c"]
    assert list((tmp_path / "2026-05-04").glob("*.arrows")) == []


def test_all_that_is_written_is_the_owners_alone(tmp_path: Path) -> None:
    write(tmp_path / "log", [Answered(0, 0, ["a"])])
    compact(tmp_path / "log", now=LATER)
    files = [path for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}


def test_days_are_read_by_row_groups_that_hold_what_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime_lib.serving.log.parts._GROUP", 100)
    write(tmp_path, [Answered(0, minute, [f"{minute}-{row}" for row in range(50)]) for minute in range(20)])
    compact(tmp_path, now=LATER)
    [path] = tmp_path.glob("*/*.parquet")
    assert pq.ParquetFile(path).num_row_groups == 10
    read: list[list[int]] = []
    real = pq.ParquetFile.iter_batches

    def counting(self: pq.ParquetFile, *args: object, **options: object) -> object:
        read.append(options["row_groups"])  # type: ignore[arg-type]
        return real(self, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counting)
    table = read_predictions(tmp_path, since=DAY + timedelta(minutes=17), until=DAY + timedelta(minutes=18))
    assert table["hour"].tolist() == [17.0] * 50
    assert read == [[8]]


def test_no_log_is_no_error(tmp_path: Path) -> None:
    assert compact(tmp_path / "none").days == ()
    assert not (tmp_path / "none").exists()
    assert datetime.now(UTC) < LATER
