"""The rules that lower one node of the graph to MIL, by kind of node, in the three folders inside.

It may import mlx_coreml.ir.
"""
