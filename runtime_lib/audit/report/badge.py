"""A badge for a README: level and score, as an SVG that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from runtime_lib.audit.report import words

__all__ = ["badge"]

_LABEL = "mlops audit"
_COLOURS = ("#b3392f", "#9a6700", "#1f6feb", "#1f7a43")
_GREY = "#586270"
_NARROW, _WIDE = "fijlt.,:| 1", "mwMW"


def badge(document: Mapping[str, Any]) -> str:
    """Draw it: the level decides the colour."""
    level = document["level"]
    score = words.score(document).removesuffix(" principles")
    value = score if level is None else f"level {level} · {score}"
    colour = _GREY if level is None else _COLOURS[level]
    left, right = _width(_LABEL), _width(value)
    title = escape(f"{_LABEL}: {value}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{title}"><title>{title}</title>'
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#333b46"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{_text(_LABEL, left / 2, left)}{_text(value, left + right / 2, right)}</g></svg>\n"
    )


def _text(text: str, middle: float, width: int) -> str:
    # The length is set, since the fonts that a viewer has differ in width.
    return f'<text x="{middle:g}" y="14" textLength="{width - 12}">{escape(text)}</text>'


def _width(text: str) -> int:
    """In px, in Verdana at 11 px, with 6 px at each side."""
    return round(sum(4.3 if c in _NARROW else 10 if c in _WIDE else 6.9 for c in text)) + 12
