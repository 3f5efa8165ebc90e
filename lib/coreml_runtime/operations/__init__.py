"""The MIL operations computed with torch, one file per family; a new operation goes into the file of its family.

It may import coreml_runtime.format.
"""

from coreml_runtime.operations import (
    activation,
    construction,
    convolution,
    detection,
    elementwise,
    image,
    indexing,
    linear,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    shape,
)

__all__ = [
    "activation",
    "construction",
    "convolution",
    "detection",
    "elementwise",
    "image",
    "indexing",
    "linear",
    "normalization",
    "pooling",
    "quantization",
    "recurrent",
    "reduction",
    "shape",
]
