"""Numbers, categories, text and images in one table, some of them missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.columns import check_rows
from runtime_lib.data.leaks.find import find_suspects
from runtime_lib.errors import DataError, ModelError
from runtime_lib.settings import Settings, load
from runtime_lib.training.explain import explain
from runtime_lib.training.model import Model
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainers.sklearn import Sklearn
from runtime_lib.training.trial import Trial, load_split, trial

NAMES = ["x", "note", "kind", "picture"]


def make_table(seed: int, rows: int = 500) -> pd.DataFrame:
    """A label that rests on a number, a word and how bright an image is; every fiftieth row lacks the two."""
    random = np.random.default_rng(seed)
    x, word, dark = (
        random.normal(size=rows),
        random.choice(["good", "bad"], rows),
        random.integers(0, 2, rows),
    )
    pixels = random.integers(0, 256, (rows, 6, 5, 3)) // (1 + 2 * dark[:, None, None, None])
    pictures, notes = pixels.tolist(), [f"this is {each} indeed" for each in word]
    for row in range(0, rows, 50):
        pictures[row] = notes[row] = None
    return pd.DataFrame(
        {
            "picture": pd.Series(pictures, dtype=object),
            "x": x,
            "note": notes,
            "kind": random.choice(["a", "b"], rows),
            "label": ((x + 3 * (word == "good") - 3 * dark) > 0).astype("int8"),
            "id": [f"{seed}-{row}" for row in range(rows)],
            "time": pd.Timestamp("2026-01-01", tz="UTC"),
        }
    )


@pytest.fixture
def settings(tmp_path) -> Settings:
    (tmp_path / "params.yaml").write_text("inputs:\n  text: [note]\n  image: [picture]\n")
    (tmp_path / "data" / "split").mkdir(parents=True)
    for seed, part in enumerate(("train", "validation", "test")):
        make_table(seed).to_parquet(tmp_path / "data" / "split" / f"{part}.parquet")
    return settings_of(tmp_path, "mlx")


def settings_of(folder: Path, framework: str) -> Settings:
    own = f'[project]\nname = "demo"\npackage = "demo"\n[training]\nframework = "{framework}"\n'
    (folder / "mlops.toml").write_text(own)
    return load(folder, environ={})


def fit(settings: Settings, which: str) -> Trial:
    from sklearn.linear_model import LogisticRegression

    def model(inputs, outputs, params):
        if which == "linear":
            return Sklearn(LogisticRegression(max_iter=200))
        return Architecture(
            "cnn", {"inputs": inputs, "outputs": outputs, "image": [6, 5, 3], "channels": [6]}
        )

    return trial(settings, model, {"epochs": 6, "learning_rate": 0.01, "batch_size": 50})


def without(rows, *names):
    blank = {"note": None, "picture": np.nan}
    return {name: np.full_like(v, blank[name]) if name in names else v for name, v in rows.items()}


@pytest.mark.parametrize("which", ["mlx", "torch", "linear"])
def test_a_model_learns_of_all_of_them(settings, tmp_path, which):
    settings = settings_of(settings.root, "torch" if which == "torch" else "mlx")
    found = fit(settings, which)
    assert [column.name for column in found.prepared.columns] == NAMES
    rows, label = load_split(settings, found.prepared).validation, make_table(1)["label"].to_numpy()
    accuracy = [
        ((found.predict(each) > 0.5) == label).mean() for each in (rows, without(rows, "note", "picture"))
    ]
    assert accuracy[0] > 0.85 > 0.75 > accuracy[1]
    found.save(tmp_path / "model")
    model = Model.load(tmp_path / "model", framework="torch" if which == "torch" else "mlx")
    some = {name: values[40:60] for name, values in rows.items()}
    assert model.predict(some) == pytest.approx(found.predict(some), abs=1e-6)
    told = explain(model, some, found.profile)
    assert (told.columns, told.exact) == (tuple(NAMES), which == "linear")
    if which == "linear":
        raw = told.shares.sum(axis=2) + told.base
        assert model.task.answer(raw) == pytest.approx(model.predict(some), abs=1e-9)
    else:
        shares = np.abs(told.shares[:, 0]).mean(axis=0)
        assert min(shares[[1, 3]]) > 5 * shares[2]
        assert not told.shares[10, 0, [1, 3]].any()  # the row that lacks both


def test_a_server_refuses_what_was_never_missing(settings):
    columns = fit(settings, "linear").prepared.columns
    assert [column.nullable for column in columns] == [False, True, False, True]
    rows = make_table(3, 4)
    checked = check_rows({name: rows[name].to_numpy() for name in NAMES}, columns)
    assert checked["note"][0] is None
    with pytest.raises(DataError, match="Column 'x', row 0: a value is missing"):
        check_rows({name: rows[name].to_numpy() for name in NAMES} | {"x": [None] * 4}, columns)


def test_a_declared_column_that_features_no_longer_returns_is_refused(settings):
    (settings.root / "params.yaml").write_text("inputs:\n  text: [remark]\n  image: [picture]\n")
    with pytest.raises(DataError, match=r"inputs.text: features\(\) returns no input 'remark'"):
        fit(settings, "linear")


def test_raw_columns_may_be_text_and_no_images(settings):
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = make_pipeline(make_column_transformer((CountVectorizer(), "note")), LogisticRegression())
    made = Sklearn(words, columns=True)
    with pytest.raises(ModelError, match=r"Sklearn\(…, columns=True\).*'picture' is an image. Leave"):
        trial(settings, lambda inputs, outputs, params: made, {})
    (settings.root / "params.yaml").write_text("inputs:\n  text: [note]\n")
    for part in ("train", "validation"):
        path = settings.split / f"{part}.parquet"
        table = pd.read_parquet(path).drop(columns="picture").dropna()
        table.to_parquet(path)
    assert trial(settings, lambda inputs, outputs, params: made, {}).figures["roc_auc"] > 0.7


def test_copied_rows_are_told_by_their_images(settings):
    """Of categories alone these rows would be equal by chance."""
    columns, task = fit(settings, "linear").prepared.columns, fit(settings, "linear").prepared.task
    parts = {
        name: make_table(seed).drop(columns="x") for seed, name in enumerate(("train", "validation", "test"))
    }
    columns = [column for column in columns if column.name != "x"]
    assert find_suspects(parts, columns, task) == []
    copied = parts["train"].head(100).assign(id=[f"copy-{row}" for row in range(100)])
    parts["test"] = pd.concat([parts["test"], copied], ignore_index=True)
    (found,) = find_suspects(parts, columns, task)
    assert "test rows have exactly the inputs of a training row" in found.why
