"""`mlops drift`: what it prints for people and machines, its exit codes, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from tests.support.releases import REPOSITORY

START = "import sys; sys.argv[0] = 'mlops'; from runtime_lib.cli import main; main()"
DRIFT, EARLY = "drift", "Too early to tell"


def drift(folder, *options, start=START):
    variables = {key: value for key, value in os.environ.items() if not key.startswith("MLOPS_")}
    variables |= {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "160"}
    command = [sys.executable, "-c", start, "drift", *map(str, options)]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=500)


def table(count=2_000, seed=1, shift=0.0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "speed": random.normal(10 + shift, 2, count),
            "place": random.choice(["A", "B", "C"], count),
            "late": random.random(count) < 0.3,
        }
    )


def save(folder, name, content):
    path = folder / name
    content.to_csv(path, index=False) if name.endswith(".csv") else content.to_parquet(path)
    return path


@pytest.fixture
def files(tmp_path):
    """Save tables as before and now; give their names."""

    def both(before, now, suffix="parquet", other=""):
        save(tmp_path, f"before.{suffix}", before)
        save(tmp_path, f"now.{other or suffix}", now)
        return tmp_path, f"before.{suffix}", f"now.{other or suffix}"

    return both


def judged(*arguments, code=0):
    done = drift(*arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_people_get_a_table_and_reasons(files):
    done = drift(*files(table(), table(seed=2, shift=2)))
    assert done.returncode == 4, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["1 of 3 columns drifted.", "2,000 rows before, 2,000 now"]
    assert lines[3].split()[:2] == ["speed", "drift"]
    assert {line.split()[0] for line in lines[4:6]} == {"place", "late"}
    assert any(line.startswith("  speed: ") and "median" in line for line in lines)
    assert done.stderr == ""


def test_clean_tables_exit_with_zero(files):
    done = drift(*files(table(), table(seed=2)))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 of 3 columns drifted.\n")


def test_an_orchestrator_gets_zero_whatever_is_found(files):
    done = drift(*files(table(), table(seed=2, shift=2)), "--exit-zero")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "1 of 3 columns drifted.")


COLUMN = {
    "name": str,
    "kind": str,
    "statistic": str,
    "value": float,
    "bound": float,
    "p": float,
    "q": float,
    "effect": float,
    "jensen_shannon": float,
    "effects": dict,
    "nulls": dict,
    "unseen": (dict, type(None)),
    "drift": bool,
    "reasons": list,
}


def test_machines_get_every_figure(files):
    found = judged(*files(table(), table(seed=2, shift=2)), code=4)
    assert list(found) == [
        "format",
        "rows",
        "drift",
        "early",
        "columns",
        "missing",
        "new",
        "skipped",
        "together",
    ]
    assert (found["format"], found["rows"]) == (1, {"reference": 2_000, "current": 2_000})
    assert (found["drift"], found["early"], found["together"]) == (True, False, None)
    for column in found["columns"]:
        assert list(column) == list(COLUMN)
        assert all(isinstance(column[key], kind) for key, kind in COLUMN.items()), column
    speed = found["columns"][0]
    assert (speed["name"], speed["statistic"], speed["drift"]) == ("speed", "ks", True)
    assert speed["value"] == pytest.approx(0.38, abs=0.04)  # of normals one sd apart: 2 Φ(0.5) - 1
    assert set(speed["effects"]) == {"psi", "ks", "wasserstein"}
    kinds = {column["name"]: column["kind"] for column in found["columns"]}
    assert kinds == {"speed": "number", "place": "category", "late": "category"}


@pytest.mark.parametrize(("suffix", "other"), [("csv", "csv"), ("csv", "parquet"), ("parquet", "csv")])
def test_csv_and_parquet_are_one(files, suffix, other):
    before, now = table(), table(seed=2, shift=2)
    before.loc[:100, "place"] = None
    whole = judged(*files(before, now), code=4)
    assert judged(*files(before, now, suffix, other), code=4) == whole


def test_columns_that_are_gone_new_or_not_comparable_are_named(files):
    before = table().assign(old=1.0, tags=[["a"]] * 2_000)
    now = table(seed=2).assign(fresh="x", tags=[["b"]] * 2_000)
    arguments = files(before, now)
    found = judged(*arguments, code=4)  # one is gone
    assert (found["missing"], found["new"]) == (["old"], ["fresh"])
    assert list(found["skipped"]) == ["tags"]
    assert found["skipped"]["tags"].startswith("list<")
    lines = drift(*arguments).stdout.splitlines()
    assert lines[-3:] == ["Gone: old", "New: fresh", "Not compared: tags"]
    del before["old"]
    assert judged(*files(before, now))["drift"] is False  # what is new is no drift


def test_a_column_without_any_value_has_lost_them(files):
    for suffix in ("parquet", "csv"):
        for before, now in ((table(), table(seed=2).assign(speed=None, place=None)),):
            found = judged(*files(before, now, suffix), code=4)
            drifted = {column["name"]: column["reasons"] for column in found["columns"] if column["drift"]}
            assert set(drifted) == {"speed", "place"}, suffix
            assert all(reasons == ["missing values 0.0% → 100.0%"] for reasons in drifted.values())
            back = judged(*files(now, before, suffix), code=4)
            assert {column["name"] for column in back["columns"] if column["drift"]} == {"speed", "place"}


def test_what_is_refused_has_its_reason_and_no_traceback(files):
    folder, before, now = files(table(), table().assign(speed="fast"))
    done = drift(folder, before, now)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "mlops: 'speed' holds numbers in before.parquet and names in now.parquet. Give it one type in both.\n"
    )
    done = drift(folder, before, "gone.csv")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "mlops: There is no file gone.csv.\n")


def test_too_few_rows_are_told(files):
    done = drift(*files(table(), table(90, seed=2, shift=9)))
    assert done.returncode == 0
    assert done.stdout.startswith("Too early to tell: 90 rows; a decision needs 500.\n")
    assert judged(*files(table(), table(90, seed=2)))["early"] is True


def test_nothing_is_told_from_too_few_rows_before(files):
    done = drift(*files(table(90), table(seed=2, shift=9)))
    assert done.stdout.startswith("Too early to tell: 90 rows; a decision needs 500.\n")
    assert (done.returncode, "drift" in done.stdout) == (0, False)
    assert judged(*files(table(90), table(120, seed=2, shift=9)))["drift"] is False


def test_the_files_are_called_as_the_docs_call_them(files):
    done = drift(files(table(), table())[0])
    assert done.returncode == 2
    assert "Missing argument 'OLD'" in done.stderr


def test_a_projects_thresholds_count_in_all_its_folders(files):
    folder, before, now = files(table(), table(seed=2, shift=0.5))
    assert drift(folder, before, now).returncode == 4
    (folder / "mlops.toml").write_text(
        '[project]\nname = "demo"\npackage = "demo"\n[monitoring]\nks_threshold = 0.5\n'
        "wasserstein_threshold = 0.9\ndrift_threshold = 0.9\n"
    )
    assert drift(folder, before, now).returncode == 0
    below = folder / "notebooks"
    below.mkdir()
    assert drift(below, folder / before, folder / now).returncode == 0
    (folder / "mlops.toml").write_text(
        '[project]\nname = "demo"\npackage = "demo"\n[monitoring]\nalpha = 7\n'
    )
    done = drift(folder, before, now)
    assert (done.returncode, done.stdout) == (2, "")
    assert "monitoring.alpha = 7" in done.stderr


def test_together_is_asked_for(files):
    random = np.random.default_rng(5)
    before, now = table(), table(seed=2)
    before["pace"] = random.permutation(before["speed"])
    now["pace"] = now["speed"] + random.normal(0, 0.5, len(now))
    for each in (before, now):
        each["id"] = [f"{random.integers(10**12)}" for _ in range(len(each))]
    arguments = files(before, now)
    done = drift(*arguments, "--together", "--exit-zero")
    assert done.returncode == 0, done.stderr
    assert "Telling the tables apart: " in done.stderr
    lines = done.stdout.splitlines()
    assert "Not shown to the classifier: id (another value in each row, or nearly)" in lines
    [told] = [line for line in lines if line.startswith("Together: ")]
    assert told.startswith("Together: drift. A classifier tells the tables apart with AUC 0.")
    assert {line.split(":")[0].strip() for line in lines[lines.index(told) + 1 :]} == {"speed", "pace"}
    found = judged(*arguments, "--together", code=4)["together"]
    assert list(found) == [
        "rows", "drift", "early", "auc", "lower", "p", "threshold", "columns", "left_out", "tellers",
    ]  # fmt: skip
    assert (found["drift"], found["threshold"]) == (True, 0.6)
    assert found["lower"] < found["auc"]


def test_together_alone_makes_the_exit_code(files):
    random = np.random.default_rng(6)
    before = pd.DataFrame({"a": random.normal(size=3_000), "b": random.normal(size=3_000)})
    first = random.normal(size=3_000)
    now = pd.DataFrame({"a": first, "b": first})
    assert drift(*files(before, now)).returncode == 0
    assert drift(*files(before, now), "--together").returncode == 4


def test_together_with_too_few_rows_is_not_judged(files):
    done = drift(*files(table(), table(90, seed=2)), "--together")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Together: not judged, too few rows."


MEMORY = (
    """
import atexit, sys
def peak():
    lines = open("/proc/self/status").read().splitlines()
    print(next(line for line in lines if line.startswith("VmHWM")).split()[1], file=sys.stderr)
atexit.register(peak)
"""
    + START
)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("option", [(), ("--together",)])
@pytest.mark.parametrize(("suffix", "few", "many"), [("parquet", 2, 40), ("csv", 6, 40)])
def test_memory_does_not_grow_with_a_file(tmp_path, suffix, few, many, option):
    random = np.random.default_rng(7)
    peaks = []
    for groups in (few, many):
        path = tmp_path / f"{groups}.{suffix}"
        part = pa.table(
            {
                **{f"x{i}": random.normal(size=50_000) for i in range(4)},
                "place": random.choice(["A", "B"], 50_000),
            }
        )
        if suffix == "csv":
            csv.write_csv(pa.concat_tables([part] * groups), path)
        else:
            pq.write_table(pa.concat_tables([part] * groups), path, row_group_size=50_000 * groups)
        done = drift(tmp_path, path, path, *option, start=MEMORY)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stderr.splitlines()[-1]) / 1024)
    # The larger file is 2,000,000 rows, 80 MB of numbers and names; peaks of one file differ by 20 MB.
    assert peaks[1] - peaks[0] < 40, peaks
