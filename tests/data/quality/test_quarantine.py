"""Rows that break a rule never reach the features; they lie beside them with their reasons."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from runtime_lib.data.functions import find_features, find_rules
from runtime_lib.data.months import make_features
from runtime_lib.data.quality import AllowedValues, Freshness, NotMissing, Range, Unique, Volume
from runtime_lib.data.quality.months import report_months
from runtime_lib.data.quality.stored import read_found
from runtime_lib.errors import DataError, SettingsError
from runtime_lib.settings import Settings
from tests.support.shop import EARLIER, FEATURES, MONTHS, importable, make_months, make_shop, orders

DECLARED = """
def quality_rules():
    from runtime_lib.data.quality import AllowedValues, Range
    return [
        AllowedValues("country", ["DE", "FR"]),
        Range("items", most=6),
        Range("price", most=100, at="inputs", name="price of an item"),
    ]
"""


@pytest.fixture
def shop(tmp_path) -> Iterator[Settings]:
    """A shop with four raw months and no rules of its own."""
    settings = make_shop(tmp_path / "shop")
    make_months(settings)
    with importable(settings.root):
        yield settings


def make(settings: Settings, rules=None, folder: Path | None = None) -> Path:
    own, folder = find_features(settings), folder or settings.features
    make_features(own.features, settings.raw, folder, own.label, rules=rules)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def set_aside(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted((folder / "quarantine").glob("*.parquet"))])


def raw_months(settings: Settings) -> pd.DataFrame:
    months = {path.stem: pd.read_parquet(path) for path in sorted(settings.raw.glob("*.parquet"))}
    return pd.concat([table.assign(month=name, row=range(len(table))) for name, table in months.items()])


def test_without_rules_every_byte_is_as_it_was(shop, tmp_path):
    before = contents(shop.features)
    assert contents(make(shop)) == before
    assert contents(make(shop, [], tmp_path / "none")) == before
    assert not [name for name in before if "quality" in name or "quarantine" in name]


def test_kept_and_quarantined_rows_are_all_rows(shop):
    everything = raw_months(shop)
    rules = [AllowedValues("country", ["DE", "FR"]), Range("price", most=40, at="inputs", name="dear")]
    aside = set_aside(make(shop, rules))
    kept = pd.concat([pd.read_parquet(path) for path in sorted(shop.features.glob("*.parquet"))])
    ids = "order-" + aside["number"].astype(str)
    assert sorted([*kept["id"], *ids]) == sorted("order-" + everything["number"].astype(str))
    assert kept["country"].isin(["DE", "FR"]).all()
    assert kept["price"].max() <= 40
    here = everything["country"] == "AT"
    dear = ~here & (everything["price"] / everything["items"] > 40)
    assert here.sum() > 100
    assert dear.sum() > 10
    assert aside["mlops.reasons"].map(len).eq(1).all()
    for broken, name in ((here, "set country"), (dear, "dear")):
        found = aside[aside["mlops.reasons"].map(lambda reasons, name=name: name in reasons)]
        assert [*zip(found["mlops.month"], found["mlops.row"], strict=True)] == [
            *zip(everything["month"][broken], everything["row"][broken], strict=True)
        ]


def test_a_row_in_quarantine_is_the_raw_row_with_every_reason(shop):
    rules = [AllowedValues("country", ["DE"]), Range("items", most=3), NotMissing("past", action="warn")]
    aside = set_aside(make(shop, rules))
    everything = raw_months(shop).set_index(["month", "row"])
    for _, row in aside.iterrows():
        raw = everything.loc[(row["mlops.month"], row["mlops.row"])]
        assert row[raw.index].equals(raw.rename(row.name))
        broken = [("set country", raw["country"] != "DE"), ("range items", raw["items"] > 3)]
        assert list(row["mlops.reasons"]) == [name for name, is_broken in broken if is_broken]


def test_a_rule_that_warns_keeps_its_rows_and_counts_them(shop, capsys):
    kept = contents(shop.features)
    make(shop, [NotMissing("past", max_bad=0.3, action="warn")])
    after = contents(shop.features)
    assert after.pop("quality.json")
    assert after == kept
    found = read_found(shop.features).months["2025-01"].rules["missing past"]
    assert (found.rows, found.bad) == (300, int(raw_months(shop)[:300]["past"].isna().sum()))
    assert "Quality: 'missing past' is broken by" in (said := capsys.readouterr().err)
    assert "they are kept" in said


def test_the_same_months_and_rules_give_the_same_bytes(shop, tmp_path):
    rules = [
        AllowedValues("country", ["DE", "FR"]),
        Unique("number"),
        Freshness("at", days=9),
        Volume(least=9),
    ]
    assert contents(make(shop, rules)) == contents(make(shop, rules, tmp_path / "again"))


def test_rows_that_come_twice_are_set_aside_but_the_first(shop):
    path = shop.raw / f"{MONTHS[1]}.parquet"
    table = pd.read_parquet(path)
    pd.concat([table, table.head(3)]).to_parquet(path, index=False)
    with pytest.raises(DataError, match="id 'order-1300' twice"):
        make(shop)
    make(shop, [Unique("number")])
    aside = set_aside(shop.features)
    assert aside["mlops.row"].tolist() == [300, 301, 302]
    assert len(pd.read_parquet(shop.features / path.name)) == 300


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (
            [Range("items", most=6, action="stop")],
            r"2025-01 breaks the quality rule 'range items': \d+ of 300 rows are bad, and max_bad = 0.001 "
            r"\(row \d+: 7; .*\). Mend them at the source and `mlops run --refresh 2025-01`",
        ),
        (
            [Volume(least=301, action="stop")],
            "2025-01 breaks the quality rule 'volume': 300 rows, fewer than 301",
        ),
        (
            [Freshness("at", hours=1, action="stop")],
            "2025-01 breaks the quality rule 'freshness at': the newest",
        ),
        (
            [Range("items", least=8)],
            r"Each of the 300 rows of 2025-01 breaks a quality rule \('range items' 300\)",
        ),
        ([Range("hour", least=30, at="inputs")], "Each of the 300 rows of 2025-01 breaks a quality rule"),
        ([Range("itms", least=8)], r"'range itms': there is no column 'itms'. Did you mean 'items'\?"),
    ],
)
def test_a_rule_that_stops_leaves_the_features_of_before(shop, rules, named):
    before = contents(shop.features)
    with pytest.raises(DataError, match=named):
        make(shop, rules)
    assert contents(shop.features) == before
    assert sorted(path.name for path in shop.features.parent.iterdir()) == ["features", "raw"]


def test_a_share_below_the_target_does_not_stop(shop):
    make(shop, [Range("items", most=6, max_bad=0.5, action="stop")])
    assert not (shop.features / "quarantine").exists()
    assert read_found(shop.features).months["2025-01"].rules["range items"].bad > 10


def test_a_raw_column_with_the_quarantines_name_is_refused(shop):
    path = shop.raw / f"{MONTHS[0]}.parquet"
    pd.read_parquet(path).assign(**{"mlops.row": 1}).to_parquet(path, index=False)
    with pytest.raises(DataError, match=r"Raw column 'mlops.row' has the name of a column of the quarantine"):
        make(shop, [NotMissing("price")])


def test_features_that_leave_out_rows_take_rules_of_raw_rows_alone(tmp_path):
    settings = make_shop(tmp_path / "shop", features=EARLIER)
    make_months(settings)
    with importable(settings.root):
        make(settings, [AllowedValues("country", ["DE"])])
        assert pd.read_parquet(settings.features / "2025-01.parquet")["country"].eq("DE").all()
        with pytest.raises(
            DataError, match=r"'range hour' is about inputs, .* Move the outcome into label\(raw\)"
        ):
            make(settings, [Range("hour", least=0, at="inputs")])


# ---------------------------------------------------------------- as a project declares them


def declare(settings: Settings, code: str) -> None:
    (settings.root / "src" / "shop" / "features.py").write_text(FEATURES + code)


@pytest.fixture
def declared(tmp_path) -> Iterator[Settings]:
    settings = make_shop(tmp_path / "shop", features=FEATURES + DECLARED)
    with importable(settings.root):
        yield settings


def test_the_rules_of_features_py_are_found_and_reported(declared):
    make_months(declared)
    report, stale = report_months(declared)
    assert stale == ""
    everything = orders().query("number < 2200")
    here = everything["country"].eq("AT")
    assert [each.rule.name for each in report.judgements] == [
        "set country",
        "range items",
        "price of an item",
    ]
    assert report.judgements[0].count.bad == here.sum()
    assert (
        report.quarantined
        == (here | everything["items"].gt(6) | (everything["price"] / everything["items"]).gt(100)).sum()
    )
    assert report.rows == len(everything)
    assert {each.word for each in report.judgements[:2]} == {"broken"}
    stored = json.loads(declared.report("quality").read_text())
    assert stored == json.loads(json.dumps(report.to_dict()))
    one, _ = report_months(declared, months=["2025-02"])
    assert (one.parts, one.rows) == (("2025-02",), 300)
    assert json.loads(declared.report("quality").read_text()) == stored


def test_an_unknown_month_is_named_with_those_that_are_known(declared):
    make_months(declared)
    with pytest.raises(
        SettingsError, match=r"--month 2030-01: no quality was counted of it. Known: 2025-01, 2025-02"
    ):
        report_months(declared, months=["2030-01"])


def test_rules_without_features_and_changed_rules_are_said(declared):
    with pytest.raises(DataError, match=r"quality.json: features were made before there were quality rules"):
        report_months(declared)
    make_months(declared)
    declare(declared, DECLARED.replace("most=6", "most=50"))
    for name in [name for name in sys.modules if name.startswith("shop")]:
        del sys.modules[name]
    _, stale = report_months(declared)
    assert "have changed since features were made; `mlops run`" in stale


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("def quality_rules():\n    return 'all'", r"quality_rules\(\) returned 'all', not a list of rules"),
        ("def quality_rules():\n    return [1]", r"quality_rules\(\) returned \[1\], not a list of rules"),
        (DECLARED.replace("most=6", "mots=6"), r"quality_rules\(\): .*unexpected keyword argument 'mots'"),
        (
            DECLARED.replace("most=6", "most='6'"),
            r"features.py, quality_rules\(\): .*'range items': most = '6'",
        ),
        (
            DECLARED.replace('name="price of an item"', 'name="range items"'),
            "Two quality rules are named 'range items'",
        ),
    ],
)
def test_what_is_declared_wrongly_is_named(declared, code, named):
    declare(declared, f"\n{code}\n")
    with pytest.raises(SettingsError, match=named):
        find_rules("shop")


def test_a_package_that_is_not_there_and_one_without_rules_have_none(shop):
    assert find_rules("nobody_has_this") == []
    assert find_rules("shop") == []
    declare(shop, "\nquality_rules = 3\n")


# ---------------------------------------------------------------- killed

SLOW = """
import os, signal, sys, time
from pathlib import Path
import pandas as pd
from runtime_lib.data.months import make_features
from runtime_lib.data.quality import AllowedValues

root, killed_at = Path(sys.argv[1]), int(sys.argv[2])
sys.path.insert(0, str(root / "src"))
from shop.features import features, label

files = []
write = pd.DataFrame.to_parquet

def to_parquet(self, path, *args, **options):
    write(self, path, *args, **options)
    if "features" in str(path):
        files.append(path)
        if len(files) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

pd.DataFrame.to_parquet = to_parquet
make_features(
    features, root / "data" / "raw", root / "data" / "features", label,
    rules=[AllowedValues("country", ["DE", "FR"])],
)
"""


@pytest.mark.parametrize("killed_at", range(1, 9))
def test_kill_9_at_any_file_leaves_no_half_of_a_quarantine(shop, tmp_path, killed_at):
    """Killed by the kernel right behind each of the eight files: four of features, four of quarantine."""
    before = contents(shop.features)
    code = tmp_path / "slow.py"
    code.write_text(SLOW)
    command = [sys.executable, str(code), str(shop.root), str(killed_at)]
    done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert contents(shop.features) == before
    assert not (shop.features / "quarantine").exists()
    done = subprocess.run(
        [*command[:-1], "0"], env={**os.environ}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    whole = contents(make(shop, [AllowedValues("country", ["DE", "FR"])], tmp_path / "calm"))
    assert contents(shop.features) == whole
    assert len([name for name in whole if name.startswith("quarantine/")]) == 4
    assert sorted(path.name for path in shop.features.parent.iterdir()) == ["features", "raw"]
