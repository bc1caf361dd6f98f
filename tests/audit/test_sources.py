"""The audit of real source trees: facts that were written down by hand before it was run on them.

The trees are downloaded; docs/audit-agreement.md has the table and what explains each disagreement.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from runtime_lib.audit.run import audit
from tests.support.depth import DEEP
from tests.support.labelled import FACTS, Tally
from tests.support.sources import NoIndex, bring

LABELS = yaml.safe_load((Path(__file__).parent / "labels" / "sources.yaml").read_text(encoding="utf-8"))


def test_labels_are_complete():
    assert len(LABELS) >= 12
    for name, one in LABELS.items():
        assert set(one["facts"]) | set(one.get("undecided", [])) == set(FACTS), name
        assert not set(one["facts"]) & set(one.get("undecided", [])), name
        for fact, (value, where, why) in one["facts"].items():
            assert why, f"{name}: {fact}"
            assert where or value in (False, 0), f"{name}: {fact} has no place"


@pytest.mark.slow
@pytest.mark.skipif(not DEEP, reason="downloads two dozen source archives: nox -s deep")
def test_real_source_trees_are_judged_as_labelled(tmp_path: Path):
    wanted = [(name, str(one["version"]), one["sha256"]) for name, one in LABELS.items()]
    try:
        trees = bring(wanted, tmp_path)
    except NoIndex as error:
        pytest.skip(f"no index of packages here: {error}")
    tallies: dict[str, Tally] = defaultdict(Tally)
    for name, one in LABELS.items():
        found = audit(trees[name], strict=True)
        told = {"kind": found.project.kind} | {fact: answer.value for fact, answer in found.facts.items()}
        for fact, (value, _, _) in one["facts"].items():
            tallies[fact].add(fact, name, value, told[fact])
    total = sum(tallies.values(), Tally())
    said = "\n".join(f"{fact}: {wrong}" for fact, tally in tallies.items() for wrong in tally.wrong)
    assert total.precision >= 0.95, said
    assert total.recall >= 0.90, said
    assert total.cannot_tell <= 0.10, said
