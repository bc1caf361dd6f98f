"""How far a test goes: `nox -s tests` runs the small size, `nox -s deep` the whole."""

from __future__ import annotations

import os

DEEP = os.environ.get("MLOPS_TESTS_DEEP") == "1"


def examples(small: int, deep: int) -> int:
    return deep if DEEP else small
