"""One model in three runtimes: MLX, Core ML's reference runtime, Core AI's interpreter.

It may import coreml_runtime.execution, coreml_runtime.verification, mlx_coreml.backends.coreai,
mlx_coreml.capture, mlx_coreml.conversion and mlx_coreml.ir.
"""
