"""`stored PROFILE TABLE`: by a stored profile; `files REFERENCE TABLE`; `store TABLE PROFILE` writes one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import scipy.special  # noqa: F401
from measured import report

from runtime_lib.monitoring.drift import Reference, drift
from runtime_lib.monitoring.drift.files import compare_files
from runtime_lib.profiles.stored import from_dict, to_dict
from runtime_lib.profiles.table import TableProfile, profile_parquet

word, first, second = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])


def stored() -> int:
    columns = {name: from_dict(about) for name, about in json.loads(first.read_text()).items()}
    reference = Reference(TableProfile(columns))
    return sum(
        column.drifted for column in drift(reference, [profile_parquet(second, like=reference.profile)])
    )


def files() -> int:
    return sum(column.drifted for column in compare_files(first, second).columns)


def store() -> int:
    columns = profile_parquet(first).columns
    return second.write_text(json.dumps({name: to_dict(column) for name, column in columns.items()}))


report(
    {"stored": stored, "files": files, "store": store}[word],
    {"numpy": np.__version__, "pyarrow": pa.__version__},
)
