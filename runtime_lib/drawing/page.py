"""What all pages share: one style, and templates that are filled without a script or an address to load."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from runtime_lib.drawing.charts import STYLE as _CHARTS
from runtime_lib.errors import require

__all__ = ["STYLE", "fill", "safe"]

STYLE = """
:root { --page: #f6f7f9; --card: #fff; --ink: #1b2430; --muted: #667080; --line: #e3e7ec;
  --good: #1f8a4c; --bad: #c93434; --look: #b66a00; --early: #667080; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12161c; --card: #1b2129; --ink: #e7ebf0; --muted: #98a3b3;
  --line: #2c3540; --good: #57c487; --bad: #ff7b72; --look: #e3a548; --early: #98a3b3; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 27px; line-height: 1.2; margin: 4px 0 8px; letter-spacing: -.01em; }
h2 { font-size: 17px; margin: 32px 0 10px; } h3 { font-size: 15px; margin: 0 0 2px; }
p { margin: 0 0 8px; } .muted, small { color: var(--muted); } small { font-size: 12.5px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; }
.card > :last-child { margin-bottom: 0; }
.verdict { border-left: 6px solid var(--tone); } .verdict h1 { color: var(--tone); }
.verdict ul { margin: 10px 0 0; padding-left: 20px; }
.tiles { display: grid; gap: 14px; margin-top: 14px;
  grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); }
.tile b { display: block; font-size: 25px; font-weight: 650; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th { text-align: left; font-weight: 600; font-size: 12.5px; color: var(--muted);
  padding: 10px 14px 8px 0; white-space: nowrap; }
td { padding: 8px 14px 8px 0; border-top: 1px solid var(--line); }
td:last-child, th:last-child { padding-right: 0; } .number { text-align: right; }
.charts { display: grid; gap: 14px; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.charts svg { width: 100%; height: auto; display: block; margin-top: 8px; } .charts small { display: block; }
footer { margin-top: 32px; }
@media (max-width: 600px) { main { padding: 18px 12px 32px; } .card { padding: 14px; } }
@media print { body { background: #fff; } .card { break-inside: avoid; } }
"""


def fill(template: Path, *, extra: str, **values: Any) -> str:
    """Return a page; every value is escaped, but for what is `safe`.

    Args:
        template: a Jinja file, which has a place for `style`.
        extra: of the library, which brings Jinja along.
    """
    return str(_template(template, extra).render(style=safe(STYLE + _CHARTS), **values))


def safe(text: str) -> Any:
    """Mark text that was made here, as a drawing, so that it is not escaped."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


@cache
def _template(path: Path, extra: str) -> Any:
    jinja2 = require("jinja2", extra=extra)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(path.read_text(encoding="utf-8"))
