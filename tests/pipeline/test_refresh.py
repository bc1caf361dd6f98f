"""Months that change at the source are read again: asked for, by themselves, and no others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from runtime_lib.errors import PipelineError, SettingsError
from runtime_lib.pipeline.run import run
from runtime_lib.settings import load
from tests.support.projects import with_library

PATH = with_library("src")

# A source that counts: each read of a month is a line in source/reads, with the number of rows.
DATA = """
import os, time
import pandas as pd

def load(month):
    table = pd.read_csv(f"source/{month}.csv")
    with open("source/reads", "a") as log:
        log.write(month + "\\n")
    if os.path.exists(f"source/{month}.slow"):
        time.sleep(60)
    return table
"""
STAGES = """
from runtime_lib.pipeline.stages import Stages
stage = Stages()

@stage
def ingest(project):
    from runtime_lib.data import months
    from shop.data import load
    months.ingest(load, project.settings.raw, **project.params["data"])

stage.main()
"""
PIPELINE = """
stages:
  ingest:
    cmd: python -m shop.stages ingest
    deps: [src/shop/data.py]
    params: [data]
    outs: [data/raw]
  count:
    cmd: cat data/raw/* | cksum > sum
    deps: [data/raw]
    outs: [sum]
"""


class Shop:
    """A project of two stages: the months, and a sum over them."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self._patch = root, monkeypatch

    @classmethod
    def make(cls, root: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
        from dvc.repo import Repo

        shop = cls(root, monkeypatch)
        files = {
            "mlops.toml": '[project]\nname = "shop"\npackage = "shop"\n',
            "dvc.yaml": PIPELINE,
            "params.yaml": "data:\n  first: 2024-10\n  last: 2024-12\n",
            "src/shop/__init__.py": "",
            "src/shop/data.py": DATA,
            "src/shop/stages.py": STAGES,
        }
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "source").mkdir()
        for month in ("2024-10", "2024-11"):
            shop.sells(month)
        Repo.init(str(root), no_scm=True).close()
        return shop

    def sells(self, month: str, labels: int = 4, rows: int = 4) -> None:
        """What the source has for a month: rows, of which the first have labels."""
        known = [row % 2 if row < labels else None for row in range(rows)]
        table = pd.DataFrame({"id": range(rows), "label": known})
        table.to_csv(self.root / "source" / f"{month}.csv", index=False)

    def on(self, day: str, *refresh: str, **options) -> list[str]:
        """Run the pipeline on that day; return the months that were read at the source."""
        self._patch.chdir(self.root)
        self._patch.setenv("PYTHONPATH", PATH)
        self._patch.setenv("MLOPS_TODAY", day)
        before = len(self.reads())
        run(load(self.root), refresh=refresh, **options)
        return self.reads()[before:]

    def reads(self) -> list[str]:
        log = self.root / "source" / "reads"
        return log.read_text().split() if log.exists() else []

    def labels(self) -> list[int]:
        """How many labels each month has, once the stage after has seen them."""
        files = sorted((self.root / "data/raw").glob("*"))
        sums = ["cksum"], b"".join(file.read_bytes() for file in files)
        summed = subprocess.run(sums[0], input=sums[1], capture_output=True, check=True).stdout
        assert (self.root / "sum").read_bytes() == summed
        return [pd.read_parquet(file)["label"].count() for file in files]

    def labels_after(self, days: int) -> None:
        path = self.root / "mlops.toml"
        path.write_text(f"{path.read_text()}\n[data]\nlabels_after = {days}\n")

    def ledger(self) -> dict:
        return json.loads((self.root / "var" / "ingest" / "reads.json").read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """December was read on 5 January, when it had no labels; since then they have arrived."""
    with pytest.MonkeyPatch.context() as patch:
        shop = Shop.make(tmp_path_factory.mktemp("made") / "shop", patch)
        shop.sells("2024-12", labels=0)
        assert shop.on("2025-01-05") == ["2024-10", "2024-11", "2024-12"]
        assert shop.labels() == [4, 4, 0]
        shop.sells("2024-12", labels=4)
    return shop.root


@pytest.fixture
def december(made, tmp_path, monkeypatch) -> Shop:
    return Shop(shutil.copytree(made, tmp_path / "shop", symlinks=True), monkeypatch)


def test_a_month_that_is_asked_for_is_read_again_and_no_other(december, capfd):
    assert december.on("2025-02-01") == []
    before = (december.root / "sum").stat().st_mtime_ns
    assert december.on("2025-02-01", "2024-11") == ["2024-11"]
    assert (december.root / "sum").stat().st_mtime_ns == before, "it is as it was: no later stage ran"
    assert december.on("2025-02-01", "2024-12") == ["2024-12"]
    assert december.labels() == [4, 4, 4]
    said = capfd.readouterr().err
    assert "Ingest: 2024-12 is read: asked for." in said
    assert "Ingest: 2024-12 has changed: 4 rows, before 4." in said
    assert "Ingest: 2024-11 is as it was, 4 rows." in said
    assert "2 months from 2024-10 to 2024-11 as read 0 to 27 days ago" in said


def test_dvcs_run_cache_does_not_bring_back_an_earlier_read(december):
    december.on("2025-02-01", changes=["data.last=2024-11"])
    assert december.on("2025-02-01", changes=["data.last=2024-12"]) == ["2024-12"]
    assert december.labels() == [4, 4, 4]


def test_with_a_horizon_a_month_reads_itself_again_once_and_says_so(december, capfd):
    december.labels_after(30)
    december.sells("2025-01", labels=0)
    assert december.on("2025-01-30", changes=["data.last=2025-01"]) == ["2025-01"]
    early = "Ingest: 2024-12 as read 25 days ago, before its labels were complete (2025-01-31); "
    assert early in capfd.readouterr().err
    assert december.on("2025-01-31") == ["2024-12"]
    assert "2024-12 is read: complete since 2025-01-31, last read on 2025-01-05." in capfd.readouterr().err
    assert december.labels() == [4, 4, 4, 0]
    assert december.on("2025-02-01") == []
    assert december.on("2025-02-01", "late") == ["2025-01"], "asked for, though not complete yet"


def test_the_stage_alone_does_the_same(december):
    """A task of the DAG runs it."""
    december.labels_after(30)
    assert december.on("2025-01-31", stages=["ingest"]) == ["2024-12"]
    assert december.on("2025-01-31", stages=["ingest"]) == []


def test_the_latest_month_moves_with_the_day(december):
    december.labels_after(30)
    latest = ["data.last=latest"]
    assert december.on("2025-01-30", changes=latest) == []
    assert december.labels() == [4, 4]
    # Not as it was read on 5 January: its labels are complete by now.
    assert december.on("2025-01-31", stages=["ingest"]) == ["2024-12"]
    assert december.on("2025-01-31") == []
    assert december.labels() == [4, 4, 4]


def test_force_reads_everything_again(december):
    everything = ["2024-10", "2024-11", "2024-12"]
    assert december.on("2025-02-01", stages=["ingest"], force=True) == everything
    assert december.on("2025-02-01", "all") == everything


def test_a_changed_load_reads_everything_again(december):
    path = december.root / "src/shop/data.py"
    path.write_text(path.read_text() + "\n# changed\n")
    assert december.on("2025-02-01") == ["2024-10", "2024-11", "2024-12"]


def test_what_cannot_be_refreshed_is_refused(december):
    for refresh in ("2025-03", "yesterday"):
        with pytest.raises(SettingsError, match=f"--refresh {refresh}: not a month of this project"):
            december.on("2025-02-01", refresh)
    with pytest.raises(SettingsError, match="which is not to run"):
        december.on("2025-02-01", "2024-12", stages=["count"])


def test_a_month_beyond_the_source_is_named_and_the_months_before_stay(december, capfd):
    december.sells("2025-01", rows=0)
    with pytest.raises(PipelineError):
        december.on("2025-02-01", changes=["data.last=2025-01"])
    assert "The month 2025-01 has no rows at the source" in capfd.readouterr().err
    assert [file.stem for file in sorted((december.root / "data/raw").glob("*"))] == [
        "2024-10",
        "2024-11",
        "2024-12",
    ]
    december.sells("2025-01")
    assert december.on("2025-02-01") == ["2025-01"]


def test_a_kill_loses_no_month_that_was_read(december):
    """December is read again and written, then kill -9 while November is read: only November is missing."""
    (december.root / "source/2024-12.slow").touch()
    killed(december, "2024-11", "2024-12", stage="2024-12")
    (december.root / "source/2024-12.slow").unlink()
    assert december.on("2025-02-01") == ["2024-12"], "November was read before the kill"
    assert december.labels() == [4, 4, 4]
    assert not (december.root / "var/ingest/months").exists()


def killed(shop: Shop, *refresh: str, stage: str) -> None:
    """Start a run, and end it with kill -9 while the source is slow with a month."""
    words = [word for month in refresh for word in ("--refresh", month)]
    command = [Path(sys.executable).with_name("mlops"), "run", "--no-promote", *words]
    env = {**os.environ, "PYTHONPATH": PATH, "MLOPS_TODAY": "2025-02-01"}
    before = len(shop.reads())
    process = subprocess.Popen(command, cwd=shop.root, env=env, stderr=subprocess.DEVNULL)
    while stage not in shop.reads()[before:]:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_what_another_machine_has_read_is_not_read_here(december, tmp_path, monkeypatch):
    """A clone with the data pulled and no var/: only what is new is read, or asked for."""
    december.on("2025-02-01", "2024-12")
    shutil.copytree(december.root, tmp_path / "clone", ignore=shutil.ignore_patterns("var"))
    clone = Shop(tmp_path / "clone", monkeypatch)
    clone.sells("2025-01")
    assert clone.on("2030-01-01", changes=["data.last=2025-01"]) == ["2025-01"]


def test_what_another_machine_has_read_too_early_is_read_here(december):
    """A month was read at the latest when dvc.lock was committed, whenever `dvc pull` wrote it here."""
    git = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@example.invalid"]
    dated = {**os.environ, "GIT_COMMITTER_DATE": "2025-01-05T12:00:00Z"}
    for words in (["init", "--quiet"], ["add", "dvc.lock"], ["commit", "--quiet", "-m", "As it ran"]):
        subprocess.run([*git, *words], cwd=december.root, env=dated, check=True)
    shutil.rmtree(december.root / "var")
    (december.root / ".dvc" / "config").write_text("")  # it said that there is no git
    december.labels_after(30)
    assert december.on("2030-01-01") == ["2024-12"]


def test_another_machines_newer_read_is_kept(december, tmp_path, monkeypatch):
    """The data of a colleague comes by `dvc pull` and goes into the next ingest, not what was read here."""
    shutil.copytree(december.root, tmp_path / "clone")
    clone = Shop(tmp_path / "clone", monkeypatch)
    clone.on("2025-02-01", "2024-12")
    for name in ("data", "dvc.lock", ".dvc/cache", "sum"):
        place = december.root / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        (shutil.copytree if (clone.root / name).is_dir() else shutil.copy2)(clone.root / name, place)
    december.sells("2025-01")
    assert december.on("2030-02-01", changes=["data.last=2025-01"]) == ["2025-01"]
    assert december.labels() == [4, 4, 4, 4]


def test_the_ledger_names_what_is_there(december):
    ledger = december.ledger()
    assert ledger["format"] == 1
    assert sorted(ledger["months"]) == ["2024-10", "2024-11", "2024-12"]
    assert ledger["months"]["2024-12"]["rows"] == 4
    lock = yaml.safe_load((december.root / "dvc.lock").read_text())
    assert ledger["raw"] == lock["stages"]["ingest"]["outs"][0]["md5"]
