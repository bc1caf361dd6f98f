"""`REFERENCE TABLE`: both tables by nannyml's univariate calculator, with KS and χ², as one chunk."""

from __future__ import annotations

import os
import sys

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml
import pandas as pd
from measured import report


def work() -> int:
    reference, current = (pd.read_parquet(path) for path in sys.argv[1:])
    names = [name for name in reference if pd.api.types.is_numeric_dtype(reference[name])]
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(reference),
        treat_as_categorical=[name for name in reference if name not in names],
        continuous_methods=["kolmogorov_smirnov"],
        categorical_methods=["chi2"],
        chunk_number=1,
    )
    return len(calculator.fit(reference).calculate(current).to_df().columns)


report(work, {"nannyml": nannyml.__version__, "pandas": pd.__version__})
