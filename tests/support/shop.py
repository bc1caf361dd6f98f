"""A small project of its own: a shop's orders by month, with `features` and `label`, and a model of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runtime_lib.settings import Settings, load
from tests.support.projects import made_once

MONTHS = [f"2025-{month:02d}" for month in range(1, 6)]
OPEN = "2025-05"  # the newest: no outcome is known yet

DATA = """
from pathlib import Path
import pandas as pd
SOURCE = Path(__file__).parents[2] / "source.parquet"

def load(month):
    orders = pd.read_parquet(SOURCE)
    return orders[orders["at"].dt.strftime("%Y-%m") == month]
"""

FEATURES = """
import pandas as pd

def features(raw):
    return pd.DataFrame({
        "id": "order-" + raw["number"].astype(str),
        "time": raw["at"],
        "country": raw["country"],
        "weekday": raw["at"].dt.day_name(),
        "hour": raw["at"].dt.hour + raw["at"].dt.minute / 60,
        "price": raw["price"].astype(float) / raw["items"],
        "past": raw["past"],
    })

def label(raw):
    return raw["returned"].map({"yes": 1, "no": 0})
"""

# As a project made before 0.6 has it: one function, and only rows whose outcome is known.
EARLIER = (
    FEATURES.partition("def label")[0]
    .replace("    return pd.DataFrame({", '    raw = raw[raw["returned"].notna()]\n    return pd.DataFrame({')
    .replace("    })\n", '        "label": (raw["returned"] == "yes").astype("int8"),\n    })\n')
)


def orders(open_months: tuple[str, ...] = (OPEN,), rows: int = 300) -> pd.DataFrame:
    """Orders of `MONTHS`, with times to the second, gaps, and outcomes but for the open months."""
    rng = np.random.default_rng(7)
    count = rows * len(MONTHS)
    month = np.repeat(MONTHS, rows)
    at = pd.to_datetime(month, format="%Y-%m", utc=True) + pd.to_timedelta(
        rng.integers(0, 28 * 86_400, count), unit="s"
    )
    table = pd.DataFrame(
        {
            "number": np.arange(count) + 1000,
            "at": at,
            "country": rng.choice(["AT", "DE", "FR"], count),
            "items": rng.integers(1, 8, count),
            "price": rng.lognormal(4, 0.6, count).round(2),
            "past": np.where(rng.random(count) < 0.1, np.nan, rng.poisson(0.8, count)),
        }
    )
    odds = 0.02 * table["price"] / table["items"] + table["past"].fillna(0.8) - 1.5
    returned = rng.random(count) < 1 / (1 + np.exp(-odds))
    table["refund"] = np.where(returned, table["price"], 0.0)
    table["returned"] = np.where(returned, "yes", "no")
    table.loc[np.isin(month, open_months), ["refund", "returned"]] = None
    return table


def make_shop(root: Path, *, features: str = FEATURES) -> Settings:
    """Write the project; its model's name is `flights`, as that of tests/support/servers.py."""
    package = root / "src" / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "data.py").write_text(DATA)
    (package / "features.py").write_text(features)
    (root / "mlops.toml").write_text(
        '[project]\nname = "flights"\npackage = "shop"\n[training]\nframework = "torch"\n'
        '[serving]\nframework = "torch"\nengine = "local"\n'
    )
    orders().to_parquet(root / "source.parquet", index=False)
    return load(root, environ={})


@contextmanager
def importable(root: Path) -> Iterator[None]:
    """The project's package can be imported within the block, and is forgotten after it."""
    sys.path.insert(0, str(root / "src"))
    try:
        yield
    finally:
        sys.path.remove(str(root / "src"))
        for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
            del sys.modules[name]


def trained_shop(factory: pytest.TempPathFactory) -> Path:
    """The project with a model of it, made once for all tests; copy what you change."""
    return made_once(factory, "shop", lambda root: train_shop(make_shop(root)))


def train_shop(settings: Settings) -> None:
    """From ingest to a model folder, by the library's own stages; the open month is left out."""
    from runtime_lib.data import months
    from runtime_lib.training.network import Architecture
    from runtime_lib.training.train import train

    make_months(settings)
    months.split(settings.features, settings.split, validation=1, test=1)
    architecture = lambda width, options: Architecture("mlp", {"inputs": width, "hidden": [8]})  # noqa: E731
    train(settings, architecture, {"seed": 1, "epochs": 3, "learning_rate": 0.02, "batch_size": 64})


def make_months(settings: Settings) -> None:
    """Raw months and their features; the open month is left out."""
    from runtime_lib.data import months
    from runtime_lib.data.functions import find_features, find_function

    with importable(settings.root):
        own = find_features(settings)
        months.ingest(find_function("shop", "load"), settings.raw, first=MONTHS[0], last=MONTHS[-2])
        months.make_features(own.features, settings.raw, settings.features, own.label)
