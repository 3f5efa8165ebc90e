"""Language models of mlx-lm as stateful Core ML packages: caches, both functions, generation, the check.

It may import coreml_runtime, coreml_runtime.format, mlx_coreml.conversion, mlx_coreml.ir and
mlx_coreml.swift.
"""
