"""Watch a served model: drift of its inputs and outputs, its performance, alerts and a report."""
