"""Following a page: figures may differ from what it shows, words and forms may not."""

from __future__ import annotations

import pytest

from tests.support.pages import Reader, quotes

LINE = "mae 27.06 is better than the naive baseline's 27.47 by 1.52% (asked: 1.00%)"
ROW = " dest        CLT     +1.0795   ████"
ANSWER = '{"predictions": [{"p10": -14.2, "p90": 61.3}], "ids": ["a-1"], "version": "1"}'


def page(language: str, text: str) -> str:
    return f"What it prints:\n\n```{language}\n{text}\n```\n"


@pytest.fixture
def reader(tmp_path):
    reader = Reader(tmp_path)
    reader.printed = [f"{LINE}\n{ROW}\n{ANSWER}\n"]
    return reader


@pytest.mark.parametrize(
    "text", [LINE, LINE.replace("27.06", "1,031.5"), "mae 3 is better than …", " temp   13.81   -0.4154   █"]
)
def test_other_figures_are_no_difference(reader, text):
    reader.follow(page("text", text))


@pytest.mark.parametrize(
    "text",
    [
        LINE.replace("mae", "rmse"),
        LINE.replace("1.52%", "1.52"),
        LINE.replace("is better", "is not better"),
        ROW.replace("+1.0795", ""),
    ],
)
def test_another_word_or_form_is_told(reader, text):
    with pytest.raises(AssertionError, match="the page shows"):
        reader.follow(page("text", text))


def test_an_answer_may_be_shown_in_part(reader):
    reader.follow(page("json", '{"predictions": [{"p90": 7}], "ids": ["a-2"]}'))


@pytest.mark.parametrize(
    "shown",
    [
        '{"predictions": [{"p50": 7}]}',
        '{"predictions": [7]}',
        '{"predictions": []}',
        '{"ids": ["b-1"]}',
        '{"version": 1}',
        '{"model": "flights"}',
    ],
)
def test_an_answer_of_another_form_is_told(reader, shown):
    with pytest.raises(AssertionError, match="the page shows"):
        reader.follow(page("json", shown))


def test_a_function_and_a_table_take_the_place_of_those_that_are_there(reader, tmp_path):
    (tmp_path / "features.py").write_text("A = 1\n\n\ndef label(raw):\n    return raw\n\n\nB = 2\n")
    (tmp_path / "params.yaml").write_text("task:\n  kind: binary\ntrain:\n  seed: 7\n")
    function = "`label` in `features.py` returns:\n\n```python\ndef label(raw):\n    return 3\n```\n"
    reader.follow(f"{function}\nSet in `params.yaml`:\n\n```yaml\ntask:\n  kind: quantile\n```\n")
    assert (tmp_path / "features.py").read_text() == "A = 1\n\n\ndef label(raw):\n    return 3\n\n\nB = 2\n"
    assert (tmp_path / "params.yaml").read_text() == "task:\n  kind: quantile\ntrain:\n  seed: 7\n"


def test_a_block_that_nobody_can_follow_is_told(reader):
    with pytest.raises(AssertionError, match="neither a command nor a file"):
        reader.follow(page("python", "x = 1"))


def test_a_quote_is_one_line():
    assert quotes("Text:\n\n> one\n> two\n\n> three\n") == ["one two", "three"]
