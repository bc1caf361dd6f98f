"""`mlops hardware`: any machine, inside or outside a project, for people and for machines."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime_lib.cli import hardware, hardware_page
from runtime_lib.cli.app import app
from runtime_lib.hardware.device.device import Device
from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.share.lease import lease
from tests.pipeline.test_run import MLOPS
from tests.support.hardware_command import KEYS, buffered, mlops, replayed, told
from tests.support.recorded import RECORDED
from tests.support.stubs import live

FOLDERS = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())


@pytest.fixture(autouse=True)
def outside_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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
    told_at_all = {"device", "sources", "expected", "warnings"}
    for name in found.keys() - found["sources"].keys() - told_at_all:
        assert found[name] in (None, []), "each value stands beside its source"
    assert found["leases"] is None, "who holds shares of this machine says nothing of another"
    assert "Machine" in told("--replay", str(RECORDED / folder))


def test_the_command_itself_replays_a_machine(tmp_path):
    done = mlops("--json", "--replay", str(RECORDED / "m5"), cwd=tmp_path)
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["core_levels"] == [{"name": "Super", "count": 4}, {"name": "Efficiency", "count": 6}]
    assert found["device"]["name"] == "gpu"
    assert found["device"]["framework"] == "mlx"


def test_a_replay_imports_no_framework(tmp_path):
    code = (
        f"import sys; sys.argv = ['mlops', 'hardware', '--replay', {str(RECORDED / 'm5')!r}]\n"
        "from runtime_lib.cli import main\n"
        "try: main()\n"
        "finally: print({'torch', 'mlx'} & sys.modules.keys(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.endswith("set()\n")


def test_people_read_units_and_sources_and_what_is_unknown():
    shown = told("--replay", str(RECORDED / "m5"))
    words = " ".join(shown.split())
    for text in ("24 GiB", "153 GB/s", "4 Super + 6 Efficiency", "100 %", "sysctl hw.memsize"):
        assert text in words
    assert "memory pressure unknown" in words
    assert "mlx on gpu" in words
    assert "with MLX and torch installed" in words


def test_text_of_a_recording_is_shown_as_it_is(tmp_path):
    (tmp_path / "proc_cpuinfo.txt").write_text("model name\t: [bold]A[/bold] [link=x]CPU\nflags\t\t: fpu\n")
    assert "[bold]A[/bold]" in told("--replay", str(tmp_path)).replace("\n", "")


def test_what_is_no_folder_is_told_with_exit_code_2(tmp_path):
    for wrong in ("nowhere", str(RECORDED / "m5" / "sysctl_n_hw.ncpu.txt")):
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


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_lines_fit_the_terminal_and_paths_and_words_stay_whole(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for folder in ("m4-max", "linux-asahi-m1"):
        lines = told("--replay", str(RECORDED / folder)).splitlines()
        assert max(map(len, lines)) <= width
        assert all(line == line.rstrip() for line in lines)
        words = {word for line in lines for word in line.split()}
        assert words >= {"(Rosetta)", "unknown", "platform"}
        values = {line.index(word) for line in lines for word in ("unknown", "arm64") if word in line}
        assert len(values) == 1, "one column in all parts"


def test_a_path_too_long_for_its_column_breaks_after_a_slash():
    rows = [
        hardware_page.Row("CPUs", "2", "/sys/devices/system/cpu/online"),
        hardware_page.Row("chip", "A Long Name " * 3, "x"),
    ]
    text = hardware_page.page([hardware_page.Part("Machine", rows)], width=44).plain
    pieces = [line.split()[-1] for line in text.splitlines() if "sys" in line or "online" in line]
    assert len(pieces) > 1
    assert "".join(pieces) == "/sys/devices/system/cpu/online"
    assert all(piece.endswith("/") for piece in pieces[:-1])


def test_a_recording_does_not_steer_the_terminal(tmp_path):
    (tmp_path / "proc_cpuinfo.txt").write_text("model name\t: A\x1b[2J\x9bCPU\nflags\t\t: fpu\n")
    assert "A?[2J?CPU" in told("--replay", str(tmp_path))


# Shares


@pytest.fixture
def leases(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_LEASES", str(tmp_path / "leases"))
    return tmp_path / "leases"


def test_who_holds_shares_of_this_machine_is_shown(leases):
    assert json.loads(told("--json"))["leases"] == []
    assert "Shares" not in told()
    with lease(memory=0.5, gpu=1.0, project="[bold]calm"):
        found = json.loads(told("--json"))["leases"]
        words = " ".join(told().split())
    assert [(one["project"], one["memory"], one["held"]) for one in found] == [("[bold]calm", 0.5, True)]
    assert "Shares of this machine held '[bold]calm'" in words
    assert "holds 50 % of memory and 100 % of GPU" in words


@pytest.mark.parametrize("folder", ["taken", "not/full"])
def test_leases_that_cannot_be_read_stop_nothing(tmp_path, monkeypatch, folder):
    (tmp_path / "taken").touch()
    monkeypatch.setenv("MLOPS_LEASES", str(tmp_path / folder) if folder == "taken" else folder)
    done = CliRunner().invoke(app, ["hardware", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["leases"], len(found["warnings"]), done.stderr) == (None, 1, "")


# What cannot be done


def test_a_full_disk_is_told_in_one_line(tmp_path):
    words = [MLOPS, "hardware", "--json", "--replay", str(RECORDED / "m1")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            words, cwd=tmp_path, env=buffered(), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "No space left" in done.stderr


def test_nothing_to_offer_to_ray_is_explained_beside_the_offer():
    words = ["hardware", "--ray-resources", "--replay", str(RECORDED / "linux-asahi-m1")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert json.loads(done.stdout) == {}
    assert "no Metal on linux" in done.stderr
    assert json.loads(told(*words[1:-1], str(RECORDED / "m5")))["apple_gpu"] == 1


def test_help_breaks_lines_only_where_the_terminal_ends():
    for command in ("hardware", "run", "upgrade"):
        help_text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"}).stdout
        prose = help_text.partition("╭")[0].splitlines()
        for line, following in itertools.pairwise(prose):
            if line.strip() and following.strip():
                assert len(line.rstrip()) + len(following.split()[0]) >= 79, line


def test_help_names_the_variable_that_replays():
    shown = CliRunner().invoke(app, ["hardware", "--help"], env={"COLUMNS": "80"}).stdout
    assert "MLOPS_HARDWARE_REPLAY" in shown


# On a Mac, live


def test_a_live_mac_is_asked_what_metal_recommends(tmp_path, monkeypatch):
    """Commands and MLX answer as on a Mac; there the device is chosen by computing on its GPU."""
    answers = r"machdep.cpu.brand_string: Apple M4\nhw.memsize: 17179869184\nkern.hv_vmm_present: 0\n"
    machine = facts(live(tmp_path, {"sysctl": f"printf '{answers}'"}))
    recommends = {"max_recommended_working_set_size": 11 * 2**30}
    monkeypatch.setattr(pytest.importorskip("mlx.core"), "device_info", lambda: recommends)
    monkeypatch.setattr(hardware, "facts", lambda probe: machine)
    monkeypatch.setattr(hardware, "choose_device", lambda *_, **__: Device("mlx", "gpu", "test"))
    found = json.loads(told("--json"))
    assert found["working_set_bytes"] == 11 * 2**30
    assert found["sources"]["working_set_bytes"] == "Metal, by mlx device_info"
    assert "GPU's share of memory" in told()
    assert json.loads(told("--ray-resources")) == {"apple_gpu": 1.0, "unified_memory": 11.0 * 2**30}


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
