"""What runs commands that are written elsewhere: make, shell scripts, pre-commit, docker compose."""

from __future__ import annotations

import re
from collections.abc import Callable

from runtime_lib.audit.index.ci.make import Makefile, read_makefile
from runtime_lib.audit.index.ci.python_runners import invoke, nox
from runtime_lib.audit.index.ci.sources import Place, Script, Sources, join, listed, table
from runtime_lib.audit.index.ci.tasks import hatch, just, mise, npm, pdm, pipenv, pixi, poe, rye, task
from runtime_lib.audit.index.ci.tox import tox
from runtime_lib.audit.index.ci.wrappers import as_text, inner_script
from runtime_lib.audit.index.model import Text

__all__ = ["RUNNERS", "Runner"]

# From the words of a command to the scripts that it runs; None: it is not one of this runner's.
Runner = Callable[[Sources, list[str], Place], list[Script] | None]
_MAKE_VALUES = frozenset({"-C", "--directory", "-f", "--file", "--makefile", "-j", "-l", "-o", "-I"})
_SHELLS = frozenset({"bash", "sh", "zsh", "source", ".", "/bin/bash", "/bin/sh", "dash"})
_COMPOSE = ("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml")


def make(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    if words[0] not in ("make", "gmake", "mingw32-make", "$(MAKE)", "${MAKE}"):
        return None
    options, given, targets = _make_words(words)
    folder = join(place.folder, options.get("-C", options.get("--directory", "")))
    name = options.get("-f", options.get("--file", options.get("--makefile", "")))
    text = sources.text(folder, *([name] if name else ["GNUmakefile", "Makefile", "makefile"]))
    if text is None:
        return None
    made = _makefile(text, sources)
    found = []
    ignored = "-i" in words or "--ignore-errors" in words
    for target in targets or [made.first]:
        if target not in made.recipes:
            return None
        for one in made.recipe(target, {**place.variables, **given}):
            where = Place(one.path, one.line, folder, may_fail=one.may_fail or ignored, strict=False)
            found.append(Script(one.text, where))
    return found or None


def _make_words(words: list[str]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    options: dict[str, str] = {}
    given: dict[str, str] = {}
    targets: list[str] = []
    at = 1
    while at < len(words):
        word = words[at]
        if (
            word in _MAKE_VALUES
            and at + 1 < len(words)
            and not (word == "-j" and not words[at + 1].isdigit())
        ):
            options[word] = words[at + 1]
            at += 1
        elif word.startswith("--") and "=" in word:
            options[word.partition("=")[0]] = word.partition("=")[2]
        elif "=" in word:
            given[word.partition("=")[0]] = word.partition("=")[2]
        elif not word.startswith("-"):
            targets.append(word)
        at += 1
    return options, given, targets


def _makefile(text: Text, sources: Sources) -> Makefile:
    key = ("make", text.path)
    if key not in sources.cache:
        sources.cache[key] = read_makefile(text, sources)
    found: Makefile = sources.cache[key]
    return found


def shell_script(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    rest = words
    if words[0] in _SHELLS:
        rest = [word for word in words[1:] if not re.match(r"^[-+]\w", word) and word != "pipefail"]
    if not rest or not re.search(r"[./]", rest[0]):
        return None
    name = re.sub(r"^(\$\w+|\$\{\{?[^}]*\}?\}|\$\(pwd\))/", "", rest[0])
    text = sources.text(place.folder, name)
    if text is None or not (_is_shell(text) or words[0] in _SHELLS):
        return None
    first = text.lines[0] if text.lines else ""
    options = " ".join(words[1 : words.index(rest[0])]) if words[0] in _SHELLS else ""
    sourced = words[0] in ("source", ".")
    strict = bool(re.search(r"\s-\w*e", f"{first if words[0] not in _SHELLS else ''} {options}"))
    where = Place(text.path, 1, place.folder, strict=strict or (sourced and place.strict))
    return [Script("\n".join(text.lines), where)]


def _is_shell(text: Text) -> bool:
    first = text.lines[0] if text.lines else ""
    return text.path.endswith((".sh", ".bash")) or bool(re.match(r"#!.*\b(ba|z|da)?sh\b", first))


def pre_commit(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    """The hooks' entries; of a hook from elsewhere its name, which is its tool as a rule."""
    if words[0] not in ("pre-commit", "prek") or "run" not in words[1:]:
        return None
    config = sources.document(place.folder, ".pre-commit-config.yaml")
    if config is None:
        return None
    after = words[words.index("run") + 1 :]
    chosen = next((word for word in after if not word.startswith("-")), "") if after else ""
    stage = after[after.index("--hook-stage") + 1] if "--hook-stage" in after[:-1] else ""
    chosen = "" if chosen == stage else chosen
    lines = sources.lines(config)
    found = []
    for number, repo in enumerate(listed(table(config.data).get("repos"))):
        for place_in, hook in enumerate(listed(table(repo).get("hooks"))):
            if _runs(table(hook), chosen, stage):
                line = lines.of("repos", number, "hooks", place_in, "id")
                found.append(Script(_entry(table(hook)), Place(config.path, line, place.folder)))
    return found or None


def _runs(hook: dict[str, object], chosen: str, stage: str) -> bool:
    if chosen and not chosen.startswith("$"):
        return hook.get("id") == chosen
    stages = [str(one).removeprefix("pre-") for one in listed(hook.get("stages"))]
    return not stages or (stage or "commit").removeprefix("pre-") in stages


def _entry(hook: dict[str, object]) -> str:
    arguments = [str(one) for one in listed(hook.get("args"))]
    return f"{hook.get('entry') or hook.get('id')} {as_text(arguments)}".strip()


def compose(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    """What the service runs of `docker compose run service` alone, and of `up --exit-code-from service`."""
    if words[0] != "docker-compose" and words[:2] != ["docker", "compose"]:
        return None
    rest = words[1 if words[0] == "docker-compose" else 2 :]
    names = [rest[at + 1] for at, word in enumerate(rest[:-1]) if word in ("-f", "--file")]
    plain = [
        word
        for at, word in enumerate(rest)
        if not word.startswith("-") and rest[at - 1] not in ("-f", "--file")
    ]
    wanted = plain[1] if plain[:1] == ["run"] and len(plain) == 2 else ""
    for at, word in enumerate(rest):
        if word.startswith("--exit-code-from"):
            wanted = word.partition("=")[2] or (rest[at + 1] if at + 1 < len(rest) else "")
    document = sources.document(place.folder, *(names or _COMPOSE)) if wanted else None
    if document is None:
        return None
    command = table(table(table(document.data).get("services")).get(wanted)).get("command")
    if not command:
        return None
    text = as_text([str(one) for one in command]) if isinstance(command, list) else str(command)
    line = sources.lines(document).of("services", wanted, "command")
    return [Script(text, Place(document.path, line, place.folder))]


def inner(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    """A script given as a word: `bash -c "…"`."""
    text = inner_script(words)
    if text is None:
        return None
    strict = any(re.match(r"^-\w*e", word) for word in words[1 : words.index(text)])
    return [Script(text, Place(place.path, place.line, place.folder, strict=strict, may_fail=False))]


RUNNERS: tuple[Runner, ...] = (
    make, nox, tox, shell_script, inner, npm, just, mise, task, hatch, pdm, poe, rye, pixi, pipenv,
    invoke, pre_commit, compose,
)  # fmt: skip
