"""Work waits on the machine that would do it, until that is fit; or says why not."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from runtime_lib.errors import UnfitError
from runtime_lib.hardware.admit.admission import Demand
from runtime_lib.hardware.admit.here import admit, decide_here
from runtime_lib.settings import Hardware
from tests.support.recorded import RECORDED
from tests.support.replayed import ReplayedMac


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReplayedMac:
    mac = ReplayedMac(tmp_path / "mac")
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(mac.folder))
    return mac


def test_on_this_machine_work_starts_at_once():
    assert admit(Hardware(), Demand(memory_bytes=2**20)).action == "run"


def test_the_reading_is_of_the_machine_as_it_is_now(mac):
    answers = []
    for level in (0, 2, 1):
        mac.heat(level)
        answers.append(decide_here(Hardware(), Demand()).action)
    assert answers == ["run", "wait", "run"]


def test_work_starts_once_the_machine_has_cooled(mac, caplog):
    mac.heat(2)
    threading.Timer(1, mac.heat, [0]).start()
    started = time.monotonic()
    # The last look is when the time is up, however much later the next one would be.
    assert admit(Hardware(max_wait=2), Demand()).action == "run"
    assert time.monotonic() - started >= 2
    assert "has to wait" in caplog.text
    assert "Thermal pressure Heavy, allowed up to Moderate." in caplog.text


def test_it_gives_up_after_max_wait(mac):
    mac.heat(2)
    with pytest.raises(UnfitError, match=r"not fit for work for 1 s .*Thermal pressure Heavy"):
        admit(Hardware(max_wait=1), Demand())


def test_a_terabyte_is_refused_at_once(mac):
    for demand in (Demand(10**12), Demand(10**12, gpu=True)):
        with pytest.raises(UnfitError, match=r"refuses the work.*931\.32 GiB.*at most"):
            admit(Hardware(unknown="run"), demand)


def test_a_gpu_is_refused_where_the_recorded_machine_has_none(monkeypatch):
    for name in ("vm-intel-github-macos15", "linux-asahi-m1"):
        monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(RECORDED / name))
        with pytest.raises(UnfitError, match="needs a GPU"):
            admit(Hardware(unknown="run"), Demand(gpu=True))
