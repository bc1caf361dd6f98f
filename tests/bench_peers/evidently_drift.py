"""`METHOD REFERENCE TABLE`: both tables by evidently's preset, with KS and χ², or with PSI."""

from __future__ import annotations

import sys

import evidently
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
from measured import report


def work() -> int:
    reference, current = (pd.read_parquet(path) for path in sys.argv[2:])
    tests = {"ks": {"num_method": "ks", "cat_method": "chisquare"}, "psi": {"method": "psi"}}[sys.argv[1]]
    run = Report([DataDriftPreset(**tests)]).run(current, reference)
    return len(run.dict()["metrics"])


report(work, {"evidently": evidently.__version__, "pandas": pd.__version__})
