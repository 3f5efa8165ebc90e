"""Passes that compute what depends on constants alone, with MLX's own arithmetic.

It may import mlx_coreml.ir and mlx_coreml.passes.rewriting.
"""
