"""Bytes of any origin as text."""

from __future__ import annotations

import pytest

from runtime_lib.audit.index import index
from runtime_lib.audit.index.text import decode, lines_of


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marks_tell_the_encoding(name):
    assert decode("naïve = 1\n".encode(name)) == "naïve = 1\n"


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(name):
    assert decode("import os\nprint(os)\n".encode(name)) == "import os\nprint(os)\n"


def test_binary_is_none():
    assert decode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR") is None
    assert decode(b"\0" * 100) is None


def test_what_is_no_utf_8_is_latin():
    assert decode("größe".encode("latin-1")) == "größe"
    assert decode("# -*- coding: cp1251 -*-\nx = 'да'".encode("cp1251"), python=True).endswith("'да'")
    for name in ("hex", "zip", "nonsense", "undefined", "rot13"):
        assert decode(f"# coding: {name}\nx = '\xe9'".encode("latin-1"), python=True).endswith("'é'")


def test_ends_of_lines_are_one_letter():
    assert decode(b"a\r\nb\rc\n") == "a\nb\nc\n"
    assert lines_of("a\x0cb\u2028c\nd\n") == ("a\x0cb\u2028c", "d")
    assert lines_of("") == ()


def test_files_of_any_encoding_are_read_with_their_lines(tree):
    repo = index(
        tree(
            {
                "bom.py": b"\xef\xbb\xbfimport mlflow\n",
                "wide.py": "import os\nimport mlflow\n".encode("utf-16"),
                "requirements.txt": "numpy==1.26.0\r\npandas==2.0.0\r\n".encode("utf-16"),
                "binary.py": b"\0\1\2\3",
                "Makefile": b"test:\r\n\tpytest\r\n",
                "blob": b"\0\1",
                "config.yaml": "ä: ö\n".encode("latin-1"),
            }
        )
    )
    assert [(one.name, one.line) for one in repo.modules["wide.py"].imports] == [("os", 1), ("mlflow", 2)]
    assert repo.modules["bom.py"].packages == {"mlflow"}
    assert [(one.name, one.spec, one.line) for one in repo.dependencies.requirements] == [
        ("numpy", "==1.26.0", 1),
        ("pandas", "==2.0.0", 2),
    ]
    assert repo.texts["Makefile"].lines == ("test:", "\tpytest")
    assert repo.documents["config.yaml"].data == {"ä": "ö"}
    assert [(one.path, one.why) for one in repo.left_out] == [("binary.py", "binary")]
    assert "blob" not in repo.texts
