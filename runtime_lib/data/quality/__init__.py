"""Rules that a project declares beside its schema, in `quality_rules()` of features.py. Docs: quality.md.

def quality_rules():
    return [Range("distance", least=1, most=6000), NotMissing("seats", max_bad=0.05, action="warn")]
"""

from __future__ import annotations

from runtime_lib.data.quality.month_rules import Freshness, Volume
from runtime_lib.data.quality.row_rules import AllowedValues, NotMissing, Pattern, Range, Unique

__all__ = ["AllowedValues", "Freshness", "NotMissing", "Pattern", "Range", "Unique", "Volume"]
