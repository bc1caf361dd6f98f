"""Engines that run the HTTP application: one process, or Ray Serve."""
