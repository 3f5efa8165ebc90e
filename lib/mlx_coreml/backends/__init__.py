"""The formats that a cleaned graph is lowered to, one folder each, and what both refuse in the same words.

It may import mlx_coreml.ir.
"""
