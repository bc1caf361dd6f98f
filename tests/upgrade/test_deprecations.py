"""What a project's Python uses of the library, and what of it is deprecated or gone."""

from __future__ import annotations

from textwrap import dedent

import pytest

from runtime_lib.upgrade.deprecations import LIBRARY, UNREAD, deprecated, uses

# A library of its own: the rule must hold for names that this release does not have.
SOURCES = {
    "__init__.py": "",
    "data.py": """
        from typing_extensions import deprecated

        LIMIT = 3

        @deprecated("use runtime_lib.data.load; goes in 0.5")
        def fetch(): ...

        def load(): ...

        class Table:
            @deprecated("use Table.rows; goes in 0.5")
            def lines(self): ...
    """,
    "rooms/__init__.py": """
        from runtime_lib.data import fetch as get, load
        from runtime_lib.rooms.inner import Old
    """,
    "rooms/inner.py": """
        import typing_extensions as te

        @te.deprecated("use New; "
                       "goes in 0.5")
        class Old: ...

        class New: ...
    """,
}
FETCH = "use runtime_lib.data.load; goes in 0.5"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library") / "runtime_lib"
    for name, text in SOURCES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return folder


@pytest.fixture
def found(library):
    def look(text, **removed):
        gone = {name.replace("__", "."): advice for name, advice in removed.items()}
        files = {"src/mine.py": dedent(text).strip().encode()}
        return [
            (use.line, use.name.removeprefix("runtime_lib."), use.advice, use.removed)
            for use in uses(files, removed=gone, library=library)
        ]

    return look


def test_what_is_deprecated_is_told_with_its_advice(library):
    assert deprecated(library) == {
        "runtime_lib.data.fetch": FETCH,
        "runtime_lib.data.Table.lines": "use Table.rows; goes in 0.5",
        "runtime_lib.rooms.inner.Old": "use New; goes in 0.5",
    }


@pytest.mark.parametrize(
    "text",
    [
        "from runtime_lib.data import fetch",
        "from runtime_lib.data import fetch as other\nother()",
        "import runtime_lib.data as m\nm.fetch()",
        "from runtime_lib import data\ndata.fetch()",
        "import runtime_lib.data\nruntime_lib.data.fetch()",
        "def f():\n    from runtime_lib import data\n    return [data.fetch for _ in ()]",
        "from runtime_lib import data\ndef f(data=data.fetch): ...",
        "from runtime_lib import data\nclass A:\n    data = 1\n    def f(self): return data.fetch()",
    ],
)
def test_a_deprecated_name_is_found_however_it_is_reached(found, text):
    assert [(name, advice, removed) for _, name, advice, removed in found(text)] == [
        ("data.fetch", FETCH, False)
    ]


def test_a_name_that_a_package_passes_on_is_followed_to_where_it_is_from(found):
    assert found("from runtime_lib.rooms import get, load\nfrom runtime_lib.rooms import Old") == [
        (1, "rooms.get", FETCH, False),
        (2, "rooms.Old", "use New; goes in 0.5", False),
    ]


def test_a_name_that_is_not_there_is_told_with_a_near_one(found):
    assert found(
        """
        import runtime_lib.nowhere
        from runtime_lib.data import (
            load,
            lod,
        )
        from runtime_lib import rooms
        rooms.inner.Newer
        """
    ) == [
        (1, "nowhere", "runtime_lib has no 'nowhere'.", True),
        (4, "data.lod", "runtime_lib.data has no 'lod'. Did you mean 'load'?", True),
        (7, "rooms.inner.Newer", "runtime_lib.rooms.inner has no 'Newer'. Did you mean 'New'?", True),
    ]


def test_the_advice_of_a_migration_goes_before_a_guess(found):
    advice = {"runtime_lib__data__lod": "write load()", "runtime_lib__old": "its functions are in rooms"}
    assert found("from runtime_lib.data import lod\nfrom runtime_lib.old.part import thing", **advice) == [
        (1, "data.lod", "write load()", True),
        (2, "old.part.thing", "its functions are in rooms", True),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "from runtime_lib.data import load, Table, LIMIT\nTable.rows, load().fetch",
        "from runtime_lib import data\ndata.__doc__, data.load.anything",
        "from runtime_lib import data\ndef f(data): return data.fetch()",
        "from runtime_lib import data\ndef f():\n    data = object()\n    return data.fetch()",
        "from runtime_lib import data\nf = lambda data: data.fetch",
        "from .runtime_lib.data import fetch",
        "from mine.data import fetch  # not of runtime_lib",
        "data = 1  # runtime_lib\ndata.fetch",
        "import runtime_library.data\nruntime_library.data.fetch",
        "from runtime_lib.data import *",
    ],
)
def test_what_is_there_or_is_somebody_elses_is_left_alone(found, text):
    assert found(text) == []


def test_a_file_that_cannot_be_read_is_told_and_does_not_hide_the_others(library):
    files = {
        "a.py": b"import runtime_lib\n<<<<<<< mine\n",
        "b.py": b"from runtime_lib.data import fetch",
        "c.py": b"nor this one, but it does not name the library",
        "d.txt": b"from runtime_lib.data import fetch",
    }
    found = uses(files, removed={}, library=library)
    assert [(use.file, use.line, use.name, use.removed) for use in found] == [
        ("a.py", 2, UNREAD, False),
        ("b.py", 1, "runtime_lib.data.fetch", False),
    ]
    assert "not checked: invalid syntax" in found[0].advice


def test_a_circle_of_imports_ends(tmp_path):
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "a.py").write_text("from runtime_lib.b import x")
    (tmp_path / "b.py").write_text("from runtime_lib.a import x")
    assert uses({"m.py": b"from runtime_lib.a import x"}, removed={}, library=tmp_path) == []


def test_a_new_project_and_this_library_use_nothing_that_is_deprecated_or_gone(render):
    for folder in (render(tier="standard"), LIBRARY):
        files = {path.as_posix(): path.read_bytes() for path in folder.rglob("*.py")}
        assert any(b"runtime_lib" in content for content in files.values())
        assert uses(files, removed={}) == []
        assert uses(files, removed={"runtime_lib.settings.load": "gone"}), "the project does load settings"
