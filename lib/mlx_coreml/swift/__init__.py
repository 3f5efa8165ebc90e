"""A Swift package around a converted package or asset: a typed wrapper, a demo and a test.

It may import coreml_runtime, coreml_runtime.format, coreml_runtime.verification, mlx_coreml.backends.coreai,
mlx_coreml.conversion, mlx_coreml.ir and mlx_coreml.verification.
"""
