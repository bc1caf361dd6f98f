"""Devices: which one computes, whether it computes right, and what fits on it."""
