"""The rules that lower one node of the graph to MIL, by kind of node, in the three folders inside.

It may import mlx_coreml.backends.mil.ranges and mlx_coreml.ir.
"""
