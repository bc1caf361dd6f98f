"""Recordings of a machine: made by `mlops hardware record`, with nothing that names its owner."""
