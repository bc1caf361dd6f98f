"""Images on their way from features() to a table, and from files to pixels."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.data.features import Features
from runtime_lib.data.images import brightness, opened, summaries
from runtime_lib.data.months import make_features, read_table, split
from runtime_lib.data.raw import RawTypes, as_json
from runtime_lib.data.scan import scan
from runtime_lib.data.skew import check_scoring
from runtime_lib.errors import DataError, MissingExtraError
from runtime_lib.serving.raw import RawRows

IMAGES = np.random.default_rng(3).integers(0, 256, (6, 4, 5, 3), dtype="uint8")


def write_raw(folder: Path, **columns) -> Path:
    folder.mkdir()
    for month in ("2026-01", "2026-02", "2026-03"):
        ids = [f"{month}-{row}" for row in range(6)]
        table = {"id": ids, "time": pd.Timestamp(f"{month}-01", tz="UTC"), "label": [0, 1] * 3, **columns}
        pd.DataFrame(table).to_parquet(folder / f"{month}.parquet")
    return folder


def label(raw):
    return raw["label"]


def picture(cells):
    """What features() returns, with these cells for each month."""
    return lambda raw: raw[["id", "time"]].assign(
        picture=pd.Series(list(cells), index=raw.index, dtype=object)
    )


def made(tmp_path, cells):
    raw, features = write_raw(tmp_path / "raw"), tmp_path / "features"
    make_features(picture(cells), raw, features, label, inputs={"picture": "image"})
    return features


@pytest.mark.parametrize(
    "form", [list, lambda images: images.tolist(), lambda images: (images / 255).tolist()]
)
def test_a_table_of_features_holds_pixels_as_they_are(tmp_path, form):
    folder = made(tmp_path, form(IMAGES))
    split(folder, tmp_path / "split", validation=1, test=1)
    path = tmp_path / "split" / "train.parquet"
    (column,) = scan(path, {"picture": "image"}).columns
    assert column.shape == (4, 5, 3)
    checked = check_rows({"picture": read_table(path)["picture"].to_numpy()}, [column])["picture"]
    assert np.abs(checked - IMAGES / np.float32(255)).max() < 1e-6


def test_pixels_of_eight_bits_stay_small(tmp_path):
    import pyarrow.parquet as pq

    path = made(tmp_path, IMAGES) / "2026-01.parquet"
    kind = pq.read_schema(path).field("picture").type
    assert "uint8" in str(kind.field("pixels").type)
    # An array for each image, and not one for each pixel.
    assert {type(value).__name__ for value in read_table(path)["picture"][0].values()} == {"ndarray"}
    (sent, *_) = opened(read_table(path)["picture"], "picture", tmp_path)
    assert np.array_equal(sent, IMAGES[0])


@pytest.mark.parametrize(("suffix", "exact"), [("png", True), ("jpg", False)])
def test_files_are_read_where_features_are_made(tmp_path, monkeypatch, suffix, exact):
    from PIL import Image

    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{number}.{suffix}")
    monkeypatch.chdir(tmp_path)  # as a stage of the pipeline in its project
    made(tmp_path, [*(f"{number}.{suffix}" for number in range(5)), None])
    for number in range(5):
        (tmp_path / f"{number}.{suffix}").unlink()  # from here on nobody needs them
    (column,) = scan(tmp_path / "features" / "2026-01.parquet", {"picture": "image"}).columns
    assert (column.shape, column.largest, column.nullable) == ((4, 5, 3), 255, True)
    table = read_table(tmp_path / "features" / "2026-01.parquet")
    checked = check_rows({"picture": table["picture"].to_numpy()}, [column])["picture"]
    assert np.isnan(checked[5]).all()
    difference = np.abs(checked[:5] - IMAGES[:5] / np.float32(255))
    assert difference.max() < 1e-6 if exact else 0 < difference.mean() < 0.3


def test_a_file_of_grey_pixels_has_two_axes(tmp_path):
    from PIL import Image

    Image.fromarray(IMAGES[0, :, :, 0]).save(tmp_path / "grey.png")
    (grey,) = opened(["grey.png"], "picture", tmp_path)
    assert np.array_equal(grey, IMAGES[0, :, :, 0])


def test_a_file_that_is_no_image_is_refused_by_row_and_path(tmp_path):
    from PIL import Image

    (tmp_path / "note.png").write_text("no image")
    Image.fromarray(IMAGES[0]).save(tmp_path / "other.bmp")
    Image.fromarray(IMAGES[0]).convert("CMYK").save(tmp_path / "print.jpg")
    for name, why in {
        "note.png": "cannot",
        "gone.png": "cannot",
        "other.bmp": "cannot",
        "print.jpg": "CMYK",
    }.items():
        with pytest.raises(DataError, match=rf"Column 'picture', row 1: .*{name}.*{why}"):
            opened([None, name], "picture", tmp_path)


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"runtime-lib\[images\]"):
        opened(["a.png"], "picture", tmp_path)
    assert opened([[[0]]], "picture", tmp_path) == [[[0]]]


@pytest.mark.parametrize(("cell", "message"), [([1, 2], "it has 1 axes"), (5, "5 is no image")])
def test_features_that_return_no_images_are_refused_by_row(tmp_path, cell, message):
    with pytest.raises(DataError, match=f"Column 'picture', row 3.*{message}"):
        made(tmp_path, [*IMAGES[:3].tolist(), cell, *IMAGES[4:].tolist()])


def test_an_image_that_is_not_declared_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match=r"'picture' holds lists.*`inputs: {image: \[picture\]}`"):
        make_features(picture(IMAGES.tolist()), write_raw(tmp_path / "raw"), tmp_path / "features", label)
    assert not (tmp_path / "features").exists()


def test_a_summary_tells_images_apart_and_keeps_their_brightness():
    checked = check_rows({"p": [*IMAGES, None]}, [Column("p", "image", True, (4, 5, 3))])["p"]
    told = summaries(checked)
    assert told[-1] is None
    assert len(set(told)) == 7
    assert told[0].startswith("4x5x3 ")
    assert brightness(told)[:-1] == pytest.approx(brightness(checked)[:-1], abs=1e-6)
    assert brightness(checked)[0] == pytest.approx(IMAGES[0].mean() / 255)
    assert np.isnan([brightness(told)[-1], brightness(checked)[-1]]).all()


@pytest.mark.parametrize("path", [False, True])
def test_a_server_makes_features_of_raw_pixels_and_opens_no_path(tmp_path, path):
    raw = write_raw(tmp_path / "raw", cell=["a.png"] * 6 if path else IMAGES.tolist())
    types = RawTypes.of(sorted(raw.glob("*.parquet")))
    own = Features(lambda raw: raw[["id", "time"]].assign(picture=raw["cell"]), label)
    sent = as_json(read_table(raw / "2026-01.parquet").tail(2))
    table = RawRows(types, own).inputs(json.loads(json.dumps(sent)))
    column, rows = Column("picture", "image", shape=(4, 5, 3)), {"picture": table["picture"].to_numpy()}
    if path:
        with pytest.raises(DataError, match=r"'a.png' is text\. Send the pixels"):
            check_rows(rows, [column])
    else:
        assert np.abs(check_rows(rows, [column])["picture"] - IMAGES[4:] / np.float32(255)).max() < 1e-6


def test_rows_sent_one_by_one_have_the_images_of_the_whole_table():
    raw = pd.DataFrame({"id": list("abcdef"), "time": 0, "pixels": IMAGES[:, :, :, 0].tolist()})

    def bright(raw, most=None):
        images = np.array(raw["pixels"].map(lambda cell: np.array(list(cell)).tolist()).tolist())
        scaled = images / (images.max() if most is None else most)
        return raw[["id", "time"]].assign(picture=pd.Series(list(scaled), index=raw.index))

    check_scoring(lambda raw: bright(raw, 255), None, raw)
    with pytest.raises(DataError, match="'picture' in"):
        check_scoring(bright, None, raw)
