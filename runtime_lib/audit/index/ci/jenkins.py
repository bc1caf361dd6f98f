"""Jenkinsfiles as text: stages, steps that run a shell, triggers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runtime_lib.audit.index.ci.sources import Place, Sources
from runtime_lib.audit.index.ci.steps import Step, jobs
from runtime_lib.audit.index.model import Pipeline, Text, Trigger

__all__ = ["is_jenkinsfile", "read"]

_NAME = re.compile(r"(^|/)(Jenkinsfile[^/]*|[^/]+\.jenkinsfile|[^/]+\.jenkins)$", re.IGNORECASE)
_STEP = re.compile(
    r"\b(?:sh|bat|powershell|pwsh)\s*\(?\s*(?:(?P<named>[^'\"\n]*?)\bscript\s*:\s*)?"
    r"(?:\"\"\"(?P<long>.*?)\"\"\"|'''(?P<long2>.*?)'''|\"(?P<one>(?:[^\"\\\n]|\\.)*)\"|'(?P<two>(?:[^'\\\n]|\\.)*)')"
    r"(?P<after>[^\n)]*)",
    re.DOTALL,
)
_STAGE = re.compile(r"\bstage\s*\(?\s*['\"]([^'\"]+)['\"]")
_CRON = re.compile(r"\b(?:cron|parameterizedCron)\s*\(?\s*(['\"]{1,3})(.+?)\1", re.DOTALL)
_LIBRARY = re.compile(r"@Library\s*\(\s*\[?\s*['\"]([^'\"]+)")
# Steps that build and push images by the Docker plugin.
_PUSH = re.compile(r"\b\w+\.push\s*\(")
_BUILD = re.compile(r"\bdocker\.build\s*\(")


def is_jenkinsfile(text: Text) -> bool:
    if not _NAME.search(text.path):
        return False
    whole = "\n".join(text.lines)
    return bool(re.search(r"\b(pipeline|node|stage)\b", whole)) or bool(_LIBRARY.search(whole))


def _without_comments(source: str) -> str:
    """Comments of Groovy as blanks, so that lines stay; strings are left alone."""
    pattern = re.compile(
        r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|(?P<comment>//[^\n]*|/\*.*?\*/)",
        re.DOTALL,
    )
    return pattern.sub(
        lambda found: re.sub(r"[^\n]", " ", found[0]) if found["comment"] is not None else found[0], source
    )


def read(sources: Sources, text: Text, *, active: bool) -> Pipeline:
    source = _without_comments("\n".join(text.lines)[:500_000])
    triggers = [Trigger("push", text.path, 1, "as Jenkins is set up")]
    for cron in _CRON.finditer(source):
        triggers.append(Trigger("schedule", text.path, _line(source, cron.start()), cron[2].strip()))
    starts = [(found.start(), found[1]) for found in _STAGE.finditer(source)]
    bounds = [(0, "pipeline"), *starts]
    ends = [start for start, _ in starts] + [len(source)]
    found = []
    for (start, name), end in zip(bounds, ends, strict=True):
        part = source[start:end]
        steps = list(_steps(text.path, source, start, part))
        ways = _ways(part, triggers)
        if steps:
            line = _line(source, start)
            found += jobs(sources, name, line, steps, ways, lambda *_: True, disabled=not ways)
    return Pipeline("jenkins", text.path, tuple(found), tuple(triggers), active)


def _ways(part: str, triggers: list[Trigger]) -> list[Trigger]:
    """Triggers that reach a stage, by its `when` as far as it is plain."""
    condition = re.search(
        r"\bwhen\s*\{(.*?)\}\s*(?:steps|stages|agent|environment|parallel)\b", part, re.DOTALL
    )
    inside = condition[1] if condition else ""
    if re.search(r"expression\s*\{\s*(return\s+)?false\s*\}?", inside):
        return []
    if re.search(r"\binput\s*[({]", part):
        return [Trigger("manual", one.path, one.line, "input") for one in triggers[:1]]
    if re.search(r"\b(buildingTag\s*\(|tag\s+['\"\w])", inside):
        return [Trigger("tag", one.path, one.line) for one in triggers if one.kind == "push"]
    if re.search(r"params\.\w+", inside) and not re.search(r"\bbranch\b|anyOf", inside):
        return [Trigger("manual", triggers[0].path, triggers[0].line, "parameter")]
    if "triggeredBy" in inside and "TimerTrigger" in inside and "not" not in inside:
        return [one for one in triggers if one.kind == "schedule"]
    return triggers


def _line(source: str, at: int) -> int:
    return source.count("\n", 0, at) + 1


def _steps(path: str, source: str, offset: int, part: str) -> Iterator[Step]:
    for found in _STEP.finditer(part):
        script = next(
            (found[name] for name in ("long", "long2", "one", "two") if found[name] is not None), ""
        )
        single = found["one"] is not None or found["two"] is not None
        script = script.replace('\\"', '"').replace("\\'", "'") if single else script
        start = next(found.start(name) for name in ("long", "long2", "one", "two") if found[name] is not None)
        may_fail = "returnStatus" in (found["named"] or "") + found["after"] or _caught(part[: found.start()])
        place = Place(path, _line(source, offset + start), may_fail=may_fail)
        if script.strip():
            yield Step(script.replace("\\$", "$"), place)
    if library := _LIBRARY.search(part):
        line = _line(source, offset + library.start())
        if not re.search(r"\bsh\s*[('\"]", source):
            yield Step(unknown=(f"shared library {library[1]}", line))
    if pushed := _PUSH.search(part):
        yield Step("docker push image", Place(path, _line(source, offset + pushed.start())))
    if built := _BUILD.search(part):
        yield Step("docker build .", Place(path, _line(source, offset + built.start())))


def _caught(before: str) -> bool:
    """Whether the last `catchError {` is still open."""
    at = before.rfind("catchError")
    inner = before[at:] if at >= 0 else ""
    return bool(inner) and inner.count("{") > inner.count("}")
