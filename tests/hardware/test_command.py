"""`mlops hardware`: any machine, inside or outside a project, for people and for machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime_lib.cli.app import app
from tests.pipeline.test_run import MLOPS, environment

RECORDED = Path(__file__).parent / "recorded"
FOLDERS = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())
KEYS = {
    "platform",
    "chip",
    "generation",
    "variant",
    "model",
    "core_levels",
    "cpu_count",
    "memory_bytes",
    "gpu_cores",
    "neural_engine_cores",
    "memory_bandwidth_gbs",
    "os_version",
    "is_virtual",
    "is_translated",
    "metal",
    "thermal",
    "memory_pressure",
    "power_mode",
    "device",
    "sources",
}


@pytest.fixture(autouse=True)
def outside_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def told(*words: str) -> str:
    done = CliRunner().invoke(app, ["hardware", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def replayed(folder: str) -> dict:
    return json.loads(told("--json", "--replay", str(RECORDED / folder)))


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_recorded_machine_is_shown_and_told_as_json(folder):
    found = replayed(folder)
    assert set(found) >= KEYS
    assert set(found["device"]) == {"framework", "name", "reason"}
    assert found["device"]["reason"]
    for level in found["core_levels"] or []:
        assert set(level) == {"name", "count"}
    for name in found["sources"]:
        assert found[name] is not None, "an unknown value has no source"
    assert "Machine" in told("--replay", str(RECORDED / folder))


def mlops(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MLOPS, "hardware", *words],
        cwd=cwd,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_itself_replays_a_machine(tmp_path):
    done = mlops("--json", "--replay", str(RECORDED / "m5"), cwd=tmp_path)
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["core_levels"] == [{"name": "Super", "count": 4}, {"name": "Efficiency", "count": 6}]
    assert found["device"]["name"] == "gpu"
    assert found["device"]["framework"] == "mlx"


def test_people_read_units_and_sources_and_what_is_unknown():
    shown = told("--replay", str(RECORDED / "m5"))
    words = " ".join(shown.split())
    for text in ("24 GB", "153 GB/s", "4 Super + 6 Efficiency", "100 %", "0.7 W", "sysctl hw.memsize"):
        assert text in words
    assert "memory pressure unknown" in words
    assert "mlx on gpu" in words


def test_text_of_a_recording_is_shown_as_it_is(tmp_path):
    (tmp_path / "proc_cpuinfo.txt").write_text("model name\t: [bold]A[/bold] [link=x]CPU\nflags\t\t: fpu\n")
    assert "[bold]A[/bold]" in told("--replay", str(tmp_path)).replace("\n", "")


def test_what_is_no_folder_is_told_with_exit_code_2(tmp_path):
    for wrong in ("nowhere", str(RECORDED / "m5" / "sw_vers.txt")):
        done = mlops("--replay", wrong, cwd=tmp_path)
        assert done.returncode == 2
        assert "is not a folder" in done.stderr
        assert "Traceback" not in done.stderr


def test_options_that_exclude_one_another_are_told_with_exit_code_2(tmp_path):
    for other in (["--watch"], ["--replay", str(RECORDED / "m5")]):
        done = mlops("--record", "new", *other, cwd=tmp_path)
        assert done.returncode == 2
        assert "--record" in done.stderr
        assert not (tmp_path / "new").exists()


def test_a_recording_is_written_and_named_and_never_over_another(tmp_path):
    done = mlops("--record", "new", "--json", cwd=tmp_path)
    assert done.returncode == 0
    said = json.loads(done.stdout)
    assert said["files"] == sorted(path.name for path in (tmp_path / "new").iterdir())
    again = mlops("--record", "new", cwd=tmp_path)
    assert again.returncode == 2
    assert "not empty" in again.stderr
    assert mlops("--replay", "new", cwd=tmp_path).returncode == 0


# Watching


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "people"])
def test_watching_goes_on_until_ctrl_c(tmp_path, as_json):
    words = [MLOPS, "hardware", "--watch", *(["--json"] if as_json else []), "--replay", str(RECORDED / "m5")]
    with subprocess.Popen(
        words,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as watching:
        lines, times = [], []
        for line in watching.stdout:
            lines.append(line)
            times.append(time.monotonic())
            if (len(lines) == 3) if as_json else ("Device" in line):
                break
        time.sleep(0.2)
        os.killpg(watching.pid, signal.SIGINT)
        _, said = watching.communicate(timeout=30)
    assert watching.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    if as_json:
        assert all(set(json.loads(line)) >= KEYS for line in lines)
        assert 1.5 < times[2] - times[0] < 10


# In a project


def project(folder: Path, hardware: str = "") -> Path:
    folder.mkdir()
    (folder / "mlops.toml").write_text(f'[project]\nname = "calm"\npackage = "calm"\n{hardware}')
    return folder


def test_a_projects_force_gpu_is_honoured(tmp_path, monkeypatch):
    monkeypatch.chdir(project(tmp_path / "calm"))
    assert replayed("vm-m4-max")["device"]["name"] == "cpu"
    monkeypatch.chdir(project(tmp_path / "forced", "[hardware]\nforce_gpu = true\n"))
    assert replayed("vm-m4-max")["device"]["name"] == "gpu"


def test_a_projects_framework_is_honoured(tmp_path, monkeypatch):
    monkeypatch.chdir(project(tmp_path / "asks", '[training]\nframework = "torch"\n'))
    assert replayed("m5")["device"] | {"reason": ""} == {"framework": "torch", "name": "mps", "reason": ""}


def test_the_variable_that_replays_a_machine_replays_its_device_too():
    done = mlops("--json", cwd=Path.cwd(), MLOPS_HARDWARE_REPLAY=str(RECORDED / "m5"))
    assert json.loads(done.stdout)["device"] == replayed("m5")["device"]


def test_wrong_settings_of_a_project_are_told(tmp_path):
    wrong = project(tmp_path / "wrong", "[hardware]\nforce_gpus = true\n")
    done = mlops("--json", cwd=wrong)
    assert done.returncode == 2
    assert "hardware.force_gpu" in done.stderr


# Without frameworks


def test_without_any_framework_there_is_no_device_and_the_reason_is_told(tmp_path):
    """The finder refuses both, as where neither is installed."""
    code = textwrap.dedent("""
        import importlib.machinery, sys
        class Refuse:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name.partition(".")[0] in ("mlx", "torch"):
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.meta_path.insert(0, Refuse)
        import importlib.util
        found = importlib.util.find_spec
        importlib.util.find_spec = lambda name, package=None: (
            None if name.partition(".")[0] in ("mlx", "torch") else found(name, package)
        )
        from runtime_lib.cli import main
        sys.argv = ["mlops", "hardware", *sys.argv[1:]]
        main()
    """)
    for words in (["--json"], []):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        if words:
            device = json.loads(done.stdout)["device"]
            assert (device["framework"], device["name"]) == (None, None)
            assert "not installed" in device["reason"]
        else:
            assert "none" in done.stdout
            assert "not installed" in " ".join(done.stdout.split())
