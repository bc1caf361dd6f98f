"""Locks: scanned, not parsed, since they are long and all have one shape."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping

from runtime_lib.audit.index.dependencies.requirement import normalised
from runtime_lib.audit.index.model import Lock, Text

__all__ = ["explicit", "read_lock"]

PACKAGE = re.compile(r"^\[\[(?:package|packages)\]\]\s*\n((?:[^\n\[]+\n?|\n(?!\[))*)", re.MULTILINE)
NAME = re.compile(r'^name = "([^"]+)"', re.MULTILINE)
VERSION = re.compile(r'^version = "([^"]+)"', re.MULTILINE)
CONDA = re.compile(r"^\s*-?\s*name: ['\"]?([\w.-]+)['\"]?\n\s+version: ['\"]?([\w.+!-]+)", re.MULTILINE)
CONDA_FILE = re.compile(r"/([\w.-]+?)-([\w.!+]+)-[\w.]+\.(?:conda|tar\.bz2)\b")
WHEEL = re.compile(r"/([A-Za-z0-9_.]+?)-(\d[\w.+!]*?)(?:-[\w.-]+\.whl|\.tar\.gz|\.zip)\b")
# Of a lock by its kind the files that declare what it fixes, in the same folder.
MANIFESTS: Mapping[str, tuple[str, ...]] = {
    "uv": ("pyproject.toml",),
    "poetry": ("pyproject.toml",),
    "pdm": ("pyproject.toml",),
    "pylock": ("pyproject.toml",),
    "pipenv": ("Pipfile",),
    "pixi": ("pixi.toml", "pyproject.toml"),
    "conda-lock": ("environment.yml", "environment.yaml", "pyproject.toml"),
    "renv": ("DESCRIPTION",),
}


def read_lock(path: str, text: str, manifests: Collection[str]) -> Lock | None:
    """Read a lock by the name of its file; None for one that fixes nothing, as an empty one."""
    kind = _kind(path.rpartition("/")[2].lower())
    names = dict(_names(kind, text))
    if not kind or not names:
        return None
    folder = path.rpartition("/")[0]
    sources = [f"{folder}/{name}".lstrip("/") for name in MANIFESTS.get(kind, ())]
    return Lock(kind, path, names, next((source for source in sources if source in manifests), ""))


def explicit(text: Text) -> Lock | None:
    """A list that `conda list --explicit` wrote."""
    if not any(line.strip() == "@EXPLICIT" for line in text.lines[:20]):
        return None
    names = {
        normalised(found[1]): found[2] for line in text.lines if (found := CONDA_FILE.search(line.strip()))
    }
    return Lock("conda-explicit", text.path, names) if names else None


def _kind(name: str) -> str:
    for start, kind in (
        ("uv.lock", "uv"),
        ("poetry.lock", "poetry"),
        ("pdm.lock", "pdm"),
        ("pylock", "pylock"),
    ):
        if name.startswith(start):
            return kind
    for start, kind in (("pipfile.lock", "pipenv"), ("pixi.lock", "pixi"), ("renv.lock", "renv")):
        if name.startswith(start):
            return kind
    return "conda-lock" if "conda" in name else ""


def _names(kind: str, text: str) -> Iterator[tuple[str, str]]:
    if kind in ("pipenv", "renv"):
        yield from _json(kind, text)
    elif kind == "conda-lock":
        yield from ((normalised(name), version) for name, version in CONDA.findall(text))
    elif kind == "pixi":  # from version 5 on names are parts of addresses
        for pattern in (CONDA, CONDA_FILE, WHEEL):
            yield from ((normalised(name), version) for name, version in pattern.findall(text))
    else:
        for body in PACKAGE.findall(text):
            name, version = NAME.search(body), VERSION.search(body)
            if name:
                yield normalised(name[1]), version[1] if version else ""


def _json(kind: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        data = json.loads(text)
        if kind == "renv":
            tables = [data.get("Packages", {})]
        else:
            tables = [data.get("default", {}), data.get("develop", {})]
        for table in tables:
            for name, one in table.items():
                version = one.get("version") or one.get("Version") or one.get("ref") or ""
                yield normalised(name), str(version).removeprefix("==")
    except (ValueError, RecursionError, AttributeError):
        return
