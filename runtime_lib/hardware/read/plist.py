"""Apple's XML property lists, read by the C parser: plistlib takes ten times as long, and a look at a machine
has milliseconds.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

__all__ = ["last_plist"]


def last_plist(text: str, *keys: str) -> Any:
    """The last whole property list of several that follow each other, NUL between them or nothing.

    Args:
        keys: those to read, at any depth; none for all. What is under others is left out unread.

    Returns:
        Dictionaries, lists, texts, numbers and truths; None for dates and data, which nobody reads. What is
        damaged is passed over; None if nothing is whole.
    """
    end = text.rfind("</plist>")
    while end >= 0 and (start := text.rfind("<plist", 0, end)) >= 0:
        try:
            # Without the document type, which could declare entities: those of a stranger's recording.
            [content] = ElementTree.fromstring(text[start : end + len("</plist>")])  # noqa: S314
            return _value(content, frozenset(keys))
        except (ElementTree.ParseError, ValueError, RecursionError):
            end = text.rfind("</plist>", 0, start)
    return None


def _value(element: ElementTree.Element, wanted: frozenset[str]) -> Any:
    text = element.text or ""
    match element.tag:
        case "dict":
            return _table(element, wanted)
        case "array":
            return [_value(one, wanted) for one in element]
        case "true" | "false":
            return element.tag == "true"
        case "integer":
            return int(text)
        case "real":
            return float(text)
        case "string":
            return text
        case "date" | "data":
            return None
    raise ValueError(f"<{element.tag}> in a property list")


def _table(element: ElementTree.Element, wanted: frozenset[str]) -> dict[str, Any]:
    pairs = list(zip(element[::2], element[1::2], strict=True))
    if any(key.tag != "key" for key, _ in pairs):
        raise ValueError("a value without a key")
    return {
        name: _value(value, wanted)
        for name, value in ((key.text or "", value) for key, value in pairs)
        if not wanted or name in wanted
    }
