"""What is declared as text or image, and the refusals of what does not fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.columns import Column, check_rows, columns_of, images_last
from runtime_lib.data.inputs import inputs_of, read_inputs
from runtime_lib.data.scan import scan
from runtime_lib.errors import DataError, SettingsError
from runtime_lib.pipeline.stages import Project
from runtime_lib.settings import load
from runtime_lib.settings.params import read_params

TABLE = pd.DataFrame(
    {
        "id": ["a", "b"],
        "picture": [[[0, 1], [1, 0]], [[1, 1], [1, 0]]],
        "name": ["smile", None],
        "colour": ["red", "blue"],
        "size": [1.0, 2.0],
    }
)


def test_without_a_file_or_a_table_nothing_is_declared(tmp_path):
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    settings = load(tmp_path, environ={})
    assert read_inputs(settings) == {}
    (tmp_path / "params.yaml").write_text("task:\n  kind: binary\n")
    assert read_inputs(settings) == {}
    (tmp_path / "params.yaml").write_text("inputs:\n  text: [name]\n  image:\n")
    assert read_inputs(settings) == {"name": "text"}
    assert Project(settings, read_params(tmp_path)).inputs == {"name": "text"}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (["name"], r"inputs: \['name'\] is no table of text and image"),
        ({"video": ["name"]}, "unknown kind 'video'. Known: text, image"),
        ({"text": "name"}, "inputs.text: 'name' is no list of columns"),
        ({"text": ["name", "name"]}, "'name' is declared twice"),
        ({"text": ["name"], "image": ["name"]}, "'name' is declared twice"),
    ],
)
def test_a_wrong_declaration_is_refused_by_name(written, message):
    with pytest.raises(SettingsError, match=message):
        inputs_of({"inputs": written})


def test_a_declared_column_has_its_kind_and_others_stay_as_they_are(tmp_path):
    declared = {"name": "text", "picture": "image"}
    found = {c.name: c for c in columns_of(TABLE, without=["id"], declared=declared)}
    assert {name: column.kind for name, column in found.items()} == {
        "picture": "image",
        "name": "text",
        "colour": "category",
        "size": "number",
    }
    assert found["name"].nullable
    TABLE.to_parquet(tmp_path / "t.parquet")
    scanned = scan(tmp_path / "t.parquet", declared)
    assert scanned.levels == {"colour": 2}
    image, *others = scanned.columns
    assert (image.kind, image.shape, image.largest) == ("image", (2, 2), 1)
    assert others == [found["name"], found["colour"], found["size"]]
    assert [column.name for column in images_last(scanned.columns)][-1] == "picture"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"nmae": "text"}, "inputs.text: features.. returns no input 'nmae', only picture, name"),
        ({"id": "text"}, "returns no input 'id'"),
        (
            {"size": "image", "picture": "image"},
            r"inputs.image: features\(\) returns numbers \(float64\) in 'size'",
        ),
        ({}, r"Column 'picture' holds lists.*`inputs: {image: \[picture\]}`"),
        ({"picture": "image", "colour": "image"}, "'colour' is declared as an image and holds"),
    ],
)
def test_what_features_returns_must_fit_the_declaration(tmp_path, declared, message):
    TABLE.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        scan(tmp_path / "t.parquet", declared)
    if "colour" not in declared:
        with pytest.raises(DataError, match=message):
            columns_of(TABLE, without=["id"], declared=declared)


PICTURE = Column("picture", "image", shape=(2, 3), largest=255)
GOOD = [[0, 51, 255], [1, 2, 3]]


@pytest.mark.parametrize(
    "images",
    [
        [GOOD, [[0.0] * 3] * 2],
        np.array([GOOD, np.zeros((2, 3))]),
        [np.array(GOOD, dtype="uint8"), np.zeros((2, 3), dtype="float64")],
        pd.Series([[np.array(line) for line in GOOD], np.zeros((2, 3))]).to_numpy(),
        [
            {"shape": [2, 3], "pixels": [*GOOD[0], *GOOD[1]]},
            {"shape": np.array([2, 3]), "pixels": np.zeros(6)},
        ],
    ],
)
def test_images_come_as_lists_or_arrays_and_are_scaled(images):
    checked = check_rows({"picture": images}, [PICTURE])["picture"]
    assert checked.shape == (2, 2, 3)
    assert checked.dtype == np.float32
    assert checked[0, 0] == pytest.approx([0, 0.2, 1])
    assert not checked[1].any()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[0, 1], [1, 0]], "row 1: the image is 2 x 2, those of training are 2 x 3"),
        ([GOOD], "row 1: the image is 1 x 2 x 3, those of training are 2 x 3"),
        ([1, 2, 3], r"row 1: \[1, 2, 3\] is no image: it has 1 axes"),
        ([[0, 1, 2], [3]], "row 1: .* is no image"),
        ([[0, 1, None], [0, 0, 0]], "row 1: .* is no image: a pixel is no number"),
        ([["0", "1", "2"], ["0", "0", "0"]], "row 1: .* is no image: a pixel is no number"),
        (7, "row 1: 7 is no image"),
        ({"shape": [2, 3]}, "row 1: .* is no image: an object needs 'shape' and 'pixels'"),
        ({"shape": None, "pixels": [1]}, "row 1: .* is no image: an object needs 'shape' and 'pixels'"),
        ({"shape": [1e999], "pixels": [1]}, "row 1: .* is no image: an object needs 'shape' and 'pixels'"),
        ({"shape": [10**30], "pixels": [1]}, "row 1: .* is no image"),
        ([[10**400, 0, 0], [0, 0, 0]], "row 1: .* is no image: a pixel is no number"),
        ([[1e300, 0, 0], [0, 0, 0]], "row 1: the pixel inf is not between"),
        ({"shape": [2, 3], "pixels": [1]}, "row 1: .* is no image: cannot reshape"),
        ({"shape": [3, 2], "pixels": [1] * 6}, "row 1: the image is 3 x 2, those of training are 2 x 3"),
        ([[0, 0, 256], [0, 0, 0]], "row 1: the pixel 256 is not between 0 and 255"),
        ([[0, 0, float("nan")], [0, 0, 0]], "row 1: the pixel nan is not between 0 and 255"),
        ("/etc/passwd", "row 1: '/etc/passwd' is text. Send the pixels"),
        (None, "row 1: a value is missing, and training never saw it missing"),
    ],
)
def test_an_image_that_does_not_fit_is_refused_by_row(image, message):
    with pytest.raises(DataError, match=f"Column 'picture', {message}"):
        check_rows({"picture": [GOOD, image]}, [PICTURE])


def test_pixels_above_one_are_refused_where_training_had_none():
    with pytest.raises(DataError, match="the pixel 51 is not between 0 and 1, as in training"):
        check_rows({"picture": [GOOD]}, [Column("picture", "image", shape=(2, 3), largest=1)])


def test_an_image_may_be_missing_where_it_was_in_training():
    nullable = Column("picture", "image", nullable=True, shape=(2, 3))
    checked = check_rows({"picture": [None, GOOD]}, [nullable])["picture"]
    assert np.isnan(checked).all(axis=(1, 2)).tolist() == [True, False]


def test_text_is_text_or_missing():
    name = Column("name", "text", nullable=True)
    assert check_rows({"name": ["smile", None, ""]}, [name])["name"].tolist() == ["smile", None, ""]
    with pytest.raises(DataError, match="Column 'name', row 1: 7 is not text"):
        check_rows({"name": ["smile", 7]}, [name])
    with pytest.raises(DataError, match="Column 'name', row 0: a value is missing"):
        check_rows({"name": [None]}, [Column("name", "text")])


def test_a_column_is_stored_and_one_without_an_image_as_ever():
    for column in (PICTURE, Column("name", "text", nullable=True), Column("size", "number")):
        assert Column.from_dict(column.to_dict()) == column
    assert Column("size", "number").to_dict() == {"name": "size", "kind": "number", "nullable": False}
