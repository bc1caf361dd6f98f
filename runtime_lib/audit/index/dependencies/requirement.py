"""One line that declares a package."""

from __future__ import annotations

import re

__all__ = ["exact", "is_exact", "normalised", "parse"]

NAME = re.compile(r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*")
SPEC = re.compile(r"\(?\s*((?:===|==|~=|!=|<=|>=|<|>|=|\^|~)[^;#)]*|@\s*\S+)?")
EGG = re.compile(r"[#&]egg=([\w.-]+)")
REPOSITORY = re.compile(r"(?:git|hg|svn|bzr)\+\S*?/([\w.-]+?)(?:\.git)?(?:@([\w./-]+))?(?:#\S*)?$")
COMMIT = re.compile(r"@[0-9a-f]{40}\b")
WHEEL = re.compile(r"(?:^|/)([A-Za-z0-9_.]+?)-(\d[\w.+!]*)-[\w.]+-[\w.]+-[\w.]+\.whl\b")


def normalised(name: str) -> str:
    """As PyPI compares names: "Scikit_Learn" is "scikit-learn"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse(text: str) -> tuple[str, str] | None:
    """Name and spec of a requirement as PEP 508 and pip know it; None if there is no name in it.

    The spec is "==1.4.2", "" if there is none, and of an address "@ " with it. Markers and extras go.
    """
    text = re.sub(r"(?:^|\s)#.*$", "", text).strip()
    text = re.sub(r"\s--(?:hash|config-settings|global-option|install-option)\b.*$", "", text)
    if egg := EGG.search(text):
        return normalised(egg[1]), f"@ {text}"
    if "://" in text.partition(";")[0] and not re.match(r"[\w.\[\],-]+\s*@", text):
        if repository := REPOSITORY.match(text):
            return normalised(repository[1]), f"@ {text}"
        wheel = WHEEL.search(text)
        return (normalised(wheel[1]), f"=={wheel[2]}") if wheel else None
    found = NAME.match(text)
    if not found:
        return None
    rest = text[found.end() :]
    if rest and not re.match(r"[(=~!<>^@;,#]", rest):
        return None
    spec = SPEC.match(rest)
    return normalised(found[1]), re.sub(r"\s+", "", (spec[1] or "") if spec else "").replace("@", "@ ", 1)


def is_exact(spec: str) -> bool:
    """Whether a spec of pip allows one version: `==` without a star, an address with a commit, a file."""
    parts = [part for part in spec.split(",") if part]
    if any(re.match(r"={2,3}[^=*]+$", part) for part in parts):
        return True
    return spec.startswith("@ ") and bool(COMMIT.search(spec) or "file://" in spec or spec.endswith(".whl"))


def exact(spec: str) -> str:
    """The version that a spec fixes; "" if it does not."""
    found = re.search(r"={2,3}\s*([^,*\s;]+)(?:,|$)", spec)
    return found[1] if found and is_exact(spec) else ("@" if is_exact(spec) else "")
