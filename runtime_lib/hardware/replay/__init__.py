"""Recordings of a machine: made with nothing that names its owner, and replayed."""
