"""From a cleaned graph to a Core ML model: the MIL program, its precision, shapes, states and images.

It may import mlx_coreml.backends, mlx_coreml.backends.mil.lowering,
mlx_coreml.backends.mil.lowering.arithmetic, mlx_coreml.backends.mil.lowering.layers,
mlx_coreml.backends.mil.lowering.tensors, mlx_coreml.backends.mil.ranges and mlx_coreml.ir.
"""

import logging

_logger = logging.getLogger("coremltools")
_level = _logger.level
_logger.setLevel(logging.ERROR)  # off macOS its import reports eight times that Core ML is missing
import coremltools  # noqa: E402, F401

_logger.setLevel(_level)
