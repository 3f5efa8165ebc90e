"""From a cleaned graph to a Core ML model: the MIL program, its precision, shapes, states and images.

It may import coreml_runtime.format, mlx_coreml.backends, mlx_coreml.backends.mil.lowering,
mlx_coreml.backends.mil.lowering.arithmetic, mlx_coreml.backends.mil.lowering.layers,
mlx_coreml.backends.mil.lowering.tensors, mlx_coreml.backends.mil.ranges and mlx_coreml.ir.
"""

from coreml_runtime.format.specification import coremltools

coremltools()  # quietly, before any module of this room imports it
