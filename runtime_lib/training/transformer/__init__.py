"""A pretrained transformer reads text: where its files are, what is built of them, and its embedding."""
