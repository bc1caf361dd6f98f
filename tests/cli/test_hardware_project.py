"""`mlops hardware` in a project: its settings, right or wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime_lib.cli.app import app
from tests.support.hardware_command import mlops, replayed
from tests.support.recorded import RECORDED


@pytest.fixture(autouse=True)
def outside_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def project(folder: Path, hardware: str = "") -> Path:
    folder.mkdir()
    (folder / "mlops.toml").write_text(f'[project]\nname = "calm"\npackage = "calm"\n{hardware}')
    return folder


def test_a_projects_force_gpu_is_honoured(tmp_path, monkeypatch):
    virtual = tmp_path / "mac"
    virtual.mkdir()
    (virtual / "sysctl.txt").write_text("machdep.cpu.brand_string: Apple M4 Max (Virtual)\n")
    monkeypatch.chdir(project(tmp_path / "calm"))
    assert replayed(virtual)["device"]["name"] == "cpu"
    monkeypatch.chdir(project(tmp_path / "forced", "[hardware]\nforce_gpu = true\n"))
    assert replayed(virtual)["device"]["name"] == "gpu"


def test_a_projects_framework_is_honoured(tmp_path, monkeypatch):
    monkeypatch.chdir(project(tmp_path / "asks", '[training]\nframework = "torch"\n'))
    assert replayed("m5")["device"] | {"reason": ""} == {"framework": "torch", "name": "mps", "reason": ""}


def test_the_variable_that_replays_a_machine_replays_its_device_too():
    done = mlops("--json", cwd=Path.cwd(), MLOPS_HARDWARE_REPLAY=str(RECORDED / "m5"))
    assert json.loads(done.stdout)["device"] == replayed("m5")["device"]


@pytest.mark.parametrize("words", [["--json"], ["--ray-resources"]])
def test_wrong_settings_are_told_once_and_stop_nothing(tmp_path, monkeypatch, words):
    wrong = project(tmp_path / "wrong", "[hardware]\nforce_gpus = true\n")
    (wrong / "below").mkdir()
    monkeypatch.chdir(wrong / "below")
    words = ["hardware", *words, "--replay", str(RECORDED / "m5")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(done.stdout)
    assert done.output.count("default settings") == 1, "in the object, or on stderr"
    assert "hardware.force_gpu" in done.output


@pytest.mark.parametrize("content", [b"[project", b"\xff\xfe"])
def test_a_settings_file_that_cannot_be_read_stops_nothing(tmp_path, content):
    (tmp_path / "mlops.toml").write_bytes(content)
    assert replayed("m5")["device"]["name"] == "gpu"
