"""Numbers that depend on a length, computed from the sizes of tensors while the model runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var, types

from mlx_coreml.backends.mil.flexible.formulas import Near, Quotient, Size, Whole, known_sizes, whole
from mlx_coreml.backends.mil.flexible.real_formulas import Real, real
from mlx_coreml.backends.mil.flexible.sequences import Run, runs

Series = tuple[Var, ...]  # one variable in every program
FEW = 16  # floating-point numbers that are found one by one


@dataclass(frozen=True)
class Listed:
    """The sizes of one axis of an input, one for each program: what no formula gives is looked up by it."""

    variable: Var
    axis: int
    sizes: tuple[int, ...]


class Sizes:
    """Builds numbers that differ between programs; the shape of a variable is asked for once."""

    def __init__(self, listed: Listed | None = None, tables: bool = True):
        self.shapes: dict[Var, Var] = {}
        self.listed = listed
        self.tables = tables  # whether the first array is the largest there can be
        self.quotients: set[Quotient] = set()  # that were used: they change at multiples
        self.place: Var | None = None

    def of(
        self,
        arrays: Sequence[np.ndarray],
        near: Near,
        one_open: bool = False,
        exact: Sequence[np.ndarray] | None = None,
    ) -> Var | None:
        """A variable that has each of the arrays as its value in each of the programs, or None.

        With `one_open` one of its whole numbers may be unknown: it becomes -1 (of a reshape). `exact` are the
        arrays before they were rounded to the program's type.
        """
        made = self._formula(arrays, near, one_open, exact or arrays)
        return self._lookup(arrays) if made is None and self.listed else made

    def _formula(self, arrays, near: Near, one_open: bool, exact: Sequence[np.ndarray]) -> Var | None:
        integers = arrays[0].dtype.kind in "iu" and arrays[0].ndim <= 1
        if len({array.shape for array in arrays}) > 1:
            made = self._table(arrays, near)
            return self._sequence(arrays, near) if made is None and integers else made
        if integers:
            made = self._whole(arrays, near, one_open)
            return self._sequence(arrays, near) if made is None and arrays[0].size > FEW else made
        return self._real(exact, near, arrays[0].dtype)

    def _table(self, arrays: Sequence[np.ndarray], near: Near) -> Var | None:
        """One number repeated; or a part of the first and largest table; None for anything else."""
        largest, *others = arrays
        if any(a.ndim != largest.ndim or np.greater(a.shape, largest.shape).any() for a in others):
            return None
        uniform = largest.size and all(a.size and same(np.full_like(a, largest.flat[0]), a) for a in arrays)
        begins = [np.zeros(largest.ndim, np.int32)] * len(arrays) if uniform else _begins(largest, others)
        if begins is None or not (self.tables or uniform):
            return None
        size = self._whole([np.array(array.shape, np.int32) for array in arrays], near)
        if size is None or uniform:
            return size and mb.fill(shape=size, value=largest.flat[0])
        begin = begins[0] if not np.any(begins) else self._whole(begins, near)
        return None if begin is None else mb.slice_by_size(x=mb.const(val=largest), begin=begin, size=size)

    def _whole(self, arrays: Sequence[np.ndarray], near: Near, one_open: bool = False) -> Var | None:
        """A vector or scalar of whole numbers."""
        columns = list(zip(*(np.atleast_1d(array).tolist() for array in arrays), strict=True))
        known = known_sizes(near)
        parts = [column[0] if len(set(column)) == 1 else whole(column, known) for column in columns]
        if one_open and parts.count(None) == 1 and -1 not in parts:
            parts[parts.index(None)] = -1
        if any(part is None for part in parts):
            return None
        joined = self._joined(parts)
        return joined if arrays[0].ndim else mb.squeeze(x=joined, axes=[0])

    def _joined(self, parts: Sequence[int | Whole]) -> Var:
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

    def _run(self, number: Whole, count: int = 1) -> Var:
        """A vector: the sizes of `count` neighbouring axes for a plain size, else one number."""
        if number.plain:
            return self._axes(number.plain.variable, number.plain.axes[0], count)
        made = None
        for quotient in number.quotients:
            part = self._quotient(quotient)
            made = part if made is None else mb.mul(x=made, y=part)
        if number.factor != 1:
            made = mb.mul(x=made, y=np.int32(number.factor))
        if number.slope:
            size = self._size(number.beside or number.quotients[0].size)
            made = mb.add(x=made, y=size if number.slope == 1 else mb.mul(x=size, y=np.int32(number.slope)))
        return mb.add(x=made, y=np.int32(number.offset)) if number.offset else made

    def _quotient(self, quotient: Quotient) -> Var:
        made = self._size(quotient.size)
        made = made if quotient.times == 1 else mb.mul(x=made, y=np.int32(quotient.times))
        if quotient.by == 1:
            return made
        self.quotients.add(quotient)
        made = mb.add(x=made, y=np.int32(quotient.plus)) if quotient.plus else made
        return mb.floor_div(x=made, y=np.int32(quotient.by))

    def _size(self, size: Size) -> Var:
        made = None
        for axis in size.axes:
            taken = self._axes(size.variable, axis, 1)
            made = taken if made is None else mb.mul(x=made, y=taken)
        return made

    def _axes(self, variable: Var, start: int, count: int) -> Var:
        if variable not in self.shapes:
            self.shapes[variable] = mb.shape(x=variable)
        shape = self.shapes[variable]
        whole_shape = (start, count) == (0, variable.rank)
        return shape if whole_shape else mb.slice_by_index(x=shape, begin=[start], end=[start + count])

    def _real(self, arrays: Sequence[np.ndarray], near: Near, kind: np.dtype) -> Var | None:
        """A few floating-point numbers, each a function of sizes."""
        if kind.kind != "f" or arrays[0].size > FEW:
            return None
        columns = list(zip(*(array.astype(np.float64).reshape(-1) for array in arrays), strict=True))
        known, parts = known_sizes(near), []
        for column in columns:
            constant = len(set(column)) == 1
            found = column[0] if constant else real(column, known, arrays[0].dtype.name)
            if found is None:
                return None
            parts.append(mb.const(val=np.array([found], np.float32)) if constant else self._number(found))
        made = parts[0] if len(parts) == 1 else mb.concat(values=parts, axis=0)
        if arrays[0].ndim != 1:
            made = mb.reshape(x=made, shape=list(arrays[0].shape)) if arrays[0].ndim else mb.squeeze(x=made)
        word = types.builtin_to_string(types.numpy_type_to_builtin_type(kind.type))
        return made if word == "fp32" else mb.cast(x=made, dtype=word)

    def _number(self, number: Real) -> Var:
        """A vector of one number, in fp32."""
        made = mb.cast(x=self._run(number.top), dtype="fp32")
        if number.bottom:
            made = mb.real_div(x=made, y=mb.cast(x=self._run(number.bottom), dtype="fp32"))
        made = FUNCTIONS[number.function](made)
        if number.factor != 1:
            made = mb.mul(x=made, y=np.float32(number.factor))
        if number.beside:
            other = mb.cast(x=self._run(number.beside), dtype="fp32")
            made = mb.add(x=made, y=mb.mul(x=other, y=np.float32(number.slope)))
        return mb.add(x=made, y=np.float32(number.offset)) if number.offset else made

    def _sequence(self, arrays: Sequence[np.ndarray], near: Near) -> Var | None:
        """Whole numbers in runs of equal steps, such as clipped or mirrored positions."""
        found = [runs(array) for array in arrays] if arrays[0].ndim == 1 else [None]
        if None in found or len({tuple(run.step for run in each) for each in found}) > 1:
            return None
        pieces = [self._steps(each, near) for each in zip(*found, strict=True)]
        if any(piece is None for piece in pieces):
            return None
        return pieces[0] if len(pieces) == 1 else mb.concat(values=pieces, axis=0)

    def _steps(self, each: Sequence[Run], near: Near) -> Var | None:
        step = each[0].step
        start = self._one([run.start for run in each], near)
        count = self._one([run.count for run in each], near)
        if start is None or count is None:
            return None
        if not step:
            return mb.tile(x=start, reps=count)
        numbers = mb.range_1d(start=np.int32(0), end=mb.squeeze(x=count, axes=[0]), step=np.int32(1))
        numbers = numbers if step == 1 else mb.mul(x=numbers, y=np.int32(step))
        return mb.add(x=numbers, y=start)

    def _one(self, column: Sequence[int], near: Near) -> Var | None:
        """A vector of one number."""
        return self._whole([np.array([number], np.int32) for number in column], near)

    def _lookup(self, arrays: Sequence[np.ndarray]) -> Var | None:
        """The array of the present one of the listed sizes."""
        if len({array.dtype for array in arrays}) > 1 or arrays[0].dtype.kind not in "iuf":
            return None
        order = np.argsort(self.listed.sizes)
        arrays = [np.asarray(arrays[i]) for i in order]
        if len({array.shape for array in arrays}) == 1:
            rows = np.stack([array.reshape(-1) for array in arrays])
            made = mb.gather(x=mb.const(val=rows), indices=self._place(), axis=0)
            shape = arrays[0].shape
            return mb.reshape(x=made, shape=list(shape)) if shape else mb.squeeze(x=made)
        if len({array.ndim for array in arrays}) > 1:
            return None
        starts = np.cumsum([0, *(array.size for array in arrays[:-1])]).astype(np.int32)
        tables = (starts[:, None], np.array([[array.size] for array in arrays], np.int32))
        shapes = np.array([array.shape for array in arrays], np.int32)
        begin, size, shape = (
            mb.reshape(x=mb.gather(x=table, indices=self._place(), axis=0), shape=[-1])
            for table in (*tables, shapes)
        )
        flat = np.concatenate([array.reshape(-1) for array in arrays])
        return mb.reshape(x=mb.slice_by_size(x=mb.const(val=flat), begin=begin, size=size), shape=shape)

    def _place(self) -> Var:
        """Which of the ascending listed sizes is present, as a vector of one."""
        if self.place is None:
            size = self._axes(self.listed.variable, self.listed.axis, 1)
            larger = np.array(sorted(self.listed.sizes)[1:], np.int32)
            reached = mb.cast(x=mb.greater_equal(x=size, y=larger), dtype="int32")
            self.place = mb.reduce_sum(x=reached, axes=[0], keep_dims=True)
        return self.place


FUNCTIONS = {
    "identity": lambda x: x,
    "inverse": lambda x: mb.real_div(x=np.float32(1), y=x),
    "sqrt": lambda x: mb.sqrt(x=x),
    "rsqrt": lambda x: mb.real_div(x=np.float32(1), y=mb.sqrt(x=x)),
    "log": lambda x: mb.log(x=x, epsilon=np.float32(0)),
    "inverse_log": lambda x: mb.real_div(x=np.float32(1), y=mb.log(x=x, epsilon=np.float32(0))),
    "square": lambda x: mb.mul(x=x, y=x),
    "inverse_square": lambda x: mb.real_div(x=np.float32(1), y=mb.mul(x=x, y=x)),
}


def _follows(number: Whole, other: int | Whole, distance: int) -> bool:
    """Whether another number is the axis at a distance behind."""
    if not isinstance(other, Whole) or number.plain is None or other.plain is None:
        return False
    return other.plain == Size(number.plain.variable, (number.plain.axes[0] + distance,))


def _begins(largest: np.ndarray, others: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """Where each of the others starts in the largest; None if one is no part of it."""
    found = [np.zeros(largest.ndim, np.int32)]
    for other in others:
        begin = _begin(largest, other)
        if begin is None:
            return None
        found.append(begin)
    return found


def _begin(largest: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """The first place at which a table is a part of another: at its start, or along one axis."""
    begin = np.zeros(largest.ndim, np.int32)
    if same(largest[tuple(slice(n) for n in other.shape)], other):
        return begin
    cut = [axis for axis, n in enumerate(other.shape) if n != largest.shape[axis]]
    if len(cut) != 1:
        return None
    rows, wanted = np.moveaxis(largest, cut[0], 0), np.moveaxis(other, cut[0], 0)
    for start in range(1, len(rows) - len(wanted) + 1):
        if same(rows[start], wanted[0]) and same(rows[start : start + len(wanted)], wanted):
            begin[cut[0]] = start
            return begin
    return None


def same(a, b) -> bool:
    """Whether two constants are equal in type, shape and every element; not-a-number equals itself."""
    a, b = np.asarray(a), np.asarray(b)
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
