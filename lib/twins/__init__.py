"""Twins: the same network in MLX and in PyTorch, shown to be equal, then timed; and exported to Core ML."""
