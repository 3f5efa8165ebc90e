"""What a step of a route gets, the steps that lead to Core AI, and the check of an asset.

It may import coreml_runtime.verification, mlx_coreml.backends.coreai and mlx_coreml.conversion.
"""
