"""The page at `/docs`: how to ask a server, from its OpenAPI document; commands to copy, no script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple
from urllib.parse import quote as encode

from runtime_lib.drawing.page import fill
from runtime_lib.serving.page.examples import curl, pretty

__all__ = ["docs_page"]

_METHODS = ("get", "post")


class _Field(NamedTuple):
    """A name, what it is, and a value as JSON; empty without one."""

    name: str
    words: str
    example: str = ""


class _Command(NamedTuple):
    title: str
    text: str


def docs_page(openapi: Mapping[str, Any], url: str) -> str:
    """Return the page. All names of the document are escaped.

    Args:
        openapi: from `openapi`.
        url: under which whoever reads the page reaches the server, without a slash at the end.
    """
    schemas, paths = openapi["components"]["schemas"], openapi["paths"]
    answer = schemas["Answer"]
    infer = next(path for path in paths if path.endswith("/infer"))
    return fill(
        Path(__file__).with_name("docs.html.j2"),
        extra="serve",
        info=openapi["info"],
        commands=_commands(paths, "/invocations", url),
        answer=pretty(answer["examples"][0]),
        answered=[_Field(name, _words(each)) for name, each in answer["properties"].items()],
        row=_fields(schemas["Row"]),
        raw=_fields(schemas["RawRow"]) if "RawRow" in schemas else [],
        raw_commands=_commands(paths, "/raw/invocations", url)[:1] if "RawRow" in schemas else [],
        infer=_commands(paths, infer, url, openapi["info"]["title"]),
        headers=[_Field(p["name"], p["description"]) for p in openapi["components"]["parameters"].values()],
        errors=[
            (name.removeprefix("Error"), each["description"])
            for name, each in openapi["components"]["responses"].items()
            if name.removeprefix("Error") in _statuses(paths)
        ],
        endpoints=[
            (method.upper(), path, operations[method]["summary"])
            for path, operations in paths.items()
            for method in _METHODS
            if method in operations
        ],
    )


def _commands(paths: Mapping[str, Any], path: str, url: str, name: str = "") -> list[_Command]:
    examples = paths[path]["post"]["requestBody"]["content"]["application/json"]["examples"]
    address = _quoted(url + path.replace("{name}", name))
    return [
        _Command(each["summary"], curl(f"{address} \\\n ", f"\n{pretty(each['value'])}"))
        for each in examples.values()
    ]


def _quoted(address: str) -> str:
    """An address that a shell takes as it is; a model's name may hold anything."""
    return quote(encode(address, safe=":/[]"))


def _fields(schema: Mapping[str, Any]) -> list[_Field]:
    return [
        _Field(name, each.get("description", ""), _example(each))
        for name, each in schema["properties"].items()
    ]


def _example(schema: Mapping[str, Any]) -> str:
    found = schema.get("examples", ())
    return json.dumps(found[0], ensure_ascii=False) if found else ""


def _words(schema: Mapping[str, Any]) -> str:
    told = [schema.get("description", ""), *_of_items(schema.get("items", {}))]
    return " ".join(each for each in told if each)


def _of_items(items: Mapping[str, Any]) -> Iterator[str]:
    yield items.get("description", "")
    if names := ", ".join(items.get("properties", ())):
        yield f"Each has {names}."


def _statuses(paths: Mapping[str, Any]) -> set[str]:
    return {status for each in paths.values() for status in each.get("post", {}).get("responses", ())}
