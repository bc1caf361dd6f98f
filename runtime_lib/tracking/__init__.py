"""Runs: a local record of each training, delivered to MLflow by the `register` stage."""
