"""`REFERENCE TABLE`: the exact KS test of the columns of numbers alone."""

from __future__ import annotations

import sys

import numpy as np
import pandas  # noqa: F401 - Arrow imports it where it hands over to numpy
import pyarrow as pa
import pyarrow.parquet as pq
import scipy
from measured import report
from scipy.stats import ks_2samp


def work() -> int:
    names = [field.name for field in pq.read_schema(sys.argv[1]) if pa.types.is_floating(field.type)]
    for name in names:
        columns = (pq.read_table(path, columns=[name])[name].to_numpy() for path in sys.argv[1:])
        ks_2samp(*(values[~np.isnan(values)] for values in columns), method="asymp")
    return len(names)


report(work, {"scipy": scipy.__version__, "numpy": np.__version__})
