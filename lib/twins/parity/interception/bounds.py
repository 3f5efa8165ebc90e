"""Refuses what MLX computes without looking: an index outside of its axis, a view outside of its memory.

MLX does not check an index (https://ml-explore.github.io/mlx/build/html/usage/indexing.html): a label of
-100, or one equal to the number of classes, reads beyond an array or ends the process.
"""

from collections.abc import Callable

import numpy as np

from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)

BEGINS = "index "  # the message of an IndexOutOfRangeError
FLAT = ("take", "take_along_axis", "put_along_axis")  # of the whole array without an axis
INDEXED = ("getitem", "__getitem__", "__setitem__")


class IndexOutOfRangeError(IndexError):
    """An array is indexed outside of its range; the message gives the value, its position and the range."""


def check(name: str, args: tuple, options: dict) -> None:
    """Refuse an operation of MLX that would read or write outside of an array. Errors: IndexError."""
    rule = RULES.get(name)
    if rule and args and isinstance(args[0], mx.array):
        rule(*args, **options)


def within(indices: np.ndarray, size: int, least: int) -> None:
    """Errors: IndexOutOfRangeError for the first index below `least` or not below `size`."""
    wrong = np.argwhere((indices < least) | (indices >= size))
    if len(wrong):
        position = [int(i) for i in wrong[0]]
        place = f"at {position} of the array of indices, " if position else ""
        value = int(indices[tuple(position)])
        raise IndexOutOfRangeError(f"{BEGINS}{value}, {place}is outside of {least} to {size - 1}")


def _within(index: object, size: int) -> None:
    """Checks numbers and arrays of them; what is not known while tracing is left alone."""
    if isinstance(index, int) and not isinstance(index, bool):
        within(np.array(index), size, -size)
    if isinstance(index, mx.array) and mx.issubdtype(index.dtype, mx.integer):
        try:
            numbers = np.array(index)
        except ValueError:  # "Attempting to eval an array during function transformations"
            return
        within(numbers.astype(np.int64), size, -size)


def _indexed(array: mx.array, index: object, *_: object) -> None:
    """Every number and array of numbers of an index, each with the axis it stands for."""
    parts = index if isinstance(index, tuple) else (index,)
    taken, axis = sum(map(_axes, parts)), 0
    for each in parts:
        if each is Ellipsis:
            axis += array.ndim - taken
        elif each is not None and axis < array.ndim:
            _within(each, array.shape[axis])
            axis += _axes(each)


def _axes(each: object) -> int:
    """How many axes a part of an index stands for."""
    if each is None or each is Ellipsis:
        return 0
    return each.ndim if isinstance(each, mx.array) and each.dtype == mx.bool_ else 1


def _along(array: mx.array, indices: object = None, *more: object, axis: int | None = None, **_) -> None:
    """Indices along an axis, which may come last among the arguments; of all numbers without one."""
    axis = next((each for each in reversed(more) if isinstance(each, int)), axis)
    _within(indices, array.size if axis is None else array.shape[axis])


def _labels(scores: mx.array, labels: object = None, *_: object, **__: object) -> None:
    """Labels of a loss that MLX computes in one kernel on an Apple GPU."""
    _within(labels, scores.shape[-1])


def _strided(
    array: mx.array,
    shape: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
    offset: int = 0,
    **_: object,
) -> None:
    if shape is None or strides is None:
        return
    if any(n <= 0 for n in shape):
        raise IndexError(f"a view of shape {tuple(shape)}")
    last = (offset or 0) + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if last >= array.size:
        raise IndexError(f"a view that ends at {last} of {array.size} numbers")


RULES: dict[str, Callable] = {
    **dict.fromkeys(INDEXED, _indexed),
    **dict.fromkeys(FLAT, _along),
    "as_strided": _strided,
    "cross_entropy": _labels,
}
