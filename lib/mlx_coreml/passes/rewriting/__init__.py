"""How passes are written: rules that rewrite a graph, and patterns of nodes.

It may import mlx_coreml.ir.
"""
