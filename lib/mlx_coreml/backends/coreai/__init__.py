"""From a cleaned graph to a Core AI asset: the program, its ends, the asset, and Core AI's interpreter.

It may import mlx_coreml.backends, mlx_coreml.backends.coreai.lowering and mlx_coreml.ir.
"""
