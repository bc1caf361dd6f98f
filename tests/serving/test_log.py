"""The prediction log: what was acknowledged is there, whatever happened to the writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from runtime_lib.errors import DataError
from runtime_lib.serving.log import PredictionLog, answers, read_predictions

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def put(
    log: PredictionLog, *ids: str, at: datetime = NOON, version: str = "1", **columns: list[object]
) -> None:
    rows = {
        "hour": np.arange(len(ids), dtype=float),
        "carrier": np.array(["UA", None] * len(ids), dtype=object)[: len(ids)],
    }
    for name, values in columns.items():
        rows[name] = np.array(values, dtype=object if isinstance(values[0], str) else float)
    log.append(
        list(ids),
        rows,
        {"probability": np.linspace(0, 1, len(ids))},
        model="flights",
        version=version,
        time=at,
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    put(log, "a", "b", "c", wind=[1.5, np.nan, 3.0])
    table = read_predictions(tmp_path)  # the writer is still open
    assert table["id"].tolist() == ["a", "b", "c"]
    assert table["time"].tolist() == [NOON] * 3
    assert table["mlops.answer.probability"].tolist() == [0, 0.5, 1]
    assert table["hour"].tolist() == [0, 1, 2]
    assert table["wind"].isna().tolist() == [False, True, False]
    assert table["carrier"].isna().tolist() == [False, True, False]
    assert list(table.columns) == [
        "id",
        "time",
        "model",
        "version",
        "hour",
        "carrier",
        "wind",
        "mlops.answer.probability",
    ]
    assert [path.parent.name for path in tmp_path.glob("*/*.arrows")] == ["2026-05-04"]


def test_an_empty_log_is_an_empty_table(tmp_path: Path) -> None:
    table = read_predictions(tmp_path / "nothing")
    assert table.empty
    assert list(table.columns) == ["id", "time", "model", "version"]


def test_the_last_answer_of_a_version_to_an_id_counts_and_since_cuts_by_time(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    put(log, "a", "b")
    put(log, "b", "a", at=NOON + timedelta(days=1))
    table = read_predictions(tmp_path).set_index("id")
    assert table["mlops.answer.probability"].to_dict() == {"b": 0.0, "a": 1.0}
    put(log, "a", at=NOON + timedelta(days=2))
    assert read_predictions(tmp_path, since=NOON + timedelta(hours=25))["id"].tolist() == ["a"]
    assert len(read_predictions(tmp_path, since=NOON)) == 2


def test_two_versions_may_answer_one_id_and_neither_erases_the_other(tmp_path: Path) -> None:
    """As a shadow does, which answers each of the champion's requests a moment later."""
    log, shadow = PredictionLog(tmp_path), PredictionLog(tmp_path)
    put(log, "a", "b", gate=[4.0, 5.0])
    put(shadow, "b", "a", at=NOON + timedelta(seconds=1), version="2", gate=["B4", "B5"])
    put(log, "a", at=NOON + timedelta(seconds=2), gate=[6.0])

    assert len(read_predictions(tmp_path)) == 4
    first = read_predictions(tmp_path, version="1").set_index("id")
    assert first["mlops.answer.probability"].to_dict() == {"b": 1.0, "a": 0.0}
    assert first["gate"].to_dict() == {"b": 5.0, "a": 6.0}  # although version 2 takes text
    second = read_predictions(tmp_path, version="2").set_index("id")
    assert second["mlops.answer.probability"].to_dict() == {"b": 0.0, "a": 1.0}
    assert second["gate"].to_dict() == {"b": "B4", "a": "B5"}
    assert read_predictions(tmp_path, version="3").empty


def test_versions_with_other_inputs_share_the_log(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    put(log, "a", gate=[4.0])
    put(log, "b", gate=["B4"], at=NOON + timedelta(minutes=1), snow=[1.0])
    table = read_predictions(tmp_path).set_index("id")
    assert table.loc["b", ["gate", "snow"]].tolist() == ["B4", 1.0]
    assert table.loc["a", ["gate", "snow"]].isna().all()


@pytest.mark.parametrize("name", ["id", "model", "mlops.answer", "mlops.answer.probability"])
def test_an_input_named_like_a_column_of_the_log_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"'{name}' has the name of a column"):
        put(PredictionLog(tmp_path), "a", **{name: [1.0]})


def test_an_input_may_have_the_name_of_an_output(tmp_path: Path) -> None:
    put(PredictionLog(tmp_path), "a", "b", probability=[0.25, 0.75])
    table = read_predictions(tmp_path)
    assert table["probability"].tolist() == [0.25, 0.75]
    assert table["mlops.answer.probability"].tolist() == [0, 1]


def test_versions_with_other_outputs_share_the_log(tmp_path: Path) -> None:
    """As after a change of `task.levels`: each version's answers stay, the other's are missing."""
    put(PredictionLog(tmp_path), "a")
    quantiles = {"p10": np.array([1.0]), "p90": np.array([3.0])}
    log, rows = PredictionLog(tmp_path), {"hour": np.array([6.0])}
    log.append(["b"], rows, quantiles, model="flights", version="2", time=NOON + timedelta(minutes=1))
    both = answers(read_predictions(tmp_path))
    assert list(both) == ["probability", "p10", "p90"]
    np.testing.assert_array_equal(both["probability"], [0, np.nan])
    np.testing.assert_array_equal(both["p90"], [np.nan, 3])
    assert list(answers(read_predictions(tmp_path, version="2"))) == ["p10", "p90"]


def test_threads_may_share_a_log(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)

    def write(worker: int) -> None:
        for number in range(50):
            put(log, f"{worker}-{number}")

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_predictions(tmp_path)) == 400


def test_a_torn_tail_costs_only_the_batch_that_was_torn(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    ends = []
    for name in ("a", "b", "c"):
        put(log, name)
        (path,) = tmp_path.glob("*/*.arrows")
        ends.append(path.stat().st_size)
    whole = path.read_bytes()
    for size in {
        *range(0, len(whole), 13),
        *(end + step for end in ends for step in (-1, 0, 1) if end + step <= ends[-1]),
    }:
        path.write_bytes(whole[:size])
        assert len(read_predictions(tmp_path)) == sum(end <= size for end in ends), f"cut at byte {size}"


def test_a_failed_write_is_an_error_and_later_ones_are_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up in the middle of a batch: simulated, as a full disk cannot be had here."""
    log = PredictionLog(tmp_path)
    put(log, "before")
    write, calls = os.write, iter(range(2))

    def full(file: int, data: memoryview) -> int:
        if next(calls) == 0:
            return write(file, data[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            put(log, "lost")
    put(log, "after")
    assert read_predictions(tmp_path)["id"].tolist() == ["before", "after"]


def test_a_later_format_is_refused_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("runtime_lib.serving.log._FORMAT", 3)
        put(PredictionLog(tmp_path), "a", only_here=[1.0])
    with pytest.raises(DataError, match="format 3; this library reads 1 to 2"):
        read_predictions(tmp_path)


_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import numpy as np
from runtime_lib.serving.log import PredictionLog
log = PredictionLog(Path(sys.argv[1]))
number = 0
while True:
    ids = [f"{number}-{row}" for row in range(number % 7 + 1)]
    rows = {"hour": np.full(len(ids), float(number)), "carrier": np.array(["UA"] * len(ids), dtype=object)}
    log.append(ids, rows, {"probability": np.zeros(len(ids))}, model="m", version="1", time=datetime.now(UTC))
    print(*ids, flush=True)
    number += 1
"""


@pytest.mark.parametrize("acknowledged", [1, 40, 200])
def test_kill_9_loses_no_acknowledged_row(tmp_path: Path, acknowledged: int) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        ids = [name for _ in range(acknowledged) for name in writer.stdout.readline().split()]
        writer.send_signal(signal.SIGKILL)
        ids += writer.stdout.read().split()
    table = read_predictions(tmp_path).set_index("id")
    assert len(ids) >= acknowledged
    assert set(ids) <= set(table.index)
    assert (table.index.str.split("-").str[0].astype(float) == table["hour"]).all()
