"""The facts of small repositories, each written for a trap or a tool; repositories/*.txt say which."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from runtime_lib.audit.run import audit
from tests.support.labelled import FACTS, Labelled, Tally, compare, read_labelled
from tests.support.trees import plant

REPOSITORIES = [
    read_labelled(path) for path in sorted((Path(__file__).parent / "repositories").glob("*.txt"))
]
PRECISION, RECALL, CANNOT_TELL = 0.95, 0.90, 0.10


@pytest.fixture(scope="module")
def tallies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tally]:
    """Every fact of every repository, asked once."""
    counts: dict[str, Tally] = defaultdict(Tally)
    folder = tmp_path_factory.mktemp("repositories")
    for one in REPOSITORIES:
        told = answers(one, folder / one.name)
        for fact, wanted in one.facts.items():
            counts[fact].add(fact, one.name, wanted, told[fact])
    return counts


def answers(one: Labelled, folder: Path) -> dict[str, object]:
    found = audit(plant(folder, one.files, commit=one.git), strict=True)
    return {"kind": found.project.kind} | {name: answer.value for name, answer in found.facts.items()}


def test_there_are_enough_of_both_kinds():
    assert len(REPOSITORIES) >= 40
    for fact in set(FACTS) - {"kind", "level", "notebook_share"}:
        outcomes = [
            compare(fact, one.facts[fact], False)["absent"] for one in REPOSITORIES if fact in one.facts
        ]
        assert 3 <= sum(outcomes) <= len(outcomes) - 2, fact


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_is_right(tallies: dict[str, Tally], fact: str):
    tally = tallies[fact]
    said = "\n".join(f"{name}: {wanted!r}, told {told!r}" for name, wanted, told in tally.wrong)
    assert tally.precision >= PRECISION, said
    assert tally.recall >= RECALL, said
    assert tally.cannot_tell <= CANNOT_TELL, said


def test_all_facts_together_are_right(tallies: dict[str, Tally]):
    total = sum(tallies.values(), Tally())
    assert total.precision >= PRECISION
    assert total.recall >= RECALL
    assert total.cannot_tell <= CANNOT_TELL
