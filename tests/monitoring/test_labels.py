"""Label files: what is taken and what is refused."""

import pandas as pd
import pytest

from runtime_lib import settings
from runtime_lib.errors import DataError
from runtime_lib.monitoring.labels import add_labels, read_labels
from runtime_lib.task.kinds import BINARY


@pytest.fixture
def project(tmp_path):
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    return settings.load(tmp_path, environ={})


def kept(project):
    table = read_labels(project.var / "labels", BINARY)
    return dict(zip(table["id"], table["label"], strict=True))


def test_labels_of_csv_and_parquet_are_kept(project, tmp_path):
    (tmp_path / "a.csv").write_text("id,label,note\n007,1,x\n008,0,y\n")
    pd.DataFrame({"id": [9, 10], "label": [True, False]}).to_parquet(tmp_path / "b.parquet")
    assert add_labels(project, tmp_path / "a.csv") == 2
    assert add_labels(project, tmp_path / "b.parquet") == 2
    assert kept(project) == {"007": 1, "008": 0, "9": 1, "10": 0}


def test_the_last_label_of_an_id_counts(project, tmp_path):
    file = tmp_path / "a.csv"
    for text, count in (("a,0\na,1\nb,0\n", 2), ("b,1\n", 1)):
        file.write_text("id,label\n" + text)
        assert add_labels(project, file) == count
    assert kept(project) == {"a": 1, "b": 1}


def test_no_labels_yet(project):
    assert kept(project) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,answer\na,1\n", "no column 'label', only id, answer"),
        ("label\n1\n", "no column 'id'"),
        ("id,label\n", "no rows"),
        ("id,label\na,1\nb,2\n", "row 1: the label is 2; it must be 0 or 1"),
        ("id,label\na,yes\n", "row 0: the label is yes"),
        ("id,label\na,1\nb,\n", "row 1: the label is nan.*not known yet"),
        ("id,label\n,1\n", "row 0: the id is missing"),
        ("", "cannot be read as csv"),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_kept(project, tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        add_labels(project, tmp_path / "a.csv")
    assert kept(project) == {}


def test_files_that_are_no_tables_are_refused(project, tmp_path):
    (tmp_path / "a.parquet").write_text("no parquet")
    for name, message in (
        ("a.parquet", "cannot be read"),
        ("a.xlsx", "cannot read '.xlsx' files"),
        ("b.csv", "There is no file"),
    ):
        with pytest.raises(DataError, match=message):
            add_labels(project, tmp_path / name)


def test_an_id_keeps_its_text_even_where_it_looks_like_no_value(project, tmp_path):
    (tmp_path / "a.csv").write_text("id,label\nNA,1\n007,0\n")
    assert add_labels(project, tmp_path / "a.csv") == 2
    assert kept(project) == {"NA": 1, "007": 0}
