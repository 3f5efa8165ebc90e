"""Quantized activations, and compressed constants of iOS16 (packed bytes) and iOS18 (typed blocks).

A scale or lookup table covers `data.shape[i] / scale.shape[i]` elements (a block) along dimension i.
"""

import math

import torch

from coreml_runtime.format.dtypes import dtype_named
from coreml_runtime.format.memory import new_tensor
from coreml_runtime.format.package import unpack_bits
from coreml_runtime.operations.registry import Ints, Tensor, operation

PART = 2**15  # elements that are looked up at once


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
    dense = new_tensor(quantized_data.shape).copy_(quantized_data)
    dense.sub_(along_axis(zero_point, quantized_data, axis))
    return dense.mul_(along_axis(scale, quantized_data, axis))


@operation("constexpr_blockwise_shift_scale")
def constexpr_blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None):
    dense = new_tensor(data.shape).copy_(data)
    blocks, small = _blocks(dense, scale.shape)
    if offset is not None and offset.shape == scale.shape:
        blocks.sub_(offset.float().reshape(small))
    elif offset is not None:
        dense.sub_(_repeated(offset, data.shape).float())
    blocks.mul_(scale.reshape(small))
    return dense


def _blocks(dense: Tensor, blocks: Ints) -> tuple[Tensor, list[int]]:
    """A view in which each axis is split into blocks and their elements, and the shape of one value
    per block.
    """
    split, small = [], []
    for size, count in zip(dense.shape, blocks, strict=True):
        split += [count, size // count]
        small += [count, 1]
    return dense.view(split), small


@operation("constexpr_lut_to_dense", arithmetic=False)
def constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Ints | None = None, vector_axis: int | None = None
):
    if shape is None:
        return _looked_up(indices, lut, vector_axis)
    bits = int(math.log2(lut.numel()))
    unpacked = unpack_bits(indices.numpy().reshape(-1), math.prod(shape), bits, signed=False)
    dense = new_tensor(shape, lut.dtype)
    for part, index in zip(dense.view(-1).split(PART), torch.from_numpy(unpacked).split(PART), strict=True):
        torch.index_select(lut, 0, index.int(), out=part)
    return dense


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
    `vector_axis`. Row by row in parts, because the places of all elements need more memory than they do.
    """
    rank, width = indices.dim(), lut.shape[-1]
    flat = lut.reshape(-1, *lut.shape[-2:])
    axis = None if vector_axis is None else vector_axis % rank
    shape = [size * (width if i == axis else 1) for i, size in enumerate(indices.shape)]
    dense = new_tensor(shape, lut.dtype)
    rows = max(1, PART // max(1, indices.numel() // max(1, indices.shape[0])))
    for start in range(0, indices.shape[0], rows):
        part = indices[start : start + rows]
        place = torch.zeros((), dtype=torch.int64)
        for i, size in enumerate(indices.shape):  # the number of the block each element is in
            at = torch.arange(start, start + part.shape[0]) if i == 0 else torch.arange(size)
            block = at // (size // lut.shape[i])
            place = place * lut.shape[i] + block.reshape([-1 if k == i else 1 for k in range(rank)])
        found = flat[place.expand(part.shape), part.to(torch.int64)]
        found = found.squeeze(-1) if width == 1 else found.movedim(-1, axis + 1).flatten(axis, axis + 1)
        first = start * (width if axis == 0 else 1)
        dense[first : first + found.shape[0]] = found
    return dense
