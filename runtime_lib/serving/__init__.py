"""Serving: the champion behind HTTP, its protocols, its engines, and a client for files."""
