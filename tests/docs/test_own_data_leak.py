"""The page's own table, with the column left in that it warns of: found, and not promoted."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pandas as pd
import pytest

from runtime_lib.data.columns import columns_of
from runtime_lib.data.features import KEYS
from runtime_lib.data.functions import find_function, find_label
from runtime_lib.data.leaks.find import find_suspects
from runtime_lib.data.months import ingest, make_features, read_suspects, split
from runtime_lib.task.kinds import BINARY
from tests.docs.test_own_data import PAGE
from tests.support.pages import steps

PACKAGE = "order_returns"
PRICE = '"price": raw["price"].astype(float),'
REFUND = '"refund": raw["refund"].fillna(0).astype(float),'


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The project's files as on the page, and the orders as on the day that it names."""
    root = tmp_path_factory.mktemp("shop")
    for before, _, text in steps(PAGE.read_text(encoding="utf-8")):
        named = re.search(r"(?:[Rr]eplace|[Ss]ave (?:it|this) as) `([^`]+)`:$", before)
        if named and named[1].endswith(("make_orders.py", "/data.py", "/features.py")):
            path = root / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    (root / "source").mkdir()
    subprocess.run([sys.executable, "make_orders.py", "2025-10-01"], cwd=root, check=True)
    return root


def found(root, monkeypatch, change, *, last):
    """Suspects of the features with this change, before and after the split."""
    path = root / "src" / PACKAGE / "features.py"
    honest = path.read_text(encoding="utf-8")
    monkeypatch.syspath_prepend(str(root / "src"))
    try:
        path.write_text(change(honest), encoding="utf-8")
        importlib.invalidate_caches()
        folders = [root / f"{name}-{last}" for name in ("raw", "features", "split")]
        ingest(find_function(PACKAGE, "load"), folders[0], first="2025-01", last=last)
        make_features(find_function(PACKAGE, "features"), *folders[:2], find_label(PACKAGE))
        split(*folders[1:], validation=1, test=2)
    finally:
        path.write_text(honest, encoding="utf-8")
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
    parts = {
        part: pd.read_parquet(folders[2] / f"{part}.parquet") for part in ("train", "validation", "test")
    }
    columns = columns_of(parts["train"], without=KEYS)
    suspects = [*find_suspects(parts, columns, BINARY), *read_suspects(folders[2])]
    return {(suspect.column, suspect.kind) for suspect in suspects}


def test_the_page_leaks_nothing(shop, monkeypatch):
    assert found(shop, monkeypatch, lambda text: text, last="2025-08") == set()


def test_the_refund_left_in_is_found(shop, monkeypatch):
    def leak(text):
        assert PRICE in text
        return text.replace(PRICE, PRICE + REFUND)

    assert found(shop, monkeypatch, leak, last="2025-07") == {("refund", "ranks")}
