"""Energy: what a run used, measured or estimated, and what it cost."""
