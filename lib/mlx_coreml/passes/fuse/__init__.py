"""Passes that fuse primitives into one operation: linear, BatchNorm, attention, norms, pooling.

It may import mlx_coreml.ir, mlx_coreml.passes.layout and mlx_coreml.passes.rewriting.
"""
