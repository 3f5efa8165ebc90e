"""Quantised activations: `clip(round(input / scale) + zero_point)` and `scale * (input - zero_point)`."""

import torch

from twins.coreml.reference.dtypes import dtype_named
from twins.coreml.reference.registry import Tensor, operation


@operation("quantize")
def quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: int | None = None,
):
    limits = torch.iinfo(dtype_named(output_dtype).carrier)
    levels = torch.round(input / along_axis(scale, input, axis))
    levels = levels if zero_point is None else levels + along_axis(zero_point, input, axis)
    return torch.clamp(levels, limits.min, limits.max)


@operation("dequantize")
def dequantize(input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: int | None = None):
    levels = input.float()
    levels = levels if zero_point is None else levels - along_axis(zero_point, input, axis)
    return along_axis(scale, input, axis) * levels


def along_axis(values: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """A scalar as it is; one value per index of `axis` shaped to broadcast with x. Both as float32."""
    if values.dim() == 0:
        return values.float()
    return values.float().reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])
