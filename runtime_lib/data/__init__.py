"""Data: versions (DVC), periods, validation, splits, and the columns a model takes."""
