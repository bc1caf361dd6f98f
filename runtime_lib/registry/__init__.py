"""Models: registered versions, the gate in front of `champion`, and the champion's files."""
