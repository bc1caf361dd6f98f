"""Training: one small loop over MLX or torch, and weights that both read."""
