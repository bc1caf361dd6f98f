"""Notebooks: cells as a module, in the lines of the file; magics and shell apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime_lib.audit.index.model import Notebook
from runtime_lib.audit.index.notebooks import read_notebook

KERNEL = {"kernelspec": {"name": "python3", "language": "python"}, "language_info": {"name": "python"}}


def cell(source: str | list[str], **more: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source,
    } | more


def split(source: str) -> list[str]:
    return source.splitlines(keepends=True)


def book(*cells: dict[str, Any], indent: int | None = 1, metadata: Any = KERNEL) -> str:
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4}, indent=indent)


def read(text: str) -> Notebook:
    return read_notebook("a/b.ipynb", text.encode())


def test_calls_are_in_the_lines_of_the_file():
    source = "import pandas as pd\n\npd.read_csv(\n  'a'\n).\\\n  head()\n"
    text = book(
        {"cell_type": "markdown", "metadata": {}, "source": split(source)},
        cell(split(source), outputs=[{"text": split(source)}]),
        cell(split("def f(x):\n    x.go()\n")),
    )
    lines, found = text.split("\n"), read(text)
    by_name = {one.name: lines[one.line - 1] for one in found.module.calls}
    assert "pd.read_csv(" in by_name["pandas.read_csv"]
    assert "x.go()" in by_name["?.go"]
    assert min(one.line for one in found.module.calls) > 12  # in the code cell, not in the text above it
    assert "import pandas" in lines[found.cells[0].line - 1]
    assert "def f" in lines[found.module.functions[0].line - 1]
    assert found.module.lines == 7


def test_a_source_in_one_line_of_the_file_has_that_line():
    text = book(cell("import a\na.b()"), cell("a.c()"))
    lines = text.split("\n")
    assert all('"source"' in lines[one.line - 1] for one in read(text).module.calls)
    minified = read(book(cell(["import a\n", "a.b()"]), indent=None))
    assert [(one.name, one.line) for one in minified.module.calls] == [("a.b", 1)]


def test_cells_tell_when_they_ran_and_whether_they_have_output():
    found = read(book(cell("a", execution_count=7, outputs=[{"data": {}}]), cell("b"))).cells
    assert [(one.count, one.has_output, one.source) for one in found] == [(7, True, "a"), (None, False, "b")]


def test_magics_are_left_out_and_shell_is_kept():
    source = (
        "%matplotlib inline\n!pip install \\\n    torch\nfiles = !ls\nif x:\n    !echo $x\n"
        "%time model.fit(1)\n"
        "%pip install lightgbm==4\n?model\nmodel.fit??\ny = 5 %\\\n  3\n"
    )
    found = read(book(cell(split(source)), cell("%%time\nmodel.predict()"), cell("pip install dvc")))
    assert found.problem == ""
    assert [one.name for one in found.module.calls] == ["model.fit", "model.predict"]
    assert [command for _, command in found.shell] == [
        "pip install torch",
        "ls",
        "echo $x",
        "pip install lightgbm==4",
        "pip install dvc",
    ]


def test_a_line_that_goes_on_with_a_remainder_is_no_magic():
    found = read(book(cell('print("%s"\n% f())\n')))
    assert {one.name for one in found.module.calls} == {"print", "f"}


@pytest.mark.parametrize(
    ("magic", "calls", "shell"),
    [
        ("%%bash", [], ["f()"]),
        ("%%sh -e", [], ["f()"]),
        ("%%html", [], []),
        ("%%sql select", [], []),
        ("%%capture out", ["f"], []),
        ("%%writefile train.py", ["f"], []),
        ("%%writefile conf.yaml", [], []),
    ],
)
def test_magics_of_cells(magic, calls, shell):
    found = read(book(cell(f"{magic}\nf()")))
    assert [one.name for one in found.module.calls] == calls
    assert [command for _, command in found.shell] == shell


def test_cells_that_are_no_python_do_not_spoil_the_others():
    found = read(book(cell("f()"), cell("print 'a'"), cell("g()"), cell("h()")))
    assert [one.name for one in found.module.calls] == ["f", "g", "h"]
    assert read(book(cell("print 'a'"), cell("print 'b'"), cell("f()"))).problem == "Python 2"


def test_old_notebooks_keep_cells_in_sheets():
    old = {
        "cell_type": "code",
        "input": ["import a\n", "a.b()"],
        "prompt_number": 3,
        "outputs": [{}],
        "language": "python",
    }
    found = read(
        json.dumps({"worksheets": [{"cells": [old]}], "metadata": {"name": ""}, "nbformat": 3}, indent=1)
    )
    assert [one.name for one in found.module.calls] == ["a.b"]
    assert found.cells[0].count == 3


def test_other_languages_are_not_parsed_but_counted():
    found = read(book(cell("x <- 1\ny <- 2"), metadata={"kernelspec": {"name": "ir", "language": "R"}}))
    assert (found.language, found.module.lines, found.module.problem) == ("r", 2, "language r")
    assert read(book(cell("f()"), metadata={"kernelspec": {"name": "conda_python3"}})).module.calls


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "empty"),
        (b"{", "no JSON of a notebook"),
        (b"[1]", "no JSON of a notebook"),
        (b'{"cells": 3}', "no JSON of a notebook"),
        (b"\xff\xfe{\x00}\x00", "no JSON of a notebook"),
        (b'{"cells": ' + b"[" * 100_000, "no JSON of a notebook"),
        (b"{}", ""),
        (b'\xef\xbb\xbf{"cells": [{"cell_type": "code", "source": null}]}', ""),
        (b'{"cells": [{"cell_type": "code", "source": [1, {"a": 2}], "outputs": 3}]}', ""),
    ],
)
def test_what_is_no_notebook_says_so(raw, problem):
    assert read_notebook("a.ipynb", raw).problem == problem


def test_large_outputs_cost_nothing_of_the_code():
    found = read(book(cell("import a\na.b()", outputs=[{"data": "x" * 6_000_000}]), cell("a.c()")))
    assert [one.name for one in found.module.calls] == ["a.b", "a.c"]
