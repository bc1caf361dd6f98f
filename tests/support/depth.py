"""How much a test tries: a sample in `nox -s tests`, everything in `nox -s deep`. Same files, same proof."""

from __future__ import annotations

import os

DEEP = os.environ.get("MLOPS_TESTS_DEEP") == "1"


def examples(small: int, deep: int) -> int:
    """The count to try: `small` in every run, `deep` in the deep one."""
    return deep if DEEP else small
