"""Gather, scatter and slices. Negative indices count from the end.

`validate_indices` refuses negative indices and those past the end; masks override the bounds of slices.
Since iOS17 MIL leaves out-of-bound indices, negative ones included, undefined unless validated. Gathering
then still counts from the end, as coremltools does when it folds constants; scattering drops the update, as
Apple's tests expect.
"""

from collections.abc import Callable

import numpy as np
import torch

from coreml_runtime.operations.registry import Bools, Ints, Tensor, operation

COMBINE: dict[str, Callable] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


@operation("gather", arithmetic=False)
def gather(x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False):
    if x.dim() == 0:
        return x.expand(indices.shape)
    axis %= x.dim()
    indices = _wrapped(indices, x.shape[axis], validate_indices)
    if batch_dims == 0:
        y = x.index_select(axis, indices.reshape(-1))
        return y.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])
    rows, index_rows = x.flatten(0, batch_dims - 1), indices.flatten(0, batch_dims - 1)
    y = torch.stack([gather(r, i, axis - batch_dims) for r, i in zip(rows, index_rows, strict=True)])
    return y.reshape(x.shape[:batch_dims] + y.shape[1:])


@operation("gather_along_axis", arithmetic=False)
def gather_along_axis(x: Tensor, indices: Tensor, axis: int = 0, validate_indices: bool = False):
    return torch.gather(x, axis, _wrapped(indices, x.shape[axis], validate_indices))


@operation("gather_nd", arithmetic=False)
def gather_nd(x: Tensor, indices: Tensor, batch_dims: int = 0, validate_indices: bool = False):
    if batch_dims == 0:
        return x[_coordinates(x, indices, validate_indices)]
    rows, index_rows = x.flatten(0, batch_dims - 1), indices.flatten(0, batch_dims - 1)
    pairs = zip(rows, index_rows, strict=True)
    y = torch.stack([row[_coordinates(row, index, validate_indices)] for row, index in pairs])
    return y.reshape(x.shape[:batch_dims] + y.shape[1:])


@operation("scatter")
def scatter(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
    *,
    opset: int,
):
    axis %= data.dim()
    index = _wrapped(indices, data.shape[axis], validate_indices, opset)
    result = _combined(data.movedim(axis, 0), (index,), _rows_first(updates, indices, axis), mode)
    return result.movedim(0, axis)


@operation("scatter_along_axis")
def scatter_along_axis(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
    *,
    opset: int,
):
    index = list(torch.meshgrid(*[torch.arange(size) for size in indices.shape], indexing="ij"))
    index[axis] = _wrapped(indices, data.shape[axis], validate_indices, opset)
    return _combined(data, tuple(index), updates, mode)


@operation("scatter_nd")
def scatter_nd(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    mode: str = "add",
    validate_indices: bool = False,
    *,
    opset: int,
):
    return _combined(data, _coordinates(data, indices, validate_indices, opset), updates, mode)


def _wrapped(indices: Tensor, size: int, validate: bool, opset: int = 15) -> Tensor:
    """Indices from 0 to size - 1, and -1 for an update that is dropped."""
    indices = indices.to(torch.int64)
    outside = (indices < 0) | (indices >= size)
    if validate and outside.any():
        raise IndexError(f"indices from {indices.min()} to {indices.max()} must be in 0 to {size - 1}")
    if opset >= 17:
        return torch.where(outside, -1, indices)
    return torch.where(indices < 0, indices + size, indices)


def _coordinates(x: Tensor, indices: Tensor, validate: bool, opset: int = 15) -> tuple[Tensor, ...]:
    """The last axis of `indices` as one index tensor per leading dimension of x."""
    return tuple(_wrapped(part, x.shape[i], validate, opset) for i, part in enumerate(indices.unbind(-1)))


def _rows_first(updates: Tensor, indices: Tensor, axis: int) -> Tensor:
    """Updates with the dimensions of `indices` in front: they replace the axis `indices` point into."""
    rank = indices.dim()
    return updates.movedim(tuple(range(axis, axis + rank)), tuple(range(rank)))


def _combined(data: Tensor, index: tuple[Tensor, ...], updates: Tensor, mode: str) -> Tensor:
    """A copy of `data` with `updates` combined in, all of them where an index repeats."""
    inside = torch.stack(torch.broadcast_tensors(*index)).ge(0).all(dim=0)
    result, values = data.numpy().copy(), updates[inside].numpy()
    index = tuple(part[inside].numpy() for part in index)
    if mode == "update":
        result[index] = values
    elif mode == "div":
        (np.true_divide if data.is_floating_point() else np.floor_divide).at(result, index, values)
    else:
        COMBINE[mode].at(result, index, values)
    return torch.from_numpy(result)


@operation("slice_by_index", arithmetic=False)
def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Bools | None = None,
    end_mask: Bools | None = None,
    squeeze_mask: Bools | None = None,
):
    index = slices(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    if all(isinstance(part, int) or part.step > 0 for part in index):
        return x[index]
    for axis in reversed(range(x.dim())):  # torch has no negative steps
        x = _take(x, axis, index[axis])
    return x


@operation("slice_by_size", arithmetic=False)
def slice_by_size(x: Tensor, begin: Ints, size: Ints):
    for axis, (start, count) in enumerate(zip(begin, size, strict=True)):
        start %= max(1, x.shape[axis])
        x = x.narrow(axis, start, x.shape[axis] - start if count == -1 else count)
    return x


@operation("slice_update", arithmetic=False)
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Bools | None = None,
    end_mask: Bools | None = None,
    squeeze_mask: Bools | None = None,
):
    result = x.clone()
    index = slices(x, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    target = result.numpy()  # NumPy views may have negative steps
    target[index] = update.numpy().reshape(target[index].shape)
    return result


def slices(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None,
    begin_mask: Bools | None,
    end_mask: Bools | None,
    squeeze_mask: Bools | None,
) -> tuple[slice | int, ...]:
    """One slice per dimension of x; an integer where the dimension is squeezed away."""
    rank = x.dim()
    stride = stride or (1,) * rank
    begin_mask, end_mask, squeeze_mask = (m or (False,) * rank for m in (begin_mask, end_mask, squeeze_mask))
    index: list[slice | int] = []
    for axis in range(rank):
        if squeeze_mask[axis]:
            index.append(0 if begin_mask[axis] else begin[axis])
            continue
        start = None if begin_mask[axis] else begin[axis]
        stop = None if end_mask[axis] else end[axis]
        index.append(slice(start, stop, stride[axis]))
    return tuple(index)


def _take(x: Tensor, axis: int, part: slice | int) -> Tensor:
    if isinstance(part, int):
        return x.select(axis, part)
    return x.index_select(axis, torch.tensor(range(*part.indices(x.shape[axis])), dtype=torch.int64))
