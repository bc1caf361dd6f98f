"""Runtime library of the ML project template.

Sub-packages follow the flow: data → training → registry → serving → monitoring → retraining (pipeline).
Importing this package imports nothing else.
"""

from pathlib import Path

__all__ = ["__version__"]

__version__ = (Path(__file__).parent / "VERSION").read_text(encoding="utf-8").strip()
