"""An audit as JSON, SARIF, HTML, Markdown, a badge, and in the terminal: all made from one document."""
