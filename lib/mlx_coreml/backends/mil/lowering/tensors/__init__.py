"""Rules that move, read and write tensors: shapes, padding, indexing, scatter.

It may import mlx_coreml.backends.mil.lowering, mlx_coreml.backends.mil.lowering.arithmetic and
mlx_coreml.ir.
"""

from mlx_coreml.backends.mil.lowering.tensors import indexing, padding, scatter, shape

__all__ = ["indexing", "padding", "scatter", "shape"]
