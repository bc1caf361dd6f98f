"""The doctor: what is installed, reachable, out of date or in conflict."""
