"""Read which version of the library pyproject.toml, uv.lock and the environment name."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from runtime_lib import __version__
from runtime_lib.upgrade.fence import fences
from runtime_lib.upgrade.versions import is_release

__all__ = [
    "Installed",
    "Locked",
    "Pin",
    "installed",
    "lock_file",
    "locked",
    "override",
    "pins",
    "same_place",
    "same_version",
    "unsourced",
]

_NAME = re.compile(r"\s*runtime[-_.]+lib(?![\w.-])", re.IGNORECASE)
_REQUIREMENT = re.compile(r"\s*[\w.-]+\s*(?:\[(?P<extras>[^\]]*)\])?\s*(?:@\s*(?P<url>[^\s;]+))?")
_HASH = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True)
class Pin:
    """One requirement of the library in pyproject.toml.

    Attributes:
        place: the list that it is in, such as `dependency-groups.dev`.
        url: its address without version; empty for a bare name, which is looked up in an index.
        ref: tag or commit; empty for a checkout.
        fenced: whether it is between the template's two comment lines, both in the same list.
    """

    place: str
    extras: tuple[str, ...]
    url: str
    ref: str
    fenced: bool

    @property
    def local(self) -> bool:
        return self.url.startswith("file:")


@dataclass(frozen=True)
class Locked:
    """The library's entry in uv.lock. `kind` is git, local or registry; `version` is empty for a checkout."""

    kind: str
    version: str
    url: str
    ref: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Installed:
    """The library in the project's environment. `kind` is git, local or index; `here`: it is running now."""

    kind: str
    version: str
    url: str = ""
    commit: str = ""
    here: bool = True


def same_version(ref: str, commit: str) -> bool:
    """Whether a pin's `ref` is what copier recorded as `commit`, which may be short: `v0.2.0-3-g1a2b3c4`."""
    if is_release(commit) or ref == commit:
        return ref == commit
    short = commit.rpartition("-g")[2]
    return _HASH.fullmatch(short) is not None and ref.startswith(short)


def same_place(one: str, other: str) -> bool:
    """Whether two addresses name the same repository or folder, in any spelling."""
    return _plain(one) == _plain(other)


def pins(text: str) -> list[Pin]:
    """Return the requirements of the library in the text of a pyproject.toml.

    Raises:
        tomllib.TOMLDecodeError: the text is no TOML.
    """
    whole = {place: "".join(lines) for place, lines in fences(text).items()}
    return [
        _pin(place, line, line in whole.get(place, "")) for place, line in _requirements(tomllib.loads(text))
    ]


def unsourced(pins: list[Pin]) -> list[Pin]:
    """Return the bare names that an index may serve.

    One with extras, in the same list as a pin with an address, only adds them: uv takes it from there.
    """
    addressed = {pin.place for pin in pins if pin.url}
    return [pin for pin in pins if not pin.url and not (pin.extras and pin.place in addressed)]


def override(text: str) -> Any:
    """Return the library's entry in `[tool.uv.sources]`: uv prefers it to the pin, pip ignores it."""
    sources = tomllib.loads(text).get("tool", {}).get("uv", {}).get("sources", {})
    return next((source for name, source in sources.items() if _NAME.fullmatch(name)), None)


def lock_file(root: Path) -> Path:
    """Return the path of uv.lock, whether or not it exists; projects of a uv workspace share one."""
    for folder in (root, *root.parents):
        if (folder / "uv.lock").is_file() and (folder == root or _is_workspace(folder / "pyproject.toml")):
            return folder / "uv.lock"
    return root / "uv.lock"


def locked(text: str) -> list[Locked]:
    """Return the library's entries in the text of a uv.lock; more than one where platforms differ.

    Raises:
        tomllib.TOMLDecodeError: the text is no TOML.
    """
    entries = tomllib.loads(text).get("package", [])
    return [_locked(entry) for entry in entries if _NAME.fullmatch(str(entry.get("name", "")))]


def installed(root: Path) -> Installed | None:
    """Read the project's own environment, or this process's if there is none."""
    sites = sorted((root / ".venv").glob("lib/python*/site-packages"))
    here = not sites or Path(sys.prefix).resolve() == (root / ".venv").resolve()
    try:
        found = Distribution.from_name("runtime-lib") if here else _in(sites[-1])
    except PackageNotFoundError:
        return None
    return _installed(found, here) if found else None


def _requirements(tables: dict[str, Any]) -> Iterator[tuple[str, str]]:
    project = tables.get("project", {})
    lists = {
        "project.dependencies": project.get("dependencies", []),
        **{
            f"project.optional-dependencies.{k}": v
            for k, v in project.get("optional-dependencies", {}).items()
        },
        **{f"dependency-groups.{k}": v for k, v in tables.get("dependency-groups", {}).items()},
        "tool.uv.dev-dependencies": tables.get("tool", {}).get("uv", {}).get("dev-dependencies", []),
    }
    for place, lines in lists.items():
        yield from ((place, line) for line in lines if isinstance(line, str) and _NAME.match(line))


def _pin(place: str, line: str, fenced: bool) -> Pin:
    found = _REQUIREMENT.match(line)
    extras, address = (found["extras"] or "", found["url"] or "") if found else ("", "")
    url, ref = address.partition("#")[0], ""
    path = urlsplit(url).path
    if not url.startswith("file:") and "@" in path:
        ref = path.rpartition("@")[2]
        url = url.removesuffix(f"@{ref}")
    names = tuple(extra.strip() for extra in extras.split(",") if extra.strip())
    return Pin(place, names, url, ref, fenced)


def _locked(entry: dict[str, Any]) -> Locked:
    source, version = entry.get("source", {}), str(entry.get("version", ""))
    if git := source.get("git"):
        address = urlsplit(git)
        ref = re.search(r"(?:^|&)(?:rev|tag|branch)=([^&]*)", address.query)
        url = address._replace(query="", fragment="").geturl()
        return Locked("git", version, url, unquote(ref[1]) if ref else "", address.fragment)
    for kind in ("editable", "directory", "path"):
        if kind in source:
            return Locked("local", version, str(source[kind]))
    return Locked("registry", version, str(source.get("registry", source.get("url", ""))))


def _in(site: Path) -> Distribution | None:
    return next(map(PathDistribution, sorted(site.glob("runtime_lib-*.dist-info"))), None)


def _installed(found: Distribution, here: bool) -> Installed:
    try:
        origin = json.loads(found.read_text("direct_url.json") or "{}")
    except ValueError:
        origin = {}
    url = str(origin.get("url", ""))
    editable = origin.get("dir_info", {}).get("editable", False)
    version = __version__ if here else _version(found, url if editable else "")
    if "vcs_info" in origin:
        return Installed("git", version, url, str(origin["vcs_info"].get("commit_id", "")), here)
    return Installed("local" if url else "index", version, url, here=here)


def _version(found: Distribution, url: str) -> str:
    """Return the version; that of an editable install is its checkout's, not the one at install time."""
    file = Path(unquote(urlsplit(url).path)) / "runtime_lib" / "VERSION"
    if url and file.is_file():
        return file.read_text(encoding="utf-8").strip()
    return found.version


def _is_workspace(file: Path) -> bool:
    try:
        return "workspace" in tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("uv", {})
    except (OSError, ValueError):
        return False


def _plain(url: str) -> str:
    address = urlsplit(url.removeprefix("git+"))
    host = address.netloc.rpartition("@")[2].lower()
    return f"{host}{unquote(address.path)}".rstrip("/").removesuffix(".git").rstrip("/")
