"""dvc.yaml is the only definition of the pipeline; the graph is derived from it."""

from __future__ import annotations

import pytest

from runtime_lib.errors import PipelineError, SettingsError
from runtime_lib.pipeline.graph import read_graph
from runtime_lib.pipeline.run import set_params

PIPELINE = """
stages:
  train: {cmd: t, deps: [data/split/train.parquet, src/model.py], outs: [models/candidate]}
  ingest: {cmd: i, outs: [data/raw]}
  split: {cmd: s, deps: [data/raw], outs: [data/split]}
  evaluate: {cmd: e, deps: [models/candidate, data/split], metrics: [{reports/e.json: {cache: false}}]}
  register: {cmd: r, deps: [reports/e.json]}
"""


def graph(tmp_path, text):
    (tmp_path / "dvc.yaml").write_text(text)
    return read_graph(tmp_path / "dvc.yaml")


def test_edges_run_from_outputs_to_dependencies(tmp_path):
    found = graph(tmp_path, PIPELINE)
    assert found.stages == ("ingest", "split", "train", "evaluate", "register")
    assert found.upstream == {
        "ingest": frozenset(),
        "split": {"ingest"},
        "train": {"split"},  # its dependency lies inside an output
        "evaluate": {"train", "split"},
        "register": {"evaluate"},  # metrics are outputs too
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (
            "stages: {a: {cmd: x, deps: [b], outs: [a]}, b: {cmd: x, deps: [a], outs: [b]}}",
            "wait for each other",
        ),
        ("stages: {a: {cmd: x, outs: [o]}, b: {cmd: x, outs: [o]}}", "'o' is written by the stages a and b"),
        ("stages: {}", "defines no stages"),
        ("- a", "defines no stages"),
        ("stages: [", "not valid YAML"),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused(tmp_path, text, named):
    with pytest.raises(PipelineError, match=named):
        graph(tmp_path, text)


def test_no_pipeline_is_said(tmp_path):
    with pytest.raises(PipelineError, match="No pipeline at"):
        read_graph(tmp_path / "dvc.yaml")


@pytest.fixture
def params(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("# Kept.\ndata:\n  last: 2013-09  # this too\ntrain:\n  network:\n    hidden: [64, 32]\n")
    return path


def test_a_parameter_is_changed_in_place(params):
    assert set_params(params, ["data.last=2013-10", "train.network.hidden=[8]"]) == {
        "data.last": "2013-10",
        "train.network.hidden": [8],
    }
    assert params.read_text() == (
        "# Kept.\ndata:\n  last: 2013-10  # this too\ntrain:\n  network:\n    hidden: [8]\n"
    )


@pytest.mark.parametrize("change", ["data.lst=1", "data", "nothing.last=1", "data.last=[", "last=1"])
def test_a_parameter_that_is_not_there_is_refused(params, change):
    before = params.read_text()
    with pytest.raises(SettingsError, match="--set"):
        set_params(params, [change])
    assert params.read_text() == before
