"""Sharing a machine: leases of memory and GPU between the projects on it."""
