"""Flexible shapes: the sizes at which a model is lowered, and one program for all of them.

It may import mlx_coreml.backends.mil, mlx_coreml.backends.mil.lowering and mlx_coreml.ir.
"""
