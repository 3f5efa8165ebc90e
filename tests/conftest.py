"""Ready the BLAS before any test imports mlx."""

from twins import frameworks as frameworks
