"""From an MLX callable to a graph: tracing, the state it captures, module paths, stand-ins, releases of MLX.

It may import mlx_coreml.ir.
"""
