"""Numbers that depend on a length, computed from the sizes of tensors while the model runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var, types

Series = tuple[Var, ...]  # one variable in every program
Near = Sequence[tuple[Var, Sequence[tuple[int, ...]]]]  # a variable and its shape in every program
RECIPROCAL_ERROR = 2e-3  # of a reciprocal in fp16


@dataclass(frozen=True)
class Size:
    """factor * (product of some axes' sizes of a variable) + offset."""

    variable: Var
    axes: tuple[int, ...]
    factor: int = 1
    offset: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it is one axis' size itself."""
        return (len(self.axes), self.factor, self.offset) == (1, 1, 0)


class Sizes:
    """Builds numbers that differ between programs; the shape of a variable is asked for once."""

    def __init__(self):
        self.shapes: dict[Var, Var] = {}

    def of(self, arrays: Sequence[np.ndarray], near: Near) -> Var | None:
        """A variable that has each of the arrays as its value in each of the programs, or None."""
        if len({array.shape for array in arrays}) > 1:
            return self._table(arrays, near)
        if arrays[0].dtype.kind in "iu" and arrays[0].ndim <= 1:
            return self._whole(arrays, near)
        return self._fraction(arrays, near) if arrays[0].size == 1 else None

    def _table(self, arrays: Sequence[np.ndarray], near: Near) -> Var | None:
        """The first and largest table, cut off where another ends; None if another is not its beginning."""
        largest, *others = arrays
        for other in others:
            if other.ndim != largest.ndim or any(
                n > m for n, m in zip(other.shape, largest.shape, strict=True)
            ):
                return None
            if not same(largest[tuple(slice(n) for n in other.shape)], other):
                return None
        size = self._whole([np.array(array.shape, np.int32) for array in arrays], near)
        if size is None:
            return None
        return mb.slice_by_size(x=mb.const(val=largest), begin=[0] * largest.ndim, size=size)

    def _whole(self, arrays: Sequence[np.ndarray], near: Near) -> Var | None:
        """A vector or scalar of whole numbers."""
        columns = list(zip(*(np.atleast_1d(array).tolist() for array in arrays), strict=True))
        parts = [column[0] if len(set(column)) == 1 else found(column, near) for column in columns]
        if any(part is None for part in parts):
            return None
        joined = self._joined(parts)
        return joined if arrays[0].ndim else mb.squeeze(x=joined, axes=[0])

    def _joined(self, parts: Sequence[int | Size]) -> Var:
        """Sizes and constants in a row; neighbouring axes of a tensor are taken in one slice."""
        pieces, i = [], 0
        while i < len(parts):
            n = 1
            if isinstance(parts[i], int):
                while i + n < len(parts) and isinstance(parts[i + n], int):
                    n += 1
                pieces.append(mb.const(val=np.array(parts[i : i + n], np.int32)))
            else:
                while i + n < len(parts) and _follows(parts[i], parts[i + n], n):
                    n += 1
                pieces.append(self._run(parts[i], n))
            i += n
        return pieces[0] if len(pieces) == 1 else mb.concat(values=pieces, axis=0)

    def _run(self, size: Size, count: int) -> Var:
        """A vector of sizes: of `count` neighbouring axes for a plain one, else of one number."""
        if size.variable not in self.shapes:
            self.shapes[size.variable] = mb.shape(x=size.variable)
        shape, made = self.shapes[size.variable], None
        for axis in size.axes:
            stop = axis + count if size.is_plain else axis + 1
            taken = shape if (axis, stop) == (0, size.variable.rank) else _between(shape, axis, stop)
            made = taken if made is None else mb.mul(x=made, y=taken)
        if size.factor != 1:
            made = mb.mul(x=made, y=np.int32(size.factor))
        return mb.add(x=made, y=np.int32(size.offset)) if size.offset else made

    def _fraction(self, arrays: Sequence[np.ndarray], near: Near) -> Var | None:
        """One floating-point number that is a size, or one over it (a mean's)."""
        numbers = [float(array.reshape(())) for array in arrays]
        if arrays[0].dtype.kind != "f" or not all(numbers):
            return None
        kind = types.builtin_to_string(types.numpy_type_to_builtin_type(arrays[0].dtype.type))
        for size, values in products(near):
            one_over = np.allclose(np.multiply(numbers, values), 1, rtol=RECIPROCAL_ERROR)
            if not one_over and numbers != list(values):
                continue
            made = mb.cast(x=self._run(size, 1), dtype=kind)
            made = mb.real_div(x=arrays[0].dtype.type(1), y=made) if one_over else made
            return made if arrays[0].ndim else mb.squeeze(x=made, axes=[0])
        return None


def _between(shape: Var, start: int, stop: int) -> Var:
    return mb.slice_by_index(x=shape, begin=[start], end=[stop])


def _follows(size: Size, other: int | Size, distance: int) -> bool:
    """Whether another size is the axis at a distance behind."""
    behind = Size(size.variable, (size.axes[0] + distance,))
    return size.is_plain and other == behind


def products(near: Near) -> list[tuple[Size, tuple[int, ...]]]:
    """Sizes that vary, and the product of all that vary in one tensor, with their value in every program."""
    found = []
    for variable, shapes in near:
        columns = [
            (axis, sizes) for axis, sizes in enumerate(zip(*shapes, strict=True)) if len(set(sizes)) > 1
        ]
        found += [(Size(variable, (axis,)), sizes) for axis, sizes in columns]
        if len(columns) > 1:
            values = np.prod([sizes for _, sizes in columns], axis=0)
            found.append((Size(variable, tuple(axis for axis, _ in columns)), tuple(values.tolist())))
    return found


def found(wanted: Sequence[int], near: Near) -> Size | None:
    """The first size at hand that has these values in the programs, or an affine function of one."""
    known = products(near)
    for size, values in known:
        if tuple(values) == tuple(wanted):
            return size
    for size, values in known:
        if len(set(values)) < 2:
            continue
        i = next(i for i, value in enumerate(values) if value != values[0])
        factor, left = divmod(wanted[i] - wanted[0], values[i] - values[0])
        offset = wanted[0] - factor * values[0]
        if not left and all(factor * v + offset == w for v, w in zip(values, wanted, strict=True)):
            return Size(size.variable, size.axes, factor, offset)
    return None


def same(a, b) -> bool:
    """Whether two constants are equal in type, shape and every element; not-a-number equals itself."""
    a, b = np.asarray(a), np.asarray(b)
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
