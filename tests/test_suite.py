"""The suite itself: the longest file starts first, a change finds its deep tests, samples keep their size."""

from __future__ import annotations

from types import SimpleNamespace

from tests.support import affected, durations, releases


def test_the_longest_file_starts_first_and_an_unknown_one_in_between(monkeypatch):
    monkeypatch.setattr(durations, "load", lambda: {"a.py": 1.0, "b.py": 90.0})
    items = [SimpleNamespace(nodeid=name) for name in ("a.py::x", "new.py::z", "b.py::y", "b.py::x")]
    durations.longest_first(items)
    assert [item.nodeid for item in items] == ["b.py::y", "b.py::x", "new.py::z", "a.py::x"]


def test_a_module_reaches_the_deep_tests_that_import_it_by_way_of_others():
    found = affected.reached({"runtime_lib/training/model.py"})
    assert "tests/upgrade/test_formats.py" in found  # imports it
    assert "tests/pipeline/test_dag.py" in found  # by way of test_run.py
    assert "tests/template/test_lockstep.py" not in found


def test_the_template_reaches_what_renders_it_and_a_page_reaches_nothing():
    assert {"tests/template/test_update.py", "tests/upgrade/test_matrix.py"} <= affected.reached(
        {"template/params.yaml"}
    )
    assert affected.reached({"docs/README.md"}) == set()


def test_what_does_not_fit_the_minutes_is_left_out(monkeypatch):
    monkeypatch.setattr(affected, "load", lambda: {"long.py": 100.0, "short.py": 10.0})
    assert affected.within(60, ["long.py", "short.py"]) == (["short.py"], ["long.py"])
    assert affected.within(500, ["long.py", "short.py"]) == (["short.py", "long.py"], [])


def test_each_release_that_is_sampled_and_each_kind_has_its_turn(monkeypatch):
    monkeypatch.setattr(releases, "DEEP", False)
    monkeypatch.setattr(releases, "SAMPLE", ["0.1.0", "0.3.0", "0.9.0"])
    taken = releases.pairs(["all", "b", "c", "d", "e"])
    assert taken[:2] == [("0.1.0", "all"), ("0.9.0", "all")]
    assert {version for version, _ in taken} == {"0.1.0", "0.3.0", "0.9.0"}
    assert {name for _, name in taken} == {"all", "b", "c", "d", "e"}
    monkeypatch.setattr(releases, "DEEP", True)
    assert len(releases.pairs(["all", "b"])) == 6


def test_the_sample_keeps_its_size_and_the_deep_run_takes_every_release(monkeypatch):
    many = [(f"0.{n}.0", "") for n in range(1, 30)]
    monkeypatch.setattr(releases, "RELEASES", many)
    monkeypatch.setattr(releases, "git", lambda *_: "1c")
    monkeypatch.setattr(releases, "DEEP", False)
    assert releases.sample() == ["0.1.0", "0.3.0", "0.29.0"]
    monkeypatch.setattr(releases, "DEEP", True)
    assert len(releases.sample()) == 29
