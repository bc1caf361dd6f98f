"""The order of versions, and which of them a text names."""

from __future__ import annotations

import pytest

from runtime_lib.upgrade.versions import is_release, release_order, release_tags, version_of


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("0.1.0", "0.2.0"),
        ("0.9.0", "0.10.0"),
        ("1.0.0rc1", "1.0.0"),
        ("1.0.0a2", "1.0.0b1"),
        ("v1.0.0rc2", "1.0.0rc10"),
    ],
)
def test_versions_are_ordered_as_releases_are(older, newer):
    assert release_order(older) < release_order(newer)
    assert release_order("main") is None


@pytest.mark.parametrize("name", ["v0.2.0", "0.2.0", "v0.2.0-3-g1a2b3c4", "0.2.0rc1"])
def test_a_version_is_read_from_the_beginning_of_a_name(name):
    assert version_of(name) == (0, 2, 0)


def test_a_branch_or_hash_has_no_version():
    assert version_of("main") is None
    assert version_of("1a2b3c4") is None


def test_releases_are_tags_and_the_newest_final_one_is_last():
    names = ["HEAD", "v0.10.0", "v0.9.0", "v0.11.0rc1", "v1", "0.12.0"]
    assert [name for name in names if is_release(name)] == ["v0.10.0", "v0.9.0", "v0.11.0rc1"]
    assert release_tags(names) == ["v0.9.0", "v0.10.0"]
