"""Sorting and running sums. Among equal values the first index wins."""

import torch

from twins.coreml.reference.registry import Tensor, operation


@operation("topk", arithmetic=False)
def topk(
    x: Tensor,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
):
    k = x.shape[axis] if k == -1 else k
    values, indices = torch.sort(x, dim=axis, descending=not ascending, stable=True)
    values, indices = values.narrow(axis, 0, k), indices.narrow(axis, 0, k)
    return (values, indices) if return_indices else values


@operation("argsort")
def argsort(x: Tensor, axis: int = -1, ascending: bool = False):
    return torch.argsort(x, dim=axis, descending=not ascending, stable=True)


@operation("cumsum")
def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False):
    x = x.flip(axis) if reverse else x
    y = torch.cumsum(x, axis)
    y = y - x if exclusive else y
    return y.flip(axis) if reverse else y
