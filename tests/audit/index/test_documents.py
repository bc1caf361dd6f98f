"""YAML, TOML, JSON and INI with lines; what is broken, hostile or a template."""

from __future__ import annotations

import time
from textwrap import dedent

import pytest

from runtime_lib.audit.index import index
from runtime_lib.audit.index.documents import read_document


def read(text: str, kind="yaml"):
    return read_document(f"x.{kind}", dedent(text), kind)


def flat(document) -> dict:
    return {".".join(map(str, one.keys)): (one.value, one.line) for one in document.entries}


def test_yaml_has_lines_and_keys_as_they_are_written():
    document = read("""\
        on:
          push: {branches: [main, dev]}
        yes: no
        1: one
        run: |
          a
          b
        empty:
        quoted: "5"
        """)
    assert flat(document) == {
        "on.push.branches.0": ("main", 2),
        "on.push.branches.1": ("dev", 2),
        "yes": (False, 3),
        "1": ("one", 4),
        "run": ("a\nb\n", 5),
        "empty": (None, 8),
        "quoted": ("5", 9),
    }
    assert document.data["on"] == {"push": {"branches": ["main", "dev"]}}
    assert document.line_of("on", "push") == 2
    assert document.problem == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-12", -12),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 15),
        ("089", 89.0),
        ("3.10", 3.1),
        ("1e-3", 0.001),
        (".5", 0.5),
        (".inf", float("inf")),
        ("~", None),
        ("NULL", None),
        ("Off", False),
        ("2024-01-01", "2024-01-01"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("+", "+"),
        (".", "."),
        ("1" * 5000, "1" * 5000),
        ("12:30", "12:30"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!python/object/apply:os.system [x]", ["x"]),
        ("!Sub '${A}'", "${A}"),
    ],
)
def test_scalars(text, value):
    assert read(f"- {text}" if text in "-" else f"a: {text}").data in ({"a": value}, [[None]])


def test_several_documents_are_a_list():
    document = read("a: 1\n---\nb: 2\n")
    assert document.data == [{"a": 1}, {"b": 2}]
    assert flat(document) == {"0.a": (1, 1), "1.b": (2, 3)}
    assert read("").data is None


def test_aliases_and_merges():
    document = read("""\
        base: &base
          image: python
          script: [a]
        job:
          <<: *base
          script: [b]
        both:
          <<: [*base, {image: other, more: 1}]
        again: *base
        gitlab: !reference [job, script]
        """)
    assert document.data["job"] == {"image": "python", "script": ["b"]}
    assert document.data["both"] == {"image": "python", "script": ["a"], "more": 1}
    assert document.data["again"] == document.data["base"]
    assert document.data["gitlab"] == {"!reference": ["job", "script"]}
    assert flat(document)["again.image"] == ("python", 2)


def test_a_bomb_of_aliases_is_cut():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    document = read("\n".join(lines))
    assert "aliases" in document.problem
    assert document.data is None
    assert len(document.entries) == 20_000


def test_a_bomb_of_merges_is_cut():
    lines = ["a: &a {" + ", ".join(f"k{n}: {n}" for n in range(1000)) + "}"]
    lines += [f"b{n}: {{<<: *a}}" for n in range(1000)]
    assert "merged" in read("\n".join(lines)).problem


def test_an_alias_of_itself_ends():
    assert read("a: &a [*a, 1]").data == {"a": [None, 1]}


@pytest.mark.parametrize("kind", ["yaml", "json", "toml"])
def test_depth_has_a_bound(kind):
    start = time.process_time()
    document = read(("a = " if kind == "toml" else "") + "[" * 100_000, kind)
    assert document.problem
    assert time.process_time() - start < 5  # libyaml alone would take a minute


def test_what_stands_before_a_fault_counts():
    document = read("a: 1\nb: [1, 2\nc: 3\n")
    assert document.problem.startswith("line 3:")
    assert flat(document)["a"] == (1, 1)
    assert read("a: 1\n\tb: 2").problem
    assert read("a: \x07").problem
    assert read("{", "json").problem.startswith("no JSON: Expecting property name")
    assert read("a = ", "toml").problem.startswith("no TOML")


def test_a_template_is_read_around_its_holes():
    document = read("""\
        {% if cookiecutter.ci %}
        name: {{ cookiecutter.name }}
        {% endif %}
        run: echo ${{ github.ref }}
        list:
          - {{ a | default("x: y") }}
        """)
    assert document.problem == "a template"
    assert flat(document) == {
        "name": ("⟦cookiecutter.name⟧", 2),
        "run": ("echo ${{ github.ref }}", 4),
        "list.0": ("⟦a default x y⟧", 6),
    }
    assert read("run: echo ${{ github.ref }}\n").problem == ""
    assert read("{{- range .Values.x }}\nname: {{ .Values.name }}\n{{- end }}\n").problem.startswith(
        "a template"
    )
    assert read("[project]\nname = {{ name }}\n", "toml").problem.startswith("a template")


def test_toml_has_the_lines_of_keys_and_items():
    document = read(
        """\
        title = "a # b"  # c
        [a.b]
        'x.y' = [
          1,  # first
          {c = 2, d = [3,
            4]},
        ]
        [[list]]
        k.l = \"\"\"
        [not.a.table]
        x = 1
        \"\"\"
        [[list.sub]]
        m = 1.5
        [[list]]
        [[list.sub]]
        m = '''a'''
        [list.table]
        "n" = 2024-01-01
        """,
        "toml",
    )
    assert flat(document) == {
        "title": ("a # b", 1),
        "a.b.x.y.0": (1, 4),
        "a.b.x.y.1.c": (2, 5),
        "a.b.x.y.1.d.0": (3, 5),
        "a.b.x.y.1.d.1": (4, 6),
        "list.0.k.l": ("[not.a.table]\nx = 1\n", 9),
        "list.0.sub.0.m": (1.5, 14),
        "list.1.sub.0.m": ("a", 17),
        "list.1.table.n": ("2024-01-01", 19),
    }


def test_json_has_lines_and_may_have_comments():
    document = read(
        """\
        {
          // "no": 1
          "a": [1,
            {"b": null}, "x,]"],  /* c
          */
          "d:e": {"f": "g\\"h"},
          "empty": {},
        }
        """,
        "json",
    )
    assert flat(document) == {
        "a.0": (1, 3),
        "a.1.b": (None, 4),
        "a.2": ("x,]", 4),
        "d:e.f": ('g"h', 6),
    }
    assert read('{"a": 1, "a": 2}', "json").data == {"a": 2}
    assert read("[" + ",".join(["1"] * 30_000) + "]", "json").problem == "more than 20,000 values"


def test_ini_has_lines_and_lists():
    document = read(
        """\
        # no
        top = 1
        [options]
        install_requires =
            numpy
            # comment
            pandas>=1
        Name: x = y
        flag
        [empty]
        [dvc 'remote "s3"']
            url = s3://x
        """,
        "ini",
    )
    assert document.data == {
        "": {"top": "1"},
        "options": {"install_requires": "\nnumpy\n\npandas>=1", "name": "x = y", "flag": ""},
        "empty": {},
        "dvc 'remote \"s3\"'": {"url": "s3://x"},
    }
    assert flat(document)["options.name"] == ("x = y", 8)


def test_files_are_read_by_their_names(tree):
    repo = index(
        tree(
            {
                "a.yaml.j2": "x: {{ y }}",
                "b.yml.example": "x: 1",
                "Pipfile": '[packages]\nnumpy = "*"',
                "MLproject": "name: x",
                ".dvc/config": "[core]\n    remote = s3",
                "data.csv.dvc": "outs:\n- md5: 1",
                "tox.ini": "[tox]",
                "package-lock.json": "{}",
                "weights.pt": b"\0",
                "Dockerfile.gpu": "FROM python:3.11",
                "bin/train": "#!/bin/sh\npython train.py\n",
                "genome": "ACGT" * 1000,
                "{% if x %}.travis.yml{% endif %}.jinja": "a: 1",
            }
        )
    )
    assert {path: one.kind for path, one in repo.documents.items()} == {
        "a.yaml.j2": "yaml",
        "b.yml.example": "yaml",
        "Pipfile": "toml",
        "MLproject": "yaml",
        ".dvc/config": "ini",
        "data.csv.dvc": "yaml",
        "tox.ini": "ini",
        "{% if x %}.travis.yml{% endif %}.jinja": "yaml",
    }
    assert {"a.yaml.j2", "Dockerfile.gpu", "bin/train"} == set(repo.texts)


def test_what_is_large_or_one_of_a_crowd_is_left_out(tree):
    repo = index(
        tree(
            {
                "big.yaml": "a: 1\n" * 150_000,
                "big.py": "x = 1\n" * 400_000,
                **{f"out/{n}.json": "{}" for n in range(120)},
                "few/a.json": "{}",
            }
        )
    )
    assert list(repo.documents) == ["few/a.json"]
    assert repo.modules == {}
    whys = {one.path: one.why for one in repo.left_out}
    assert whys["big.yaml"] == "larger than 0.5 MB"
    assert whys["out"] == "120 files .json in one folder, taken for data"
