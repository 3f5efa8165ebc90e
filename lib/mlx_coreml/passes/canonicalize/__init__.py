"""Passes that bring a graph to fewer forms: duplicates, gathers, quantized weights, rotary embedding, complex numbers.

It may import mlx_coreml.ir and mlx_coreml.passes.rewriting.
"""
