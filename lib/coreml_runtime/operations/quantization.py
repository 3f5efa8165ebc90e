"""Quantized activations, and compressed constants of iOS16 (packed bytes) and iOS18 (typed blocks).

A scale or lookup table covers `data.shape[i] / scale.shape[i]` elements (a block) along dimension i.
"""

import math

import torch

from coreml_runtime.format.dtypes import dtype_named
from coreml_runtime.format.package import unpack_bits
from coreml_runtime.operations.registry import Ints, Tensor, operation


@operation("quantize")
def quantize(
    input: Tensor, scale: Tensor, output_dtype: str, zero_point: Tensor | None = None, axis: int | None = None
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


@operation("constexpr_cast")
def constexpr_cast(source_val: Tensor, output_dtype: str):
    return source_val.to(dtype_named(output_dtype).carrier)


@operation("constexpr_affine_dequantize")
def constexpr_affine_dequantize(quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: int):
    shifted = quantized_data.float() - along_axis(zero_point, quantized_data, axis)
    return along_axis(scale, quantized_data, axis) * shifted


@operation("constexpr_blockwise_shift_scale")
def constexpr_blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None):
    shifted = data.float()
    if offset is not None:
        shifted = shifted - _repeated(offset, data.shape).float()
    return _repeated(scale, data.shape) * shifted


@operation("constexpr_lut_to_dense", arithmetic=False)
def constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Ints | None = None, vector_axis: int | None = None
):
    if shape is None:
        return _looked_up(indices, lut, vector_axis)
    bits = int(math.log2(lut.numel()))
    unpacked = unpack_bits(indices.numpy().reshape(-1), math.prod(shape), bits, signed=False)
    return lut[torch.from_numpy(unpacked).to(torch.int64)].reshape(shape)


@operation("constexpr_sparse_to_dense", arithmetic=False)
def constexpr_sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Ints | None = None):
    if shape is not None:
        bits = unpack_bits(mask.numpy().reshape(-1), math.prod(shape), 1, signed=False)
        mask = torch.from_numpy(bits).reshape(shape)
    return _dense(mask, nonzero_data)


@operation("constexpr_lut_to_sparse", arithmetic=False)
def constexpr_lut_to_sparse(
    indices_mask: Tensor, indices_nonzero_data: Tensor, lut: Tensor, vector_axis: int | None = None
):
    dense = _looked_up(_dense(indices_mask, indices_nonzero_data), lut, vector_axis)
    width = lut.shape[-1]
    mask = indices_mask if width == 1 else indices_mask.repeat_interleave(width, dim=vector_axis)
    return mask, dense[mask != 0]


@operation("constexpr_sparse_blockwise_shift_scale")
def constexpr_sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
):
    dense = constexpr_blockwise_shift_scale(_dense(data_mask, nonzero_data), scale, offset)
    return data_mask, dense[data_mask != 0]


def _repeated(blocks: Tensor, shape: Ints) -> Tensor:
    """One value per block, repeated to one per element."""
    for axis, size in enumerate(shape):
        if blocks.shape[axis] not in (1, size):
            blocks = blocks.repeat_interleave(size // blocks.shape[axis], dim=axis)
    return blocks


def _dense(mask: Tensor, nonzero: Tensor) -> Tensor:
    dense = torch.zeros(mask.shape, dtype=nonzero.dtype)
    dense[mask != 0] = nonzero
    return dense


def _looked_up(indices: Tensor, lut: Tensor, vector_axis: int | None) -> Tensor:
    """Entries of the tables `lut` (blocks..., palettes, width); a vector of width > 1 unfolds along
    `vector_axis`.
    """
    rank = indices.dim()
    place = torch.zeros((), dtype=torch.int64)
    for axis, size in enumerate(indices.shape):  # the number of the block each element is in
        block = torch.arange(size) // (size // lut.shape[axis])
        place = place * lut.shape[axis] + block.reshape([-1 if i == axis else 1 for i in range(rank)])
    found = lut.reshape(-1, *lut.shape[-2:])[place.expand(indices.shape), indices.to(torch.int64)]
    if lut.shape[-1] == 1:
        return found.squeeze(-1)
    vector_axis %= rank
    return found.movedim(-1, vector_axis + 1).flatten(vector_axis, vector_axis + 1)
