"""Twins: the same network in MLX and in PyTorch, shown to be equal, then timed; and exported to Core ML.

Whatever is imported of it first, MLX and torch find the process prepared.
"""

import mlx_startup as mlx_startup  # before mlx and torch: the BLAS, the threads
