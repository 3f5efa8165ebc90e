"""Values of a Core AI program as rules see them: computed ones, and constants as NumPy arrays.

Only what `coreai.authoring` lists in `__all__` is used; the rest of the package is unversioned. Its
operations take arrays in place of values, so a constant stays an array, which rules can read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import coreai.authoring as ca
import numpy as np

Value = ca.Value | np.ndarray
_NAMES = ("float16", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
TYPES = {getattr(ca, name): np.dtype(name) for name in _NAMES} | {ca.bool_: np.dtype(bool)}


def is_constant(x: Value) -> bool:
    """Whether the numbers are known when the program is built."""
    return isinstance(x, np.ndarray | np.generic)


def shape(x: Value) -> tuple[int, ...]:
    """The sizes of the axes."""
    return tuple(x.shape if is_constant(x) else x.type.shape)


def dtype(x: Value) -> np.dtype:
    """The type of the elements."""
    return np.dtype(x.dtype) if is_constant(x) else TYPES[x.type.dtype]


def is_float(x: Value) -> bool:
    """Whether the elements are floating-point numbers."""
    return dtype(x).kind == "f"


def computed(x: Value) -> ca.Value:
    """A value of the program; a constant becomes one by an operation that changes nothing."""
    return ca.reshape(x, _ints(shape(x))) if is_constant(x) else x


def number(like: Value, value: Any) -> np.ndarray:
    """A number, or several, in the type of a value."""
    return np.array(value, dtype(like))


def cast(x: Value, wanted: Any) -> Value:
    """The elements in another type."""
    wanted = np.dtype(wanted)
    if dtype(x) == wanted:
        return x
    return x.astype(wanted) if is_constant(x) else ca.cast(x, wanted.type)


def reshape(x: Value, sizes: Sequence[int]) -> Value:
    """The elements in order with other sizes of axes, none of them -1."""
    sizes = tuple(int(size) for size in sizes)
    if shape(x) == sizes:
        return x
    return x.reshape(sizes) if is_constant(x) else ca.reshape(x, _ints(sizes))


def transpose(x: Value, order: Sequence[int]) -> Value:
    """The axes in another order."""
    order = [int(axis) for axis in order]
    if order == sorted(order):
        return x
    return np.ascontiguousarray(x.transpose(order)) if is_constant(x) else ca.transpose(x, sizes_of(order))


def swap_last(x: Value) -> Value:
    """The last two axes exchanged."""
    rank = len(shape(x))
    return transpose(x, [*range(rank - 2), rank - 1, rank - 2])


def broadcast(x: Value, sizes: Sequence[int]) -> Value:
    """NumPy's broadcasting to the given sizes."""
    if shape(x) == tuple(sizes):
        return x
    if is_constant(x):
        return np.ascontiguousarray(np.broadcast_to(x, sizes))
    return ca.broadcast_to(x, _ints(sizes))


def part(x: Value, places: Sequence[range]) -> Value:
    """The elements at regular places of every axis, backwards where a step is negative."""
    if all(each == range(size) for each, size in zip(places, shape(x), strict=True)):
        return x
    if is_constant(x):
        return np.ascontiguousarray(x[np.ix_(*[np.array(each, int) for each in places])])
    return turned(ca.slice_(x, *bounds(places)), places)


def bounds(places: Sequence[range]) -> list[np.ndarray]:
    """Starts, ends and strides of places, in ascending order: the interpreter takes no negative stride."""
    ahead = [each if each.step > 0 else each[::-1] for each in places]
    return [_ints([getattr(each, name) for each in ahead]) for name in ("start", "stop", "step")]


def turned(x: Value, places: Sequence[range]) -> Value:
    """The axes whose places have a negative step, in reverse."""
    axes = [axis for axis, each in enumerate(places) if each.step < 0]
    if is_constant(x):
        return np.flip(x, axes)
    return ca.reverse(x, _ints(axes)) if axes else x


def concat(parts: Sequence[Value], axis: int) -> Value:
    """The parts one after the other along an axis; those without elements are left out."""
    full = [each for each in parts if 0 not in shape(each)] or [parts[0]]
    if len(full) == 1:
        return full[0]
    if all(map(is_constant, full)):
        return np.concatenate(full, axis)
    return ca.concat(np.int32(axis % len(shape(full[0]))), [computed(each) for each in full])


def axes_of(axes: Sequence[int], x: Value) -> np.ndarray:
    """Axes as operations take them, counted from the first."""
    rank = len(shape(x))
    return _ints([axis % rank for axis in axes])


def sizes_of(values: Sequence[int]) -> np.ndarray:
    """Sizes, strides, widths and orders of axes as operations take them."""
    return np.array(values, np.uint32)


def _ints(values: Sequence[int]) -> np.ndarray:
    return np.array(values, np.int32).reshape(-1)
