"""What an update does to each file, from its three states: and no line of the user's is lost on the way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_lib.upgrade.merge import Change, compare, has_markers, merge

OLD = b"one\ntwo\nthree\nfour\nfive\n"
NEW = OLD.replace(b"one", b"ONE")
MINE = OLD.replace(b"five", b"five\nmine")
BOTH = NEW.replace(b"five", b"five\nmine")


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "kind", "content"),
    [
        (None, None, NEW, "added", NEW),
        (OLD, OLD, NEW, "changed", NEW),
        (OLD, MINE, NEW, "merged", BOTH),
        (OLD, OLD, None, "deleted", None),
        (OLD, MINE, None, "kept", None),
        (OLD, None, NEW, "gone", None),
        (None, MINE, NEW, "conflict", ...),
        (OLD, MINE, OLD.replace(b"five", b"FIVE"), "conflict", ...),
        (b"", b"mine\n", b"", None, None),
        (b"", b"", b"new\n", "changed", b"new\n"),
        (OLD, b"", NEW, "conflict", ...),
        (None, b"", NEW, "merged", NEW),
        (None, None, b"", "added", b""),
        (OLD, MINE, b"", "conflict", ...),
        (OLD, MINE, OLD, None, None),
        (OLD, NEW, NEW, None, None),
        (OLD, None, OLD, None, None),
        (OLD, None, None, None, None),
        (None, MINE, None, None, None),
        (OLD[:-1], OLD[:-1], NEW[:-1], "changed", NEW[:-1]),
        (OLD[:-1], b"mine\n" + OLD[:-1], OLD, "merged", b"mine\n" + OLD),
        (b"\0a", b"\0b", b"\0c", "conflict", b"\0b"),
        (b"\0a", b"\0a", b"\0c", "changed", b"\0c"),
    ],
)
def test_one_file(base, mine, theirs, kind, content):
    states = ({"f": state} if state is not None else {} for state in (base, mine, theirs))
    changes = compare(*states)
    assert [change.kind for change in changes] == ([kind] if kind else [])
    if changes and content is not ...:
        assert changes[0].content == content


def test_a_conflict_holds_both_sides_and_their_origin():
    [change] = compare({"f": OLD}, {"f": MINE}, {"f": OLD.replace(b"five", b"FIVE")})
    assert has_markers(change.content)
    assert set(b"one two three four five mine FIVE".split()) <= set(change.content.split())


def test_an_add_on_both_sides_keeps_both():
    [change] = compare({}, {"f": b"mine\n"}, {"f": b"theirs\n"})
    assert (change.kind, has_markers(change.content)) == ("conflict", True)
    assert b"mine\n" in change.content
    assert b"theirs\n" in change.content


def test_the_two_sides_of_a_kept_binary_file_are_told_apart():
    """No markers fit in there, so the kind alone says that something is to do."""
    [change] = compare({"f": b"\0a"}, {"f": b"\0b"}, {"f": b"\0c"})
    assert change == Change("f", "conflict", b"\0b")


def test_lines_ending_as_on_windows_are_no_edits():
    """Git can be told to check out every file so (`eol=crlf`); the template's lines end in a bare newline."""
    old, new, both = (text.replace(b"\n", b"\r\n") for text in (OLD, NEW, BOTH))
    assert compare({"f": OLD}, {"f": old}, {"f": OLD}) == []
    assert compare({"f": OLD}, {"f": old}, {"f": NEW}) == [Change("f", "changed", new)]
    mine = MINE.replace(b"\n", b"\r\n")
    assert compare({"f": OLD}, {"f": mine}, {"f": NEW}) == [Change("f", "merged", both)]


@pytest.mark.parametrize(
    ("mine", "theirs", "kind", "content"),
    [
        ({"old": OLD}, {"new": OLD}, "moved", OLD),
        ({"old": OLD}, {"new": NEW}, "moved", NEW),
        ({"old": MINE}, {"new": OLD}, "moved", MINE),
        ({"old": MINE}, {"new": NEW}, "moved", BOTH),
        ({"old": MINE}, {"new": OLD.replace(b"five", b"FIVE")}, "conflict", ...),
    ],
)
def test_a_renamed_file_takes_the_edits_along(mine, theirs, kind, content):
    [change] = compare({"old": OLD}, mine, theirs, renamed={"old": "new"})
    assert (change.path, change.kind, change.came_from) == ("new", kind, "old")
    if content is not ...:
        assert change.content == content


def test_a_renamed_file_that_the_user_deleted_stays_away():
    assert compare({"old": OLD}, {}, {"new": OLD}, renamed={"old": "new"}) == []
    [change] = compare({"old": OLD}, {}, {"new": NEW}, renamed={"old": "new"})
    assert (change.path, change.kind) == ("new", "gone")


def test_a_users_file_in_the_way_of_a_rename_is_not_replaced():
    mine = {"old": MINE, "new": b"something else\n"}
    changes = {c.path: c for c in compare({"old": OLD}, mine, {"new": NEW}, renamed={"old": "new"})}
    assert (changes["old"].kind, changes["new"].kind) == ("kept", "conflict")
    assert b"something else\n" in changes["new"].content


def test_a_rename_without_its_migration_is_a_file_kept_and_one_added():
    changes = compare({"old": OLD}, {"old": MINE}, {"new": NEW})
    assert [(c.path, c.kind) for c in changes] == [("new", "added"), ("old", "kept")]


def test_swapped_names_do_not_swap_edits():
    """Neither name is free, so neither is a rename: both are merged where they stand."""
    base, theirs = {"a": OLD, "b": b"b\n"}, {"a": b"b\n", "b": OLD}
    changes = compare(base, {"a": MINE, "b": b"b\n"}, theirs, renamed={"a": "b", "b": "a"})
    assert {c.path: c.kind for c in changes} == {"a": "conflict", "b": "changed"}


def test_changes_come_in_the_order_of_paths():
    theirs = dict.fromkeys(("b", "a/z", "a.txt", "c"), b"x\n")
    assert [change.path for change in compare({}, {}, theirs)] == sorted(theirs)


@pytest.mark.parametrize("ours", [b"<<<<<<< yours\n", b">>>>>>> the template now\n", b"=======\n"])
def test_half_a_marker_is_none(ours):
    assert not has_markers(b"text\n" + ours)
    assert not has_markers(b"a line with <<<<<<< and >>>>>>> inside\n")


def test_more_conflicts_than_an_exit_code_can_count():
    """git merge-file says how many there were by its exit code, which ends at 127."""
    base, mine, theirs = (
        b"".join(b"%b%d\nsame\nsame\nsame\nsame\n" % (side, n) for n in range(300))
        for side in (b"b", b"m", b"t")
    )
    content, clean = merge(mine, base, theirs)
    assert not clean
    assert content.count(b"<<<<<<< ") == 300


LINES = st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"", b"x = 1"]), max_size=6)
ENDS = st.sampled_from([b"\n", b"\r\n"])
PATHS = st.sampled_from(["a", "b", "c", "d/e"])


@st.composite
def content(draw, mark: bytes = b"") -> bytes:
    lines = draw(LINES)
    if mark:
        for number in range(draw(st.integers(0, 3))):
            lines.insert(draw(st.integers(0, len(lines))), b"%b-%d" % (mark, number))
    end = draw(ENDS)
    return end.join(lines) + (end if draw(st.booleans()) else b"")


@st.composite
def three_states(draw):
    base = draw(st.dictionaries(PATHS, content(), max_size=4))
    mine = draw(st.dictionaries(PATHS, content(b"mine"), max_size=4))
    theirs = draw(st.dictionaries(PATHS, content(b"theirs"), max_size=4))
    for path, state in base.items():  # most files are left alone by one side or by both
        for side in (mine, theirs):
            if draw(st.booleans()):
                side[path] = state
    gone, new = [p for p in base if p not in theirs], [p for p in theirs if p not in base]
    renamed = dict(zip(gone, new, strict=False)) if draw(st.booleans()) else {}
    for old, path in renamed.items():  # most are renamed and nothing else, and edited under the old name
        if draw(st.booleans()):
            theirs[path] = base[old]
            mine.pop(path, None)
            mine[old] = draw(content(b"mine"))
    return base, mine, theirs, renamed


@settings(max_examples=150, deadline=None)
@given(three_states())
def test_no_line_of_the_users_is_lost(states):
    base, mine, theirs, renamed = states
    changes = compare(base, mine, theirs, renamed=renamed)
    result = dict(mine)
    for change in changes:
        if change.came_from:
            del result[change.came_from]
        if change.kind == "deleted":
            del result[change.path]
        elif change.content is not None:
            result[change.path] = change.content
    reported = {
        name for c in changes if c.kind in ("kept", "gone", "conflict") for name in (c.path, c.came_from)
    }
    left = [line for content in result.values() for line in content.splitlines()]
    for path, content in mine.items():
        own = [line for line in content.splitlines() if line.startswith(b"mine")]
        assert path in reported or all(line in left for line in own), (path, states)
    assert left.count(b"mine-0") >= sum(c.splitlines().count(b"mine-0") for c in mine.values())
    # And nothing is done to files that only their user knows.
    for path in mine.keys() - base.keys() - theirs.keys():
        assert result[path] == mine[path]
