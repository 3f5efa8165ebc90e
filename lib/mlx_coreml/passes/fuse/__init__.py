"""Passes that fuse primitives into one operation: linear, convolution, BatchNorm, attention, norms, pooling and others.

It may import mlx_coreml.ir, mlx_coreml.passes.layout and mlx_coreml.passes.rewriting.
"""
