"""The rules that lower one node of the graph to Core AI, by kind of node, and what does not move over.

It may import mlx_coreml.capture, mlx_coreml.ir and mlx_coreml.passes.fuse.
"""
