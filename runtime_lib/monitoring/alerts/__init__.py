"""Alerts: how the evidence leaves the project."""
