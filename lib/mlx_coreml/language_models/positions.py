"""Positions of tokens as an input of the model: what mlx-lm's code does with a cache's offset, traced.

mlx-lm's models read `cache.offset` as a number. Here it is a `Position`: an array that remembers which number
was added to it, so that `mx.arange(offset, offset + n)` has a length that is known.
https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/models/base.py
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest import mock

import mlx.core as mx
import numpy as np


class Position(mx.array):
    """The scalar array `base + shift`. It counts as true, because it may be any number."""

    def __init__(self, base: mx.array, shift: int = 0):
        super().__init__(base + shift if shift else base)
        self.base, self.shift = base, shift

    def __bool__(self) -> bool:
        return True

    def __add__(self, other: Any) -> mx.array:
        return Position(self.base, self.shift + other) if type(other) is int else super().__add__(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> mx.array:
        return Position(self.base, self.shift - other) if type(other) is int else super().__sub__(other)

    def __index__(self) -> int:
        raise ValueError("[eval] a position is not known during function transformations")

    __int__ = __index__


class Rows(mx.array):
    """All slots of a cache, whose length a model reads as the position where its tokens end."""

    def __init__(self, slots: mx.array, end: Position):
        super().__init__(slots)
        self.end = end

    @property
    def shape(self) -> tuple:
        """The shape with the end on the axis of the slots, which is the last but one."""
        *heads, _, size = super().shape
        return (*heads, self.end, size)


@contextmanager
def positions_are_arrays(slots: int) -> Iterator[None]:
    """Lets ranges and slices begin and end at a Position; a range from 0 to one is over all `slots`."""
    with ExitStack() as stack:
        for module in (mx, np):
            made = partial(_range, module.arange, slots)
            stack.enter_context(mock.patch.object(module, "arange", made))
        read = partial(_item, mx.array.__getitem__)
        stack.enter_context(
            mock.patch.object(mx.array, "__getitem__", lambda array, index: read(array, index))
        )
        stack.enter_context(mock.patch.object(mx, "depends", lambda inputs, dependencies: inputs))
        yield


def _range(plain: Any, slots: int, *args: Any, **options: Any) -> Any:
    """`arange` with a Position as its end, or at both ends."""
    if not any(isinstance(each, Position) for each in args):
        return plain(*args, **options)
    start, stop = (0, args[0]) if len(args) == 1 else args[:2]
    dtype = options.get("dtype") or mx.int32
    if isinstance(start, Position) and isinstance(stop, Position):
        return (start.base + mx.array(np.arange(start.shift, stop.shift), mx.int32)).astype(dtype)
    return mx.array(list(range(start, slots)), dtype)


def _item(read: Any, array: mx.array, index: Any) -> mx.array:
    """`array[offset : offset + n]` takes n rows."""
    parts = index if isinstance(index, tuple) else (index,)
    for axis, part in enumerate(parts):
        if isinstance(part, slice) and (isinstance(part.start, Position) or isinstance(part.stop, Position)):
            axis = axis if Ellipsis not in parts[:axis] else array.ndim - len(parts) + axis
            if isinstance(part.start, Position):
                rows = part.start.base + mx.array(np.arange(part.start.shift, part.stop.shift), mx.int32)
                array = mx.take(array, rows, axis)
            rest = tuple(slice(None) if each is part else each for each in parts)
            return _item(read, array, rest)
    return read(array, index)
