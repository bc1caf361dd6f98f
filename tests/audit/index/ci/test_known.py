"""What well-known actions do."""

from __future__ import annotations

import pytest

from runtime_lib.audit.index.ci.known import is_known, role_of


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("actions/checkout@v4", "setup"),
        ("actions/deploy-pages@v4", "docs"),  # the longer name wins over that of the owner
        ("Azure/aml-deploy@v1", "deploy"),  # capitals do not matter
        ("pypa/gh-action-pypi-publish@release/v1", "publish"),
        ("r-lib/actions/check-r-package@v2", "test"),
        ("r-lib/actions/setup-r@v2", "setup"),
        ("docker://alpine:3", "run"),
        ("somebody/something@v1", ""),
    ],
)
def test_an_action_is_known_by_its_name(name, role):
    assert role_of(name) == role
    assert is_known(name) is bool(role)
