"""Functions that decide whether a new model replaces the earlier one, from figures of both."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runtime_lib.audit.gates import judges_both
from runtime_lib.audit.index.model import Evidence, Module, Repo
from runtime_lib.audit.queries import at, calls

__all__ = ["policies"]

_DECIDES = re.compile(r"promot|gate|accept|approv|should|is_better|decision|deploy|^compare", re.IGNORECASE)
_SIZES = re.compile(r"[<>]")


def policies(repo: Repo, module: Module) -> Iterator[Evidence]:
    """`improvement < smallest` in a called `promotion_policy(candidate_metrics, champion_metrics)`."""
    for function in module.functions:
        last = function.name.rpartition(".")[2]
        if not (_DECIDES.search(last) and judges_both(function.parameters)):
            continue
        inside = [one for one in module.branches if one.function == function.name and _SIZES.search(one.test)]
        if inside and any(True for _ in calls(repo, f"*.{last}", last)):
            yield at(module, inside[-1].line, inside[-1].test)
