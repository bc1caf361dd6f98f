"""Has a column changed since training? Live windows against a reference, by profiles alone.

reference   what a model's profile says of its columns and answers
compare     one column in one window: effects, tests, and what has changed in words
decide      which changes count: rows, effect, what is typical, q across columns, windows that agree
column      what was found of a column
files       two files as reference and one window
together    two files told apart by a classifier, on a sample of their rows
"""

from __future__ import annotations

from runtime_lib.monitoring.drift.column import ColumnDrift, Evidence, WindowDrift
from runtime_lib.monitoring.drift.compare import Cell, RateChange
from runtime_lib.monitoring.drift.decide import drift
from runtime_lib.monitoring.drift.reference import PREDICTION, Reference, read_reference

__all__ = [
    "PREDICTION",
    "Cell",
    "ColumnDrift",
    "Evidence",
    "RateChange",
    "Reference",
    "WindowDrift",
    "drift",
    "read_reference",
]
