"""Rules for layers: products, convolutions, attention, norms, pooling, recurrent layers, resizing.

It may import mlx_coreml.backends.mil.lowering, mlx_coreml.backends.mil.lowering.arithmetic,
mlx_coreml.backends.mil.lowering.tensors and mlx_coreml.ir.
"""

from mlx_coreml.backends.mil.lowering.layers import (
    attention,
    convolution,
    experts,
    linear,
    normalization,
    pooling,
    products,
    quantized,
    recurrent,
    resizing,
    transforms,
)

__all__ = [
    "attention", "convolution", "experts", "linear", "normalization", "pooling", "products", "quantized",
    "recurrent", "resizing", "transforms",
]  # fmt: skip
