"""What decides a release: pure statistics and rules. No input or output, no clock, no numpy."""
