"""What a model needs is told by shuffling; what it ignores loses nothing."""

from __future__ import annotations

import numpy as np

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.importance import importance

COLUMNS = (Column("signal", "number"), Column("noise", "number"), Column("kind", "category"))


class Fixed:
    """A model that looks at `signal` and a little at `kind`."""

    task = BINARY

    def __init__(self):
        self.rows = 0

    def predict(self, rows):
        self.rows = max(self.rows, len(rows["signal"]))
        return 1 / (1 + np.exp(-2 * rows["signal"] - (rows["kind"] == "a")))


def rows(number):
    random = np.random.default_rng(3)
    table = {
        "signal": random.normal(size=number),
        "noise": random.normal(size=number),
        "kind": random.choice(["a", "b"], number),
    }
    chance = Fixed().predict(table)
    return check_rows(table, COLUMNS), (random.random(number) < chance).astype("float32")


def test_the_columns_that_a_model_needs_come_first():
    given, label = rows(2000)
    found = importance(Fixed(), given, label)
    assert [item["column"] for item in found] == ["signal", "kind", "noise"]
    assert found[0]["loss"] > 0.2 > found[1]["loss"] > 0.005
    assert found[2]["loss"] == 0
    assert importance(Fixed(), given, label) == found, "chance is seeded"


def test_a_large_table_is_looked_at_in_part():
    model = Fixed()
    importance(model, *rows(20_000))
    assert model.rows == 5000


def test_rows_of_one_label_say_nothing():
    given, label = rows(100)
    assert importance(Fixed(), given, np.zeros_like(label)) == []
