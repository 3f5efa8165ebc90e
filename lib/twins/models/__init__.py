"""The twins: one file per model, both halves in it. Importing any of them first readies the BLAS."""

from twins import frameworks as frameworks  # before mlx, so that MLX gets the fast BLAS
