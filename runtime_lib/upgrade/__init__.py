"""Upgrade: what is installed and out of date."""
