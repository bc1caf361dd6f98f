"""The task: what is predicted, how it is judged, and what a prediction is compared with."""
