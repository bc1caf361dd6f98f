"""One document, in the form that is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from runtime_lib.audit.records import Check
from runtime_lib.audit.report import badge, markdown, page, sarif

__all__ = ["FORMS", "Form", "render"]

Form = Literal["json", "sarif", "html", "markdown", "badge"]
FORMS: tuple[Form, ...] = get_args(Form)


def render(
    form: Form, document: Mapping[str, Any], checks: Mapping[str, Check], *, with_unknown: bool = False
) -> str:
    """Return a document as text, which ends with a line break.

    Args:
        with_unknown: in SARIF, also what cannot be told.
    """
    forms: dict[Form, Callable[[], str]] = {
        "json": lambda: _json(document),
        "sarif": lambda: _json(sarif.log(document, checks, with_unknown=with_unknown)),
        "html": lambda: page.page(document, checks),
        "markdown": lambda: markdown.comment(document, checks),
        "badge": lambda: badge.badge(document),
    }
    return forms[form]()


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
