"""What real machines printed, a folder each; who published it stands in SOURCES.md there, where known."""

from __future__ import annotations

from pathlib import Path

__all__ = ["RECORDED"]

RECORDED = Path(__file__).parents[1] / "hardware" / "recorded"
