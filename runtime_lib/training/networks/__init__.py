"""Networks, one file each, with a torch and an MLX twin of equal parameter names.

A file here, or one of the project's own package, offers two functions of the same options,
`torch_network(**options)` and `mlx_network(**options)`: both map `(n, inputs)` float32 to `(n, outputs)`,
what the task's loss takes (for a probability its log-odds), and their parameters have the same names, shapes
and axis order, so that one safetensors file fits both. Frameworks are imported inside the functions: each
works without the other.
"""
