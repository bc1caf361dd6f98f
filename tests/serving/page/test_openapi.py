"""The OpenAPI document and the page at `/docs`, against a real server: what they say is what it does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from runtime_lib.data.columns import Column
from runtime_lib.serving.page.docs import docs_page
from runtime_lib.serving.page.openapi import openapi
from runtime_lib.task.kinds import KINDS, from_dict
from tests.support.markup import Page
from tests.support.servers import COLUMNS, ROWS, Server
from tests.support.statuses import HOSTILE

jsonschema = pytest.importorskip("jsonschema")

RAW = {
    "order_id": "int64",
    "ordered_at": "datetime64[us, UTC]",
    "day": "date",
    "price": "decimal",
    "vip": "bool",
    "country": "str",
    "other": "object",
}
PICTURE = Column("picture", "image", nullable=True, shape=(28, 28))
TASKS = {
    "binary": {"kind": "binary"},
    "multiclass": {"kind": "multiclass", "classes": ["early", HOSTILE, "ok"]},
    "regression": {"kind": "regression"},
    "quantile": {"kind": "quantile", "levels": [0.1, 0.5, 0.9]},
}


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    status, found = server.ask("/openapi.json")
    assert status == 200
    return found


def check(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator({**document, **schema}).validate(value)


def examples(document: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        if post := operations.get("post"):
            address = path.replace("{name}", "flights").replace("{version}", "7")
            for example in post["requestBody"]["content"]["application/json"]["examples"].values():
                yield address, example["value"], post


def test_each_example_is_answered_as_documented(server: Server, document: dict[str, Any]) -> None:
    asked = [*examples(document)]
    assert len(asked) == 5
    for path, body, operation in asked:
        check(body, operation["requestBody"]["content"]["application/json"]["schema"], document)
        status, answer = server.ask(path, body)
        assert status == 200, answer
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        check(answer, schema, document)
        with pytest.raises(jsonschema.ValidationError):
            check({"predictions": ["x"], "outputs": 1}, schema, document)


def test_each_page_is_answered_with_the_documented_type(server: Server, document: dict[str, Any]) -> None:
    import urllib.request

    paths = [path for path, operations in document["paths"].items() if "get" in operations]
    assert len(paths) == 15
    for path in paths:
        [(kind, content)] = document["paths"][path]["get"]["responses"]["200"]["content"].items()
        address = server.url + path.replace("{name}", "flights").replace("{version}", "7")
        with urllib.request.urlopen(address, timeout=30) as reply:
            assert reply.headers.get_content_type() == kind, path
            text = reply.read().decode()
        if kind == "application/json":
            check(json.loads(text), content["schema"], document)


def test_all_that_the_server_knows_is_documented(server: Server, document: dict[str, Any]) -> None:
    _, answer = server.ask("/no-such-path")
    known = {path.strip(" .") for path in answer["error"].partition("Known: ")[2].split(",")}
    documented = {path.replace("{name}", "flights") for path in document["paths"]}
    raw, for_mlflow = {"/raw", "/raw/invocations"}, {"/version", "/webhooks/mlflow"}
    assert known - documented == raw | for_mlflow  # this server takes features only
    _, metadata = server.ask("/v2/models/flights")
    outputs = document["components"]["schemas"]["InferenceAnswer"]["properties"]["outputs"]["items"]
    assert outputs["properties"]["name"]["enum"] == [output["name"] for output in metadata["outputs"]]


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        ("/invocations", {}, "application/json", 400),
        ("/v2/models/other/infer", {}, "application/json", 404),
        ("/invocations", {"inputs": {name: [1] * 51 for name in ROWS}}, "application/json", 413),
        ("/invocations", {}, "text/csv", 415),
    ],
)
def test_a_refusal_is_documented(
    server: Server, document: dict[str, Any], path: str, body: Any, kind: str, status: int
) -> None:
    got, answer = server.ask(path, body, kind=kind)
    assert got == status
    assert str(status) in document["paths"]["/invocations"]["post"]["responses"]
    check(answer, {"$ref": "#/components/schemas/Error"}, document)


def test_the_commands_of_the_page_work_in_a_shell(server: Server) -> None:
    status, html = server.ask("/docs")
    assert status == 200
    found = Page(html)
    assert found.needs() == []
    commands = [block for block in found.blocks if block.startswith("curl ")]
    assert len(commands) == 4
    for command in commands:
        assert server.url in command
        done = subprocess.run(["sh", "-c", f"{command} -sS --fail-with-body"], capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert {"ids", "id"} & json.loads(done.stdout).keys()


def test_the_page_of_the_state_forbids_what_it_does_not_need(server: Server) -> None:
    import urllib.request

    with urllib.request.urlopen(f"{server.url}/?reload=0", timeout=30) as reply:
        html, policy = reply.read().decode(), reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "refresh" not in html
    assert "refresh" in server.ask("/")[1]


def test_a_host_that_is_none_is_not_shown(server: Server) -> None:
    import urllib.request

    request = urllib.request.Request(f"{server.url}/docs", headers={"Host": "x';reboot;'"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert "reboot" not in reply.read().decode()


@pytest.mark.parametrize("kind", TASKS)
def test_the_schema_of_each_task_is_that_of_its_answers(kind: str) -> None:
    assert TASKS.keys() == KINDS.keys()
    task = from_dict(TASKS[kind])
    document = openapi(COLUMNS, task, "flights", ["5", "7"], 50)
    raw = np.random.default_rng(0).normal(size=(20, task.width))
    answer = task.answer(raw)
    told = {"predictions": task.records(answer, task.decide(answer, {"threshold": 0.5}))}
    check(
        told | {"ids": ["a"], "model": "flights", "version": "5"},
        {"$ref": "#/components/schemas/Answer"},
        document,
    )
    with pytest.raises(jsonschema.ValidationError):
        check(
            {**told, "predictions": [{"other": 1}]} | {"ids": ["a"], "model": "f", "version": "5"},
            {"$ref": "#/components/schemas/Answer"},
            document,
        )


def test_documents_are_valid_openapi() -> None:
    validate = pytest.importorskip("openapi_spec_validator").validate
    for kind in TASKS.values():
        validate(openapi((*COLUMNS, PICTURE), from_dict(kind), "flights", ["5", "7"], 50, RAW))


def test_names_are_escaped_in_the_page_and_in_its_commands() -> None:
    columns = (Column(HOSTILE, "number"), Column("it's", "category"), PICTURE)
    document = openapi(columns, from_dict(TASKS["multiclass"]), f"a'b {HOSTILE}", ["5"], 50, {HOSTILE: "str"})
    found = Page(docs_page(document, "http://127.0.0.1:8000"))
    assert found.needs() == []
    assert HOSTILE in found.text["row"]
    assert "28 x 28 pixels, 0 to 255" in found.text["row"]
    bodies = []
    for command in (block for block in found.blocks if block.startswith("curl ")):
        told = f"curl() {{ for each; do printf '%s\\0' \"$each\"; done; }}\n{command}"
        words = subprocess.run(["sh", "-c", told], capture_output=True, text=True, check=True).stdout.split(
            "\0"
        )
        assert words[1:4] == ["-H", "Content-Type: application/json", "-d"]
        bodies.append(json.loads(words[4]))
    assert bodies[0]["dataframe_records"][0].keys() == {HOSTILE, "it's", "picture"}


def test_examples_are_what_training_saw_most() -> None:
    profile = {"columns": {"hour": {"quantiles": {"0.5": 13.0}}, "carrier": {"counts": {"UA": 9, "DL": 3}}}}
    document = openapi(COLUMNS, from_dict(TASKS["binary"]), "flights", ["5"], 50, RAW, profile=profile)
    asked = {path: body["dataframe_records"][0] for path, body, _ in examples(document) if "ids" in body}
    assert asked["/invocations"] == {"hour": 13, "wind": 0, "carrier": "UA"}
    assert asked["/raw/invocations"]["ordered_at"] == "2026-01-31T12:00:00Z"


def test_raw_examples_are_what_the_reader_of_raw_rows_takes() -> None:
    from runtime_lib.data.raw import RawTypes
    from runtime_lib.serving.page.examples import raw_example

    types = {
        **RAW,
        "span": "timedelta64[us]",
        "local": "datetime64[us]",
        "small": "uint8",
        "share": "float32",
    }
    table = RawTypes(types).parse({name: [value] for name, value in raw_example(types).items()})
    assert table.notna().all(axis=None)
