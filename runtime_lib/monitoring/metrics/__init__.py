"""What monitoring found, as metrics; and the rules and dashboards that are made of their definitions."""
