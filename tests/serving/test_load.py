"""How busy a server is, on the mean."""

from __future__ import annotations

import pytest

from runtime_lib.serving import load


def test_the_mean_weighs_each_number_by_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(load.time, "perf_counter", lambda: now)
    busy = load.Load()
    busy.begin(1.0)
    busy.begin(1.0)
    busy.end(3.0)
    now = 4.0
    assert busy.mean() == pytest.approx((1 * 0 + 2 * 2 + 1 * 1) / 4)
    now = 6.0
    assert busy.mean() == 1  # of the time since it was last asked
    busy.end(6.0)
    now = 7.0
    assert busy.mean() == 0
