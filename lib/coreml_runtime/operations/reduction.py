"""Reductions over `axes` (all axes if none are given) or one axis; sorting and running sums.

Among equal values the first index is returned.
"""

import torch

from coreml_runtime.operations.registry import Ints, Tensor, operation


def _as_float(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.float()


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):  # torch reduces a product over one axis at a time
        x = x.prod(axis, keepdim=keep)
    return x


REDUCTIONS = {
    "reduce_l1_norm": lambda x, axes, keep: x.abs().sum(axes, keep),
    "reduce_l2_norm": lambda x, axes, keep: _as_float(x).square().sum(axes, keep).sqrt(),
    "reduce_log_sum": lambda x, axes, keep: _as_float(x).sum(axes, keep).log(),
    "reduce_log_sum_exp": lambda x, axes, keep: torch.logsumexp(_as_float(x), axes, keep),
    "reduce_mean": lambda x, axes, keep: _as_float(x).mean(axes, keep),
    "reduce_prod": _product,
    "reduce_sum": lambda x, axes, keep: x.sum(axes, keep),
    "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keep),
    "reduce_max": lambda x, axes, keep: x.amax(axes, keep),
    "reduce_min": lambda x, axes, keep: x.amin(axes, keep),
}
SELECTIONS = ("reduce_max", "reduce_min")  # their results are among their arguments


def _reduction(function):
    def rule(x: Tensor, axes: Ints | None = None, keep_dims: bool = False):
        if x.dim() == 0:
            return function(x.reshape(1), [0], False)
        axes = sorted(axis % x.dim() for axis in axes) if axes else list(range(x.dim()))
        return function(x, axes, keep_dims)

    return rule


for _name, _function in REDUCTIONS.items():
    operation(_name, arithmetic=_name not in SELECTIONS)(_reduction(_function))


@operation("reduce_argmax")
def reduce_argmax(x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32"):
    return torch.argmax(x, axis, keep_dims)


@operation("reduce_argmin")
def reduce_argmin(x: Tensor, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32"):
    return torch.argmin(x, axis, keep_dims)


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
