"""Slices by index, by size, and their update. Negative indices count from the end; masks override them."""

import torch

from twins.coreml.reference.registry import Bools, Ints, Tensor, operation


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
