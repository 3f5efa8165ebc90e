"""Passes that bring a graph to fewer forms: duplicates, gathers, quantized weights, rotary embedding.

It may import mlx_coreml.ir and mlx_coreml.passes.rewriting.
"""
