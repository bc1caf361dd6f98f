"""From a script to single commands."""

from __future__ import annotations

import pytest

from runtime_lib.audit.index.ci.shell import split
from runtime_lib.audit.index.ci.wrappers import once


def texts(script: str) -> list[str]:
    return [one.text for one in split(script)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a && b; c", ["a", "b", "c"]),
        ("a \\\n  b\nc", ["a    b", "c"]),
        ("# pytest\npip install x # pytest", ["pip install x"]),
        ("echo 'a; b' && c", ["echo 'a; b'", "c"]),
        ('echo "$(a; b)"; c', ['echo "$(a; b)"', "c"]),
        ("if [ -f x ]; then\n  pytest\nfi", ["[ -f x ]", "pytest"]),
        ("for x in a b; do pytest $x; done", ["pytest $x"]),
        ("cat <<EOF > x\npytest\nEOF\nmake", ["cat <<EOF > x", "make"]),
        ("f() {\n  pytest\n}\nf", ["pytest", "f"]),
        ("a 2>&1 | tee log", ["a 2>&1", "tee log"]),
        ("(cd x && make)", ["cd x", "make"]),
        ("x=$(( 1 + (2) )); y", ["x=$(( 1 + (2) ))", "y"]),
        ("echo it's; unbalanced", ["echo it's; unbalanced"]),
    ],
)
def test_commands_are_split_as_a_shell_does(script, expected):
    assert texts(script) == expected


def test_a_line_is_that_in_the_script():
    script = "a\n\nb \\\n  c\ncat <<X\n1\n2\nX\nd"
    assert [(one.text, one.offset) for one in split(script)] == [
        ("a", 0),
        ("b    c", 2),
        ("cat <<X", 4),
        ("d", 8),
    ]


@pytest.mark.parametrize(
    ("script", "ignored"),
    [
        ("pytest || true", True),
        ("pytest || echo failed", True),
        ("pytest || exit 1", False),
        ("pytest", False),
        ("set +e\npytest\nset -e\nls", True),
        ("pytest | tee log", True),
        ("set -o pipefail\npytest | tee log", False),
        ("set -eo pipefail\npytest | tee log", False),
        ("set -euxo pipefail; pytest | tee log", False),
        ("if pytest; then echo yes; fi", True),
        ("pytest\nls", False),
    ],
)
def test_what_may_fail_unseen(script, ignored):
    assert next(one for one in split(script) if one.text == "pytest").may_fail is ignored


def test_without_e_only_the_last_command_decides():
    found = split("pytest\necho done", strict=False)
    assert [one.may_fail for one in found] == [True, False]
    assert [one.may_fail for one in split("a && b", strict=False)] == [False, False]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("sudo -u me pytest", "pytest"),
        ("A=1 B=2 pytest", "pytest"),
        ("uv run --with x --frozen pytest -q", "pytest -q"),
        ("uv run -m pytest", "python -m pytest"),
        ("poetry run pytest", "pytest"),
        ("conda run -n env python train.py", "python train.py"),
        ("xvfb-run -a pytest", "pytest"),
        ("timeout 60 pytest", "pytest"),
        ("python -m nox -s tests", "nox -s tests"),
        ("docker run --rm -v a:b -e X=1 image pytest tests", "pytest tests"),
        ("docker run --rm image", "docker run --rm image"),
        ("docker compose -f x.yml run --rm app pytest", "pytest"),
        ("docker exec -it app pytest", "pytest"),
        ("docker build -t x .", "docker build -t x ."),
        ("python -m pytest", "python -m pytest"),
    ],
)
def test_words_that_only_say_where_are_left_out(command, expected):
    assert once(command.split()) == expected.split()
