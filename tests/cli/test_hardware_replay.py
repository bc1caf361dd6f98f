"""`mlops hardware --record` and `--replay`: what is no recording, and what in one gives nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime_lib.cli.app import app
from tests.support.hardware_command import KEYS, mlops, told


@pytest.fixture(autouse=True)
def outside_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(folder: Path) -> str:
    done = mlops("--json", "--replay", str(folder), cwd=folder.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def warned(folder: Path, **files: str) -> str:
    """What is said of a recording that is shown all the same: on stderr, or in the JSON as a whole."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    shown, done = (
        CliRunner().invoke(app, ["hardware", *options, "--replay", str(folder)], catch_exceptions=False)
        for options in ([], ["--json"])
    )
    assert (shown.exit_code, done.exit_code, done.stderr) == (0, 0, "")
    found = json.loads(done.stdout)
    assert set(found) >= KEYS
    assert shown.stderr == "".join(f"mlops: {warning}\n" for warning in found["warnings"])
    return shown.stderr


def test_a_folder_without_a_file_is_no_machine(tmp_path):
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    assert "holds no recording" in refused(tmp_path / "empty")
    done = mlops("--json", cwd=tmp_path, MLOPS_HARDWARE_REPLAY=str(tmp_path / "empty"))
    assert done.returncode == 2


def test_a_folder_of_other_files_is_shown_as_unknown_with_a_warning(tmp_path):
    said = warned(tmp_path, shopping__txt="milk")
    assert "none of its files is named after a command" in said
    assert "sysctl*.txt" in said


def test_recorded_files_that_give_nothing_are_named(tmp_path):
    good = "hw.memsize: 25769803776\n"
    assert warned(tmp_path, sysctl__txt=good) == ""
    assert warned(tmp_path, sysctl_more__txt="hw.ncpu: 8\n", ioreg__txt="(cut").endswith("from ioreg.txt.\n")
    said = warned(tmp_path, sysctl_more__txt=" \n", pmset_g__txt="\x00")
    assert said.endswith("from ioreg.txt, pmset_g.txt, sysctl_more.txt.\n")


def test_a_file_that_another_one_repeats_gives_something(tmp_path):
    twice = {"sysctl__txt": "hw.memsize: 25769803776\n"}
    assert warned(tmp_path, **twice, mlx_device_info__txt="{'memory_size': 25769803776}\n") == ""


def test_a_control_group_without_a_limit_is_in_order(tmp_path):
    files = {"proc_cpuinfo__txt": "model name\t: A CPU\nflags\t\t: fpu\n", "proc_self_cgroup__txt": "0::/\n"}
    assert warned(tmp_path, **files, sys_fs_cgroup_memory__max__txt="max\n") == ""


def test_a_recording_of_this_machine_warns_of_nothing(tmp_path):
    told("--record", str(tmp_path / "new"))
    assert warned(tmp_path / "new") == ""


def test_what_to_do_with_a_recording_can_be_pasted(tmp_path, monkeypatch):
    said = told("--record", "my mac").splitlines()
    assert len(said) == 2
    assert max(map(len, said)) < 100
    assert said[1].endswith("mlops hardware --replay 'my mac'")


def test_a_file_in_the_place_of_a_new_folder_is_called_a_file(tmp_path):
    (tmp_path / "taken").touch()
    done = mlops("--record", "taken", cwd=tmp_path)
    assert done.returncode == 2
    assert "is a file" in done.stderr
