"""YAML, TOML, JSON and INI as plain data with lines."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Literal

from runtime_lib.audit.index.ini import read_ini
from runtime_lib.audit.index.lines import entries_of, json_lines, toml_lines, without_comments
from runtime_lib.audit.index.model import Document
from runtime_lib.audit.index.readable import is_template
from runtime_lib.audit.index.yaml_reader import read_yaml

__all__ = ["DocumentKind", "is_filled_in", "read_document", "without_holes"]

DocumentKind = Literal["yaml", "toml", "json", "ini"]

HOLE = re.compile(r"(?<!\$)\{\{[-+~]?(.*?)[-+~]?\}\}", re.DOTALL)
BLOCK = re.compile(r"\{%.*?%\}|\{#.*?#\}|<%.*?%>", re.DOTALL)
FAULTS = (ValueError, RecursionError, IndexError, KeyError, TypeError)


def read_document(path: str, text: str, kind: DocumentKind) -> Document:
    """Read a document. A template of Jinja, Helm or Go is read with its holes as text, and says so."""
    document = _read(path, text, kind)
    # In YAML `{{ x }}` is a mapping whose key is a mapping, which nobody means.
    fits = (
        not document.problem
        and not is_template(path)
        and all("?" not in one.keys for one in document.entries)
    )
    if fits or not is_filled_in(text):
        return document
    again = _read(path, without_holes(text), kind)
    problem = "a template" + (f", {again.problem}" if again.problem else "")
    best = document if again.problem and len(again.entries) < len(document.entries) else again
    return Document(path, kind, best.data, best.entries, problem)


def is_filled_in(text: str) -> bool:
    """Whether it has holes or blocks of a template; GitHub's `${{ … }}` are none."""
    return bool(BLOCK.search(text) or HOLE.search(text))


def without_holes(text: str) -> str:
    """The text without blocks, and with holes that no syntax stumbles on; as many lines."""
    text = BLOCK.sub(lambda found: "\n" * found[0].count("\n"), text)
    return HOLE.sub(_hole, text)


def _hole(found: re.Match[str]) -> str:
    name = re.sub(r"[^\w.]+", " ", found[1]).strip()[:60]
    return f"⟦{name}⟧" + "\n" * found[0].count("\n")


def _read(path: str, text: str, kind: DocumentKind) -> Document:
    try:
        if kind == "yaml":
            read = read_yaml(text)
            data = read.documents[0] if len(read.documents) == 1 else read.documents or None
            return Document(path, kind, data, read.entries, read.problem)
        if kind == "ini":
            options, entries = read_ini(text)
            return Document(path, kind, options, entries)
        data = tomllib.loads(text) if kind == "toml" else _json(text)
        lines = toml_lines(text) if kind == "toml" else json_lines(text)
        entries, whole = entries_of(data, lines)
        return Document(path, kind, data, entries, "" if whole else "more than 20,000 values")
    except FAULTS as error:
        return Document(path, kind, None, (), f"no {kind.upper()}: {_first_line(error)}")


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(without_comments(text))


def _first_line(error: Exception) -> str:
    return (str(error).split("\n")[0] or type(error).__name__)[:200]
