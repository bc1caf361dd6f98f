"""Text and images in the encoded matrix."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.errors import ModelError
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.naive import naive
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.trainers.gradient_boosting import GradientBoosting
from runtime_lib.training.trainers.levels import Levels

COLUMNS = (
    Column("picture", "image", nullable=True, shape=(2, 3)),
    Column("name", "text", nullable=True),
    Column("size", "number"),
    Column("note", "text"),
)
ROWS = {
    "picture": [[[255, 0, 51], [0, 0, 0]], None],
    "name": ["wütend lächelnd 😀", None],
    "size": [1.0, 3.0],
    "note": ["a", "b"],
}


def encoded(columns=COLUMNS, **values):
    rows = check_rows(ROWS | values, columns)
    encoder = Encoder.fit(rows, columns)
    assert encoder.width == Encoder.width_for(columns, {}) == encoder.encode(rows).shape[1]
    stored = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert stored == encoder
    return encoder.encode(rows)


def test_columns_keep_their_order_and_images_come_last():
    matrix = encoded()
    assert matrix.dtype == np.float32
    assert matrix.shape == (2, 1025 + 1 + 1024 + 6)
    assert matrix[0, -6:] == pytest.approx([1, 0, 0.2, 0, 0, 0])
    assert matrix[:, 1025].tolist() == [-1, 1]


def test_what_is_missing_is_all_zeros_and_flagged_in_a_text():
    matrix = encoded()
    assert not matrix[1, :1024].any()
    assert matrix[:, 1024].tolist() == [0, 1]
    assert not matrix[1, -6:].any()


def test_a_text_has_length_one_and_none_is_unseen():
    matrix = encoded(note=["", "never seen anywhere"])
    assert np.linalg.norm(matrix[0, :1024]) == pytest.approx(1)
    assert np.linalg.norm(matrix[:, 1026:2050], axis=1) == pytest.approx([0, 1])


def test_similar_texts_are_near_and_others_are_not():
    matrix = encoded(name=["smiling face", "smiling faces"], note=["smiling face", "rote Flagge"])
    near, far = matrix[0, :1024] @ matrix[1, :1024], matrix[0, 1026:2050] @ matrix[1, 1026:2050]
    assert near > 0.9 > 0.6 > far


def test_what_follows_two_thousand_characters_is_not_read():
    read = ("ab " * 700)[:2_000]
    matrix = encoded(name=[read, read + "xyz"], note=[read, "xyz" + read])
    assert np.array_equal(matrix[0, :1024], matrix[1, :1024])
    assert not np.array_equal(matrix[0, 1026:2050], matrix[1, 1026:2050])


def test_another_process_hashes_alike():
    code = """
import numpy as np
from runtime_lib.data.columns import Column, check_rows
from runtime_lib.training.encoder import Encoder
columns = [Column("name", "text")]
rows = check_rows({"name": ["wütend lächelnd 😀"]}, columns)
print(Encoder.fit(rows, columns).encode(rows).tobytes().hex())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == encoded()[0, :1024].tobytes().hex()


def test_a_stored_encoder_keeps_its_own_sizes():
    fields = {"kind": "text", "name": "name", "flag": False, "hashes": 8, "read": 2, "ngrams": [1, 1]}
    encoder = Encoder.from_dict([fields])
    matrix = encoder.encode({"name": np.array(["abc", "abd"], dtype=object)})
    assert matrix.shape == (2, 8)
    assert np.array_equal(matrix[0], matrix[1])


@pytest.mark.parametrize("task", [BINARY, Multiclass(("a", "b"))])
def test_without_numbers_and_categories_the_naive_baseline_says_the_same_of_every_row(task):
    rows, label = check_rows(ROWS, COLUMNS), np.array([0, 1])
    only = [column for column in COLUMNS if column.kind != "number"]
    name, answer = naive(task, rows, label, only, unseen=rows)
    assert name == ""
    assert (answer == 0.5).all()
    assert naive(task, rows, label, (), unseen=rows)[0] == ""


@pytest.mark.parametrize("kind", ["text", "image"])
def test_boosted_trees_refuse_what_they_cannot_split(kind):
    columns = [column for column in COLUMNS if column.kind in (kind, "number")]
    message = f"numbers and categories, and '.*' is declared as {kind} in params.yaml. Make numbers of it"
    with pytest.raises(ModelError, match=message):
        Levels.fit(check_rows({c.name: ROWS[c.name] for c in columns}, columns), columns)


def test_gradient_boosting_refuses_it_before_it_waits_for_the_machine():
    from runtime_lib.training.trainer import Table

    with pytest.raises(ModelError, match="'picture' is declared as image"):
        GradientBoosting().plan(None, Table(BINARY, COLUMNS, 2, 9), 1)


TABLE = (
    Column("a", "category", nullable=True),
    Column("b", "number", nullable=True),
    Column("c", "number"),
    Column("d", "category"),
    Column("e", "number", nullable=True),
)


def make_rows(random, count):
    """Numbers of many sizes, and categories, both with missing values and levels of their own."""
    gap = random.random((2, count)) < random.choice([0.1, 0.9])
    level = random.choice(["x", "y", "ü", "", f"new {random.integers(9)}"], (2, count)).astype(object)
    number = random.normal(size=(3, count)) * 10.0 ** random.integers(-9, 9, (3, 1))
    rows = {
        "a": np.where(gap[0], None, level[0]),
        "b": np.where(gap[1], np.nan, number[0]),
        "c": number[1],
        "d": level[1],
        "e": np.full(count, np.nan) if gap[0, 0] else number[2],
    }
    return check_rows(rows, TABLE)


def cell_by_cell(parts, rows, row):
    """What a row becomes, in plain Python: its floats round as numpy's do."""
    for part in parts:
        value = rows[part["name"]][row]
        if part["kind"] == "category":
            yield from (float(value == level) for level in part["levels"])
            continue
        missing = value != value
        scaled = ((part["median"] if missing else float(value)) - part["mean"]) / part["deviation"]
        yield min(max(scaled, -8.0), 8.0)
        if part["flag"]:
            yield float(missing)


@pytest.mark.parametrize("count", [1, 2, 16, 1_024, 1_025, 3_000])
def test_numbers_and_categories_are_what_their_cells_say_however_many_rows(count):
    for seed in range(3 if count > 1_000 else 30):
        random = np.random.default_rng(seed)
        encoder = Encoder.fit(make_rows(random, 40), TABLE)
        rows = make_rows(random, count)
        matrix = encoder.encode(rows)
        asked = range(count) if count <= 16 else [0, 1_023, *random.integers(0, count, 20), count - 1]
        for row in asked:
            expected = np.array(list(cell_by_cell(encoder.to_dict(), rows, row)), dtype=np.float32)
            assert np.array_equal(matrix[row], expected)
