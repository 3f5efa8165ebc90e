"""Operations that move values without changing them: reshape, transpose, concat, tile, pad, blocks."""

import math

import torch
import torch.nn.functional as F

from coreml_runtime.operations.convolution_pooling import last_axis_first
from coreml_runtime.operations.registry import Ints, Tensor, Tensors, operation


@operation("reshape", arithmetic=False)
def reshape(x: Tensor, shape: Ints, opset: int):
    # 0 copies a dimension: the same index before iOS17, the same index from the right since.
    shift = x.dim() - len(shape) if opset >= 17 else 0
    sizes = [_copied(x, i + shift) if size == 0 and x.numel() else size for i, size in enumerate(shape)]
    return x.reshape(sizes)


def _copied(x: Tensor, axis: int) -> int:
    return x.shape[axis] if 0 <= axis < x.dim() else 1


@operation("reshape_like", arithmetic=False)
def reshape_like(x: Tensor, ref_tensors: Tensors, begins: Tensors, ends: Tensors, end_masks: Tensors):
    sizes: list[int] = []
    for tensor, begin, end, mask in zip(ref_tensors, begins, ends, end_masks, strict=True):
        sizes += tensor.shape[int(begin) : None if bool(mask) else int(end)]
    return x.reshape(sizes)


@operation("expand_dims", arithmetic=False)
def expand_dims(x: Tensor, axes: Ints):
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@operation("squeeze", arithmetic=False)
def squeeze(x: Tensor, axes: Ints | None = None):
    return x.squeeze(axes) if axes else x.squeeze()


@operation("transpose", arithmetic=False)
def transpose(x: Tensor, perm: Ints):
    return x.permute(perm)


@operation("flatten2d", arithmetic=False)
def flatten2d(x: Tensor, axis: int = 1):
    rows = math.prod(x.shape[:axis])
    return x.reshape(rows, x.numel() // rows if rows else math.prod(x.shape[axis:]))


@operation("identity", arithmetic=False)
def identity(x: Tensor):
    return x


@operation("concat", arithmetic=False)
def concat(values: Tensors, axis: int, interleave: bool = False):
    values = [value.reshape(1) if value.dim() == 0 else value for value in values]
    if not interleave:
        return torch.cat(values, axis)
    axis %= values[0].dim()
    return torch.stack(values, axis + 1).flatten(axis, axis + 1)


@operation("stack", arithmetic=False)
def stack(values: Tensors, axis: int):
    return torch.stack(values, axis)


@operation("split", arithmetic=False)
def split(x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None):
    sizes = split_sizes or (x.shape[axis] // num_splits,) * num_splits
    return torch.split(x, sizes, axis)


@operation("tile", arithmetic=False)
def tile(x: Tensor, reps: Ints):
    return x.repeat(reps)


@operation("reverse", arithmetic=False)
def reverse(x: Tensor, axes: Ints | None = None):
    return torch.flip(x, axes or tuple(range(x.dim())))


@operation("reverse_sequence", arithmetic=False)
def reverse_sequence(x: Tensor, lengths: Ints, seq_axis: int = 0, batch_axis: int = 0):
    rows = x.movedim((batch_axis, seq_axis), (0, 1)).clone()
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = row[:length].flip(0)
    return rows.movedim((0, 1), (batch_axis, seq_axis))


@operation("pad", arithmetic=False)
def pad(x: Tensor, pad: Ints, mode: str = "constant", constant_val: float = 0.0):
    if mode == "constant":
        return F.pad(x, last_axis_first(pad), value=constant_val)
    first = x.dim() - len(pad) // 2  # `pad` is about the last dimensions
    for i in range(len(pad) // 2):
        size = x.shape[first + i]
        index = torch.arange(-pad[2 * i], size + pad[2 * i + 1])
        index = index.clamp(0, size - 1) if mode == "replicate" else _reflected(index, size)
        x = x.index_select(first + i, index)
    return x


def _reflected(index: Tensor, size: int) -> Tensor:
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)


@operation("sliding_windows", arithmetic=False)
def sliding_windows(x: Tensor, axis: int, size: int, stride: int = 1):
    axis %= x.dim()
    return x.unfold(axis, size, stride).movedim(-1, axis + 1)


@operation("depth_to_space", arithmetic=False)
def depth_to_space(x: Tensor, block_size: int):
    n, c, h, w = x.shape
    b = block_size
    y = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, c // (b * b), h * b, w * b)


@operation("space_to_depth", arithmetic=False)
def space_to_depth(x: Tensor, block_size: int):
    n, c, h, w = x.shape
    b = block_size
    y = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * b * b, h // b, w // b)


@operation("pixel_shuffle", arithmetic=False)
def pixel_shuffle(x: Tensor, upscale_factor: int):
    return F.pixel_shuffle(x, upscale_factor)


@operation("pixel_unshuffle", arithmetic=False)
def pixel_unshuffle(x: Tensor, downscale_factor: int):
    return F.pixel_unshuffle(x, downscale_factor)


@operation("space_to_batch", arithmetic=False)
def space_to_batch(x: Tensor, block_shape: Ints, paddings: Ints):
    x = F.pad(x, last_axis_first(paddings))
    n, c, h, w = x.shape
    p, q = block_shape
    y = x.reshape(n, c, h // p, p, w // q, q).permute(3, 5, 0, 1, 2, 4)
    return y.reshape(n * p * q, c, h // p, w // q)


@operation("batch_to_space", arithmetic=False)
def batch_to_space(x: Tensor, block_shape: Ints, crops: Ints):
    n, c, h, w = x.shape
    p, q = block_shape
    n //= p * q
    y = x.reshape(p, q, n, c, h, w).permute(2, 3, 4, 0, 5, 1).reshape(n, c, h * p, w * q)
    top, bottom, left, right = crops
    return y[:, :, top : h * p - bottom, left : w * q - right]
