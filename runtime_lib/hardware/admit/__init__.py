"""Admission: whether work may start on this machine now."""
