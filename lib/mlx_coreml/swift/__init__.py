"""A Swift package around a converted package: a typed wrapper, a demo and a test.

It may import coreml_runtime, coreml_runtime.format, coreml_runtime.verification and mlx_coreml.ir.
"""
