"""Requests over real HTTP against the local engine: both protocols, bad bodies, the log behind them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runtime_lib.serving.log import read_predictions
from tests.support.servers import ROWS, Server, expected

NAMES = list(ROWS)
TABLE = [list(values) for values in zip(*ROWS.values(), strict=True)]
RECORDS = [dict(zip(NAMES, values, strict=True)) for values in TABLE]
TENSORS = [
    {"name": "hour", "shape": [3], "datatype": "FP64", "data": ROWS["hour"]},
    {"name": "wind", "shape": [3, 1], "datatype": "FP32", "data": [[value] for value in ROWS["wind"]]},
    {"name": "carrier", "shape": [3], "datatype": "BYTES", "data": ROWS["carrier"]},
]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"index": [0, 1, 2], "columns": NAMES, "data": TABLE}},
        {"dataframe_records": RECORDS},
        {"instances": RECORDS},
        {"instances": TABLE},
        {"inputs": ROWS},
        {"inputs": RECORDS, "params": {}},
    ],
    ids=["split", "records", "instances-objects", "instances-lists", "inputs", "inputs-records"],
)
def test_each_mlflow_body_gives_the_models_own_answer(server: Server, model_folder: Path, body: Any) -> None:
    status, answer = server.ask("/invocations", body)
    assert (status, answer["model"], answer["version"]) == (200, "flights", "7")
    assert answer["predictions"] == pytest.approx(expected(model_folder), abs=1e-6)
    assert len(set(answer["predictions"])) == 3
    assert len(set(answer["ids"])) == 3


def test_open_inference_gives_the_same_and_names_its_rows(server: Server, model_folder: Path) -> None:
    status, answer = server.ask("/v2/models/flights/infer", {"id": "call", "inputs": TENSORS})
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert (status, answer["model_name"], answer["model_version"], answer["id"]) == (
        200,
        "flights",
        "7",
        "call",
    )
    assert outputs["probability"]["data"] == pytest.approx(expected(model_folder), abs=1e-6)
    assert outputs["label"] == {
        "name": "label",
        "shape": [3],
        "datatype": "INT64",
        "data": [int(value > 0.5) for value in expected(model_folder)],
    }
    assert outputs["prediction_id"]["data"] == ["call/0", "call/1", "call/2"]


def test_open_inference_returns_only_the_outputs_asked_for(server: Server) -> None:
    body = {"inputs": TENSORS, "outputs": [{"name": "label"}]}
    status, answer = server.ask("/v2/models/flights/versions/7/infer", body)
    assert (status, [output["name"] for output in answer["outputs"]]) == (200, ["label"])


def test_open_inference_metadata_and_health(server: Server) -> None:
    assert server.ask("/v2")[1]["name"] == "runtime-lib"
    assert server.ask("/v2/health/live") == (200, {"live": True})
    assert server.ask("/v2/health/ready") == (200, {"ready": True})
    assert server.ask("/v2/models/flights/ready") == (200, {"name": "flights", "ready": True})
    status, answer = server.ask("/v2/models/flights")
    assert (status, answer["versions"]) == (200, ["7"])
    assert answer["inputs"] == [
        {"name": "hour", "datatype": "FP64", "shape": [-1]},
        {"name": "wind", "datatype": "FP64", "shape": [-1]},
        {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
    ]


def test_health_and_ready(server: Server) -> None:
    assert server.ask("/health") == (200, {"status": "ok"})
    assert server.ask("/ready") == (200, {"ready": True})


def _with(**change: Any) -> dict[str, Any]:
    return {"inputs": {name: values for name, values in {**ROWS, **change}.items() if values is not None}}


BAD = {
    "empty": (b"", 400, "empty"),
    "not json": (b"{'hour': 1}", 400, "not JSON"),
    "nan": (
        b'{"inputs": {"hour": [NaN], "wind": [1], "carrier": ["UA"]}}',
        400,
        "'hour', row 0: a value is missing",
    ),
    "infinity": (
        b'{"inputs": {"hour": [1, 2], "wind": [NaN, -Infinity], "carrier": ["UA", NaN]}}',
        400,
        "'wind', row 1: -inf is not a finite number",
    ),
    "deep with nan": (b'{"a": NaN, "b": ' + b"[" * 100_000, 400, "nested too deeply"),
    "less deep with nan": (b'{"a": NaN, "b": %s}' % (b"[" * 500 + b"]" * 500), 400, "not JSON"),
    "half a surrogate pair with nan": (b'{"inputs": {"\\ud800": [NaN]}}', 400, "not JSON"),
    "params": ({"inputs": ROWS, "params": {"threshold": 0.2}}, 400, "'params' must be left out"),
    "overflow": (b'{"inputs": {"hour": [1e999], "wind": [1], "carrier": ["UA"]}}', 400, "infinity"),
    "not utf-8": (b'{"inputs": {"hour": ["\xff"]}}', 400, "not JSON"),
    "deep": (b"[" * 100_000, 400, "not JSON"),
    "a list": ([1], 400, "must be a JSON object, not a list"),
    "no form": ({}, 400, "exactly one of dataframe_split"),
    "two forms": ({"inputs": ROWS, "instances": RECORDS}, 400, "exactly one"),
    "unknown key": ({"inputs": ROWS, "threshold": 0.2}, 400, "'threshold'"),
    "no rows": ({"instances": []}, 400, "no rows"),
    "no rows in columns": (_with(hour=[], wind=[], carrier=[]), 400, "no rows"),
    "missing column": (_with(wind=None), 400, "'wind' is missing"),
    "unknown column": (_with(winds=[1, 2, 3]), 400, "'winds' is unknown"),
    "text for a number": (_with(hour=[6, "late", 23]), 400, "'hour', row 1: 'late' is not a number"),
    "number for text": (_with(carrier=["UA", 7, None]), 400, "'carrier', row 1: 7 is not text"),
    "object for a number": (_with(hour=[6, {}, 23]), 400, "'hour', row 1"),
    "list for a number": (_with(hour=[[6], [7], [8, 9]]), 400, "'hour', row 0"),
    "column of one value": (_with(hour=6), 400, "'hour' must be a list"),
    "null": (_with(hour=[6, None, 23]), 400, "'hour', row 1: a value is missing"),
    "ragged columns": (_with(hour=[6, 7]), 400, "differ in length"),
    "ragged rows": (
        {"dataframe_split": {"columns": NAMES, "data": [[1, 2, "UA"], [1, 2]]}},
        400,
        "Row 1 has 2 values",
    ),
    "ragged records": ({"dataframe_records": [RECORDS[0], {"hour": 1}]}, 400, "row 1: column"),
    "column twice": (
        {"dataframe_split": {"columns": ["hour", "hour"], "data": [[1, 2]]}},
        400,
        "'hour' occurs twice",
    ),
    "split without data": ({"dataframe_split": {"columns": NAMES}}, 400, "'data'"),
    "records of numbers": ({"dataframe_records": [1, 2]}, 400, "row 0: must be a JSON object"),
    "too few ids": ({"inputs": ROWS, "ids": ["a"]}, 400, "'ids' has 1 entries for 3 rows"),
    "ids twice": ({"inputs": ROWS, "ids": ["a", "b", "a"]}, 400, "row 2: 'a' occurs twice"),
    "ids of numbers": ({"inputs": ROWS, "ids": [1, 2, 3]}, 400, "row 0: 1 is not an id"),
    "ids as text": ({"inputs": ROWS, "ids": "abc"}, 400, "'ids' must be a list"),
    "too many rows": (_with(hour=[1] * 51, wind=[1] * 51, carrier=["UA"] * 51), 413, "51 rows"),
    "too many bytes": (b" " * ((1 << 24) + 1), 413, "16 MiB"),
    "a very long value": (_with(hour=["x" * 100_000, 1, 1]), 400, "'hour', row 0: 'xxx"),
}


@pytest.mark.parametrize(("body", "status", "message"), BAD.values(), ids=BAD)
def test_a_bad_body_is_refused_in_words_and_the_server_goes_on(
    server: Server, body: Any, status: int, message: str
) -> None:
    got, answer = server.ask("/invocations", body)
    assert got == status, answer
    assert message in answer["error"]
    assert len(answer["error"]) < 2_000
    assert server.ask("/invocations", {"inputs": ROWS})[0] == 200


def _tensor(**change: Any) -> dict[str, Any]:
    return {"inputs": [{**TENSORS[0], **change}, *TENSORS[1:]]}


BAD_V2 = {
    "no inputs": ({}, "needs 'inputs'"),
    "no name": (_tensor(name=None), "needs a 'name'"),
    "twice": ({"inputs": [TENSORS[0], TENSORS[0]]}, "'hour' occurs twice"),
    "datatype": (_tensor(datatype="BF16"), "datatype 'BF16'"),
    "shape": (_tensor(shape=[4]), "shape [4] does not fit its 3 values"),
    "no data": (_tensor(data=None), "needs 'data'"),
    "fraction as INT64": (_tensor(datatype="INT64"), "row 1: 18.5 is not of datatype INT64"),
    "bool as INT64": (_tensor(datatype="INT64", data=[1, True, 2]), "row 1: True is not of datatype INT64"),
    "text for a number": (
        _tensor(datatype="BYTES", data=["a", "b", "c"]),
        "'hour', row 0: 'a' is not a number",
    ),
    "ragged": (_tensor(shape=[2], data=[1, 2]), "differ in length"),
    "missing": ({"inputs": TENSORS[:2]}, "'carrier' is missing"),
    "id": ({"id": 5, "inputs": TENSORS}, "'id' must be"),
    "output": ({"inputs": TENSORS, "outputs": [{"name": "logit"}]}, "Unknown output 'logit'"),
    "output's name": ({"inputs": TENSORS, "outputs": [{"name": {}}]}, "Unknown output {}"),
}


@pytest.mark.parametrize(("body", "message"), BAD_V2.values(), ids=BAD_V2)
def test_a_bad_tensor_is_refused_in_words(server: Server, body: Any, message: str) -> None:
    status, answer = server.ask("/v2/models/flights/infer", body)
    assert (status, message in answer["error"]) == (400, True), answer


@pytest.mark.parametrize("datatype", ["INT64", "INT32", "UINT8", "FP32", "FP16", "BOOL"])
def test_other_datatypes_are_numbers_too(server: Server, model_folder: Path, datatype: str) -> None:
    data = [True, False, True] if datatype == "BOOL" else [1, 0, 1]
    status, answer = server.ask("/v2/models/flights/infer", _tensor(datatype=datatype, data=data))
    assert status == 200
    wanted = expected(model_folder, {**ROWS, "hour": [1, 0, 1]})
    assert answer["outputs"][0]["data"] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("path", "method", "kind", "status", "message"),
    [
        ("/invocations", "POST", "text/csv", 415, "text/csv"),
        ("/invocations", "POST", "application/json; charset=latin-1", 415, "UTF-8"),
        ("/invocations", "PUT", "application/json", 405, "takes POST, not PUT"),
        ("/v2/models/other/infer", "POST", "application/json", 404, "Unknown model 'other'"),
        ("/v2/models/flights/versions/6/infer", "POST", "application/json", 404, "Unknown version '6'"),
        ("/predict", "POST", "application/json", 404, "/invocations"),
        ("/ready", "POST", "application/json", 405, "takes GET"),
    ],
)
def test_wrong_doors_say_which_is_right(
    server: Server, path: str, method: str, kind: str, status: int, message: str
) -> None:
    got, answer = server.ask(path, {"inputs": ROWS}, method=method, kind=kind)
    assert (got, message in answer["error"]) == (status, True), answer


def test_each_answered_row_is_in_the_log_under_its_id_and_none_that_was_refused(server: Server) -> None:
    server.ask("/invocations", {"inputs": ROWS, "ids": ["first", "second", "third"]})
    server.ask("/invocations", {"inputs": {**ROWS, "hour": [6, 7, "x"]}, "ids": ["r0", "r1", "r2"]})
    table = read_predictions(server.settings.var / "predictions").set_index("id")
    _, answer = server.ask("/invocations", {"inputs": ROWS})
    assert (
        table.loc[["first", "second", "third"], "mlops.answer.probability"].tolist() == answer["predictions"]
    )
    assert table.loc["third", ["model", "version", "hour", "wind"]].tolist() == ["flights", "7", 23.0, 40.5]
    assert table.loc["third", "carrier"] is None or table.loc["third"].isna()["carrier"]
    assert not {"r0", "r1", "r2"} & set(table.index)


def test_metrics_count_requests_by_route_and_status_and_rows(server: Server) -> None:
    def figures() -> dict[str, float]:
        text = server.ask("/metrics")[1]
        return {name: float(value) for name, value in re.findall(r"^(mlops\S+) (\S+)$", text, re.M)}

    before = figures()
    server.ask("/invocations", {"inputs": ROWS})
    server.ask("/invocations", b"")
    server.ask("/v2/models/made-up-by-a-client")
    after = figures()
    good, bad = (
        f'mlops_requests_total{{model="flights",route="/invocations",status="{status}"}}'
        for status in (200, 400)
    )
    assert after[good] - before.get(good, 0) == after[bad] - before.get(bad, 0) == 1
    assert after['mlops_rows_total{model="flights"}'] - before['mlops_rows_total{model="flights"}'] == 3
    assert after['mlops_model_ready{model="flights",version="7"}'] == 1
    slowest = 'mlops_request_seconds_bucket{model="flights",route="/invocations",le="+Inf"}'
    assert after[slowest] == after['mlops_request_seconds_count{model="flights",route="/invocations"}']
    assert not any("made-up" in name for name in after)


def test_the_metrics_page_is_prometheus_text(server: Server) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    families = {
        family.name: family for family in parser.text_string_to_metric_families(server.ask("/metrics")[1])
    }
    assert families["mlops_request_seconds"].type == "histogram"
    assert families["mlops_requests"].type == "counter"
