"""Refuses what MLX computes without looking: an index outside of its axis, a view outside of its memory.

MLX does not check indices (https://ml-explore.github.io/mlx/build/html/usage/indexing.html): a changed pass
could read foreign memory and end the process.
"""

import numpy as np

import twins.frameworks  # noqa: F401  (before MLX: the BLAS)

import mlx.core as mx  # isort: skip

FIRST = {
    "getitem": 0,
    "__setitem__": 0,
    "take": 0,
    "take_along_axis": 0,
    "put_along_axis": 0,
    "as_strided": 0,
}


def check(name: str, args: tuple, options: dict) -> None:
    """Refuse an operation of MLX that would read outside of an array. Errors: IndexError."""
    if name not in FIRST or not args or not isinstance(args[0], mx.array):
        return
    array = args[0]
    if name == "as_strided":
        _strided(array, *_named(args, options, ("shape", "strides", "offset")))
    elif name in ("getitem", "__setitem__"):
        _indexed(array, args[1] if isinstance(args[1], tuple) else (args[1],))
    else:
        axis = options.get("axis", args[2] if len(args) > 2 and isinstance(args[2], int) else None)
        size = array.size if axis is None else array.shape[axis]
        _within(args[1] if len(args) > 1 else options.get("indices"), size)


def _named(args: tuple, options: dict, names: tuple[str, ...]) -> tuple:
    return tuple(options.get(name, args[i] if len(args) > i else None) for i, name in enumerate(names, 1))


def _indexed(array: mx.array, index: tuple) -> None:
    """Every number and array of numbers of an index, each with the axis it stands for."""
    taken = sum(_axes(each) for each in index)
    axis = 0
    for each in index:
        if each is Ellipsis:
            axis += array.ndim - taken
        elif each is not None and axis < array.ndim:
            if not isinstance(each, slice):
                _within(each, array.shape[axis])
            axis += _axes(each)


def _axes(each: object) -> int:
    """How many axes a part of an index stands for."""
    if each is None or each is Ellipsis:
        return 0
    return each.ndim if isinstance(each, mx.array) and each.dtype == mx.bool_ else 1


def _within(index: object, size: int) -> None:
    if isinstance(index, mx.array) and (index.dtype == mx.bool_ or index.size == 0):
        return
    if isinstance(index, mx.array):
        found = np.array(index)
        low, high = int(found.min()), int(found.max())
    elif isinstance(index, int):
        low = high = index
    else:
        return
    if low < -size or high >= size:
        raise IndexError(f"an index from {low} to {high} of an axis of {size}")


def _strided(array: mx.array, shape: object, strides: object, offset: object) -> None:
    if shape is None or strides is None:
        return
    if any(n <= 0 for n in shape):
        raise IndexError(f"a view of shape {tuple(shape)}")
    last = (offset or 0) + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if last >= array.size:
        raise IndexError(f"a view that ends at {last} of {array.size} numbers")
