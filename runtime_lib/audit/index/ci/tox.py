"""Commands of tox's environments: tox.ini, setup.cfg, tox.toml and pyproject.toml."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.index.ci.sources import Place, Script, Sources, listed, table
from runtime_lib.audit.index.ci.wrappers import as_text
from runtime_lib.audit.index.model import Document

__all__ = ["tox"]

_CONDITION = re.compile(r"^([!\w.,{}-]+)\s*:\s+(.*)$")
_REFERENCE = re.compile(r"\{\[([^\]]+)\](\w+)\}")
_POSITIONS = re.compile(r"\{posargs(?::((?:[^{}]|\{[^{}]*\})*))?\}")


def tox(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    if words[0] not in ("tox", "detox"):
        return None
    found = _configuration(sources, place.folder)
    if found is None:
        return None
    document, sections, at = found
    chosen = _chosen(words) or _envlist(sections)
    given = " ".join(words[words.index("--") + 1 :]) if "--" in words else ""
    line = sources.lines(document)
    result: list[Script] = []
    for name in dict.fromkeys(chosen):
        for section, text in _commands(sections, name):
            may_fail = text.startswith("-")
            plain = _POSITIONS.sub(lambda hit: given or hit[1] or "", text.lstrip("-! "))
            plain = re.sub(r"\{envpython\}|\{env_python\}|\{envbindir\}/python", "python", plain)
            plain = re.sub(r"\{(toxinidir|tox_root)\}/?", "", plain)
            where = Place(document.path, line.of(*at, *section), place.folder, may_fail=may_fail)
            result.append(Script(plain, where))
    return result or None


Sections = dict[str, dict[str, Any]]


def _configuration(sources: Sources, folder: str) -> tuple[Document, Sections, tuple[str, ...]] | None:
    """The first configuration as sections, and the keys that lead to them in its document."""
    for name in ("tox.ini", "setup.cfg"):
        document = sources.document(folder, name)
        if document is not None and any(
            str(key).startswith(("testenv", "tox")) for key in table(document.data)
        ):
            return document, {str(key): table(one) for key, one in document.data.items()}, ()
    document = sources.document(folder, "tox.toml")
    if document is not None:
        return document, _of_toml(table(document.data)), ()
    document = sources.document(folder, "pyproject.toml")
    settings = table(table(table(document.data).get("tool")).get("tox")) if document is not None else {}
    if document is None or not settings:
        return None
    if isinstance(old := settings.get("legacy_tox_ini"), str):
        return document, _of_ini(old), ("tool", "tox", "legacy_tox_ini")
    return document, _of_toml(settings), ("tool", "tox")


def _of_toml(settings: dict[str, Any]) -> Sections:
    """tox 4's own tables in the shape of the old file."""
    sections: Sections = {"tox": {"envlist": settings.get("env_list", settings.get("envlist", []))}}
    sections["testenv"] = table(settings.get("env_run_base"))
    for name, one in table(settings.get("env")).items():
        sections[f"testenv:{name}"] = table(one)
    return sections


def _of_ini(text: str) -> Sections:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return {name: dict(parser[name]) for name in parser.sections()}


def _chosen(words: list[str]) -> list[str]:
    found: list[str] = []
    for at, word in enumerate(words[1:], 1):
        if word == "--":
            break
        if word in ("-e", "--env", "-epy") and at + 1 < len(words):
            found += words[at + 1].split(",")
        elif word.startswith("-e") and not word.startswith("--") and len(word) > 2:
            found += word[2:].lstrip("=").split(",")
    return [one for one in found if one and one != "ALL"]


def _envlist(sections: Sections) -> list[str]:
    main = sections.get("tox") or sections.get("tox:tox") or {}
    value = main.get("envlist", main.get("env_list", ""))
    texts = [str(one) for one in value] if isinstance(value, list) else re.split(r"[\n]+", str(value))
    found = [name for text in texts for part in _parts(text) for name in _braces(part.strip()) if name]
    return found or ["py"]


def _parts(text: str) -> list[str]:
    """At commas that stand in no braces."""
    return re.split(r",(?![^{]*\})", re.sub(r"#.*", "", text))


def _braces(text: str) -> list[str]:
    """`py{38,39}` as py38 and py39."""
    found = re.search(r"\{([^{}]*)\}", text)
    if found is None:
        return [text]
    return [
        one
        for part in found[1].split(",")
        for one in _braces(text[: found.start()] + part.strip() + text[found.end() :])
    ][:50]


def _commands(sections: Sections, name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Section and key, and the command, of one environment."""
    own, keys = {}, ("testenv", f"testenv:{name}")
    for section in sections:
        head, _, names = section.partition(":")
        if head == "testenv" and names and name in _braces(names):
            own, keys = sections[section], ("testenv", section)
    base = sections.get("testenv") or {}
    for key in ("commands_pre", "commands", "commands_post"):
        section = keys[1] if key in own else keys[0]
        for text in _texts(sections, (own if key in own else base).get(key), frozenset(name.split("-")), 0):
            yield (section, key), text


def _texts(sections: Sections, value: Any, factors: frozenset[str], depth: int) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            if isinstance(one, dict) and one.get("replace") == "ref":
                keys = [str(key) for key in listed(one.get("of"))]
                section = {"env_run_base": "testenv"}.get(
                    keys[0] if keys else "", f"testenv:{keys[1:2] and keys[1]}"
                )
                if depth < 5 and keys:
                    yield from _texts(
                        sections, (sections.get(section) or {}).get(keys[-1]), factors, depth + 1
                    )
            elif isinstance(one, list):
                yield as_text([str(word) for word in one if not isinstance(word, dict)])
            elif isinstance(one, str):
                yield one
        return
    for line in re.sub(r"\\\n\s*", " ", str(value or "")).splitlines():
        yield from _line(sections, re.sub(r"(^|\s)#.*", "", line).strip(), factors, depth)


def _line(sections: Sections, line: str, factors: frozenset[str], depth: int) -> Iterator[str]:
    condition = _CONDITION.match(line)
    if condition is not None:
        if not any(_holds(one, factors) for part in _parts(condition[1]) for one in _braces(part)):
            return
        line = condition[2]
    reference = _REFERENCE.fullmatch(line)
    if reference is not None and depth < 5:
        yield from _texts(sections, (sections.get(reference[1]) or {}).get(reference[2]), factors, depth + 1)
    elif line:
        yield line


def _holds(condition: str, factors: frozenset[str]) -> bool:
    return all(
        (one[1:] not in factors) if one.startswith("!") else one in factors
        for one in condition.split("-")
        if one
    )
