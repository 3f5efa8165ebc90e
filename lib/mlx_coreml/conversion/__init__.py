"""`convert`, and the check of what it made against MLX.

It may import coreml_runtime, coreml_runtime.execution, coreml_runtime.verification,
mlx_coreml.backends.coreai, mlx_coreml.backends.mil, mlx_coreml.backends.mil.flexible,
mlx_coreml.backends.mil.lowering, mlx_coreml.capture, mlx_coreml.ir and mlx_coreml.passes.
"""
