"""Pictures of figures as SVG text, for the pages of evaluation and monitoring."""
