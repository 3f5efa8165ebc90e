"""The twins: one file per model, both halves in it; weights between them, and the reader's own pair.

It may import twins.frameworks.
"""

from twins import frameworks as frameworks  # before mlx, so that MLX gets the fast BLAS
