"""An audit as text: JSON, SARIF, HTML, Markdown, a badge; and in the terminal. All are made from one document."""
