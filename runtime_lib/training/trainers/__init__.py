"""Trainers, one file each: what fits a model, and the `Fitted` that it gives (`training/trainer.py`)."""
