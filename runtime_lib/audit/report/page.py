"""One HTML page to look at and to mail: no script, nothing to load, all text from outside escaped.

Written by hand and not by a template: the audit needs no more than the light core, which has no Jinja.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from runtime_lib import __version__
from runtime_lib.audit.recommend import WHEN
from runtime_lib.audit.records import Check
from runtime_lib.audit.report import words
from runtime_lib.audit.score import LEVELS
from runtime_lib.drawing.page import STYLE

__all__ = ["page"]

_STYLE = """
.steps { display: grid; grid-template-columns: repeat(4, 1fr); gap: 6px; margin: 14px 0 8px; }
.steps span { border-top: 5px solid var(--line); padding-top: 4px; font-size: 12.5px; color: var(--muted); }
.steps .reached { border-color: var(--good); color: var(--ink); }
.tiles.six { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tile { border-top: 5px solid var(--tone); } .tile .muted { font-size: 12.5px; }
.tile a { color: inherit; text-decoration: none; white-space: nowrap; } .tile a:hover { color: var(--ink); }
.good { --tone: var(--good); } .bad { --tone: var(--bad); } .look { --tone: var(--look); }
.early { --tone: var(--early); }
.sign { color: var(--tone); font-weight: 700; } .tag { font-size: 12px; border-radius: 9px; padding: 1px 8px;
  border: 1px solid var(--line); white-space: nowrap; color: var(--muted); }
.tag.bad, .tag.look { color: var(--tone); border-color: var(--tone); }
.step { margin-top: 12px; } .step p { margin: 4px 0 0; } .step ul { margin: 6px 0 0; padding-left: 20px; }
details { border-top: 1px solid var(--line); padding: 8px 0; } details:first-of-type { border-top: 0; }
summary { cursor: pointer; } summary .id { color: var(--muted); display: inline-block; min-width: 2.2em; }
.later { border: 0; padding: 14px 0 0; } .later > summary { font-weight: 600; }
details .inner { padding: 6px 0 4px 22px; } code { font: 12.5px ui-monospace, Menlo, Consolas, monospace; }
"""
_TONES = {"pass": "good", "partial": "look", "fail": "bad", "unknown": "early", "n/a": "early"}
_SIGNS = {"✓": "good", "⚠": "look", "✗": "bad", "?": "early", "-": "early"}
_URGENT = {"critical": "bad", "high": "look"}


def page(document: Mapping[str, Any], checks: Mapping[str, Check]) -> str:
    """Write the page."""
    parts = [
        _head(document),
        *_tiles(document),
        *_steps(document),
        *_roadmap(document),
        *_every_check(document, checks),
        *_asides(document),
        f'<footer class="muted">mlops audit {escape(__version__)}. Every line names what shows it; '
        "what cannot be told is a range, not a guess.</footer>",
    ]
    title = escape(f"Audit of {document['repository']['name']}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _head(document: Mapping[str, Any]) -> str:
    repository, level = document["repository"], document["level"]
    commit = f" at {repository['commit'][:10]}" if repository["commit"] else ""
    about = escape(f"{repository['name']}{commit}: {words.kind(document)}")
    tone = "early" if level is None else ("bad", "look", "good", "good")[level]
    title = words.principle(words.level(document))
    return (
        f'<p class="muted">{about}</p><section class="card verdict {tone}"><h1>{escape(title)}</h1>'
        f"<p><b>{escape(words.score(document))}</b>{escape(_weakest(document))}</p>"
        f"{_scale(level)}{_next(document)}</section>"
    )


def _weakest(document: Mapping[str, Any]) -> str:
    return f"; the weakest is {document['weakest']}" if document["weakest"] else ""


def _scale(level: int | None) -> str:
    if level is None:
        return ""
    steps = (
        f"<span{' class=reached' if place <= level else ''}>{place} {escape(name)}</span>"
        for place, name in enumerate(LEVELS)
    )
    return f'<div class="steps">{"".join(steps)}</div>'


def _next(document: Mapping[str, Any]) -> str:
    lacks = words.lacks(document)
    if not lacks:
        return ""
    return f"<p>Level {document['next_level']['level']} lacks:</p>{_list(lacks)}"


def _tiles(document: Mapping[str, Any]) -> Iterator[str]:
    yield '<h2>Six principles</h2><section class="tiles six">'
    for one in document["principles"]:
        pillars = " · ".join(map(_pillar, one["pillars"]))
        yield (
            f'<div class="card tile {_SIGNS[one["symbol"]]}">{words.principle(one["principle"])}'
            f'<b><span class="sign">{one["symbol"]}</span> {_mark(one)}</b>'
            f'<span class="muted">{pillars}</span></div>'
        )
    yield "</section>"


def _mark(one: Mapping[str, Any]) -> str:
    return "n/a" if one["mark"] is None else escape(words.mark(one))


def _pillar(one: Mapping[str, Any]) -> str:
    id = escape(one["id"])
    return f'<a href="#{id}">{words.SYMBOLS[one["verdict"]]} {id}</a>'


def _steps(document: Mapping[str, Any]) -> Iterator[str]:
    title = "What to do" if document["baseline"] is None else "What to do about what is new"
    yield f"<h2>{title}</h2>"
    if not document["recommendations"]:
        yield '<section class="card"><p>Nothing to recommend.</p></section>'
    steps = document["recommendations"]
    shown = {step["id"] for step in steps}
    later = [step for step in steps if step["after"] in shown]
    yield from (_step(step) for step in steps if step not in later)
    if later:
        yield f'<details class="later"><summary>Then, built on these: {len(later)}</summary>'
        yield from map(_step, later)
        yield "</details>"


def _step(step: Mapping[str, Any]) -> str:
    tools = f"<p><small>{escape(', '.join(step['tools']))}</small></p>" if step["tools"][1:] else ""
    return (
        f'<section class="card step"><h3>{escape(step["id"])} {_words(step["recommendation"])}</h3>'
        f'<p><span class="tag {_URGENT.get(step["priority"], "")}">{step["priority"]} priority</span> '
        f'<span class="tag">takes {step["effort"]}</span> <span class="tag">{step["principle"]}</span></p>'
        f"<p>{escape(step['gap'])}</p>{_list(step['implementation'])}{tools}</section>"
    )


def _roadmap(document: Mapping[str, Any]) -> Iterator[str]:
    steps = {step["id"]: step["recommendation"] for step in document["recommendations"]}
    if not steps:
        return
    yield '<h2>Roadmap</h2><section class="charts">'
    for when in WHEN:
        lines = [f"{id}: {steps[id]}" for id in document["roadmap"][when]] or ["Nothing."]
        yield f'<div class="card"><h3>{words.WHEN[when]}</h3>{_list(lines)}</div>'
    yield "</section>"


def _every_check(document: Mapping[str, Any], checks: Mapping[str, Check]) -> Iterator[str]:
    yield "<h2>Every check</h2>"
    for name in ("project", *(one["principle"] for one in document["principles"])):
        found = words.shown(document, name)
        if found:
            yield f'<section class="card step"><h3>{words.principle(name)}</h3>'
            yield from (_one(one, checks.get(one["id"])) for one in found)
            yield "</section>"


def _one(one: Mapping[str, Any], check: Check | None) -> str:
    asked = check.question if check else one["id"]
    inner = [f"<p>{escape(one['message'])}</p>"]
    if one["evidence"]:
        inner.append("<ul>" + "".join(map(_evidence, one["evidence"])) + "</ul>")
    if one["looked_at"]:
        inner.append(f"<p><small>Looked at {escape(', '.join(one['looked_at']))}.</small></p>")
    if check and one["verdict"] not in ("pass", "n/a"):
        inner.append(f"<p><small>{escape(check.why)}</small></p>")
    sure = "" if one["confidence"] == "high" else f' <span class="tag">{one["confidence"]} confidence</span>'
    return (
        f'<details id="{escape(one["id"])}"><summary class="{_TONES[one["verdict"]]}"><span class="sign">'
        f'{words.SYMBOLS[one["verdict"]]}</span> <span class="id">{escape(one["id"])}</span> '
        f'{escape(asked)}{sure}</summary><div class="inner">{"".join(inner)}</div></details>'
    )


def _evidence(one: Mapping[str, Any]) -> str:
    return f"<li><code>{escape(words.place(one))}</code> {escape(one['what'])}</li>"


def _asides(document: Mapping[str, Any]) -> Iterator[str]:
    """What is accepted, what was not read, what went wrong."""
    left = [f"{one['path']}: {one['why']}" for one in document["left_out"]]
    accepted = [f"{one['id']}: {one['reason']}" for one in document["accepted"]]
    for title, lines in (("Accepted gaps", accepted), ("Not read", left), ("Notes", document["notes"])):
        if lines:
            yield f'<h2>{title}</h2><section class="card">{_list(lines)}</section>'


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{_words(line)}</li>" for line in lines) + "</ul>"


def _words(text: str) -> str:
    """Escaped, with what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
