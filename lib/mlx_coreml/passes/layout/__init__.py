"""Passes about shape and layout: channels first, broadcasts, ranks, reshapes.

It may import mlx_coreml.ir, mlx_coreml.passes.fold and mlx_coreml.passes.rewriting.
"""
