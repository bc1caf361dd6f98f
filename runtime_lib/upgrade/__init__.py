"""Upgrade: bring a project to another version of the template and the library."""
