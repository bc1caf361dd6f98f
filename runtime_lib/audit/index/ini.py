"""INI as `configparser` and git read it, but forgiving, and with lines."""

from __future__ import annotations

import re

from runtime_lib.audit.index.model import Entry

__all__ = ["read_ini"]

HEADER = re.compile(r"\s*\[(.+?)\]\s*(?:[#;].*)?$")
OPTION = re.compile(r"(\s*)([^=:\s][^=:]*?)\s*[=:]\s*(.*)$")


def read_ini(text: str) -> tuple[dict[str, dict[str, str]], tuple[Entry, ...]]:
    """Sections → options → text; lines that are further in continue the option above.

    An option that continues has the line of its name; its lines keep their places, comments are empty ones.
    What stands before the first section is in the section "". Names of options are in lower case.
    """
    data: dict[str, dict[str, str]] = {}
    places: dict[tuple[str, str], int] = {}
    section, option, depth = "", "", 0
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        if option and bare and indent > depth:
            data[section][option] += "\n" + ("" if bare[0] in "#;" else bare)
        elif option and not bare:
            data[section][option] += "\n"
        elif not bare or bare[0] in "#;":
            continue
        elif header := HEADER.match(line):
            section, option = header[1], ""
            data.setdefault(section, {})
        elif found := OPTION.match(line):
            option, depth = found[2].lower(), len(found[1])
            data.setdefault(section, {})[option] = found[3]
            places[section, option] = number
        else:  # an option without a value
            option, depth = bare.lower(), indent
            data.setdefault(section, {})[option] = ""
            places[section, option] = number
    for options in data.values():
        for name in options:
            options[name] = options[name].rstrip()
    return data, tuple(Entry(keys, data[keys[0]][keys[1]], line) for keys, line in places.items())
