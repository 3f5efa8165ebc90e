"""Numbers as functions of sizes, found from their values at the sizes where a model was lowered.

Whole numbers are factor * (size + plus) // by * (...) + slope * size + offset: what strides, patches, windows
and their padding compute. The quotients that round down and up are tried before others.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from coremltools.converters.mil.mil import Var

Near = Sequence[tuple[Var, Sequence[tuple[int, ...]]]]  # a variable and its shape in every program
Values = tuple[int, ...]  # one in every program
LARGEST_DIVISOR = 64
ENOUGH = 6  # programs; fewer could fit a formula by chance
OFFSETS = (0, 1, -1, 2, -2)  # of a product: a class token, a step left out


@dataclass(frozen=True)
class Size:
    """The product of some axes' sizes of a variable."""

    variable: Var
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Quotient:
    """(times * size + plus) // by"""

    size: Size
    plus: int = 0
    by: int = 1
    times: int = 1


@dataclass(frozen=True)
class Whole:
    """factor * (product of the quotients) + slope * (the size beside, or that of the first) + offset."""

    quotients: tuple[Quotient, ...]
    factor: int = 1
    offset: int = 0
    slope: int = 0
    beside: Size | None = None

    @property
    def plain(self) -> Size | None:
        """The one axis' size that it is, if it is nothing else."""
        first = self.quotients[0]
        same = self == Whole((Quotient(first.size),)) and len(first.size.axes) == 1
        return first.size if same else None


Known = Sequence[tuple[Size, Values]]


def known_sizes(near: Near) -> list[tuple[Size, Values]]:
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


def whole(wanted: Values, known: Known) -> Whole | None:
    """The simplest function of the sizes at hand that has these values in the programs; None without one."""
    for size, values in known:
        if tuple(values) == tuple(wanted):
            return Whole((Quotient(size),))
    for size, values in known:
        fit = _affine(np.array([values]), np.array(wanted))
        if fit:
            return Whole((Quotient(size),), *fit[1:])
    distinct = distinct_sizes(known)
    if len(wanted) < ENOUGH:
        return _sum(wanted, distinct) if len(wanted) > 3 else None
    return _sum(wanted, distinct) or _quotient(wanted, distinct) or _product(wanted, distinct)


def distinct_sizes(known: Known) -> list[tuple[Size, Values]]:
    """The first of the sizes that have the same values."""
    return [(size, values) for values, size in reversed({v: s for s, v in reversed(known)}.items())]


def _affine(rows: np.ndarray, wanted: np.ndarray) -> tuple[int, int, int] | None:
    """The first row, with the whole factor and offset, that gives the wanted numbers."""
    moved, goal = rows - rows[:, :1], wanted - wanted[0]
    place = int(np.abs(goal).argmax())
    if not goal[place]:
        return None
    step = moved[:, place]
    factors = np.where(step != 0, goal[place] // np.where(step == 0, 1, step), 0)
    fits = np.nonzero((factors[:, None] * moved == goal).all(axis=1))[0]
    if not len(fits):
        return None
    row = int(fits[0])
    return row, int(factors[row]), int(wanted[0] - factors[row] * rows[row, 0])


@functools.lru_cache(maxsize=64)
def divided(values: Values, natural: bool) -> tuple[list[tuple[int, int, int]], np.ndarray]:
    """(plus, by, times) of quotients, those that round down and up first, and their values everywhere."""
    last = min(LARGEST_DIVISOR, max(values))
    parameters = [(plus, by, 1) for by in range(2, last + 1) for plus in (0, by - 1)]
    if natural:
        fractions = ((n, by) for by in range(2, min(last, 16) + 1) for n in range(2, 16))
        parameters += [(0, by, n) for n, by in fractions if math.gcd(n, by) == 1]
    else:
        parameters += [(plus, by, 1) for by in range(3, last + 1) for plus in range(1, by - 1)]
    parameters = parameters or [(0, 1, 1)]
    plus, by, times = np.array(parameters).T
    return parameters, (times[:, None] * np.array(values) + plus[:, None]) // by[:, None]


def _sum(wanted: Values, known: Known) -> Whole | None:
    """One size plus or minus another, and a number: keys are as many as those kept and the new ones."""
    goal = np.array(wanted)
    for one, a in known:
        for other, b in known:
            for slope in (1, -1) if one != other else ():
                left = goal - np.array(a) - slope * np.array(b)
                if not np.ptp(left):
                    return Whole((Quotient(one),), 1, int(left[0]), slope, other)
    return None


def _quotient(wanted: Values, known: Known) -> Whole | None:
    """One quotient, plus or minus the size itself: such is the padding to a multiple. The smallest divisor is
    taken: large ones fit a few small numbers by chance.
    """
    goal, found = np.array(wanted), []
    for natural in (True, False):
        for slope in (0, -1, 1):
            for size, values in known:
                parameters, rows = divided(values, natural)
                fit = _affine(rows, goal - slope * np.array(values))
                if fit:
                    found.append(Whole((Quotient(size, *parameters[fit[0]]),), *fit[1:], slope))
        if found:
            return min(found, key=lambda number: number.quotients[0].by)
    return None


def _columns(known: Known) -> tuple[list[Quotient], np.ndarray]:
    """Sizes and their quotients that round down or up."""
    quotients, rows = [], []
    for size, values in known:
        parameters, parts = divided(values, True)
        quotients += [Quotient(size), *(Quotient(size, *each) for each in parameters)]
        rows += [np.array([values]), parts]
    return quotients, np.concatenate(rows) if rows else np.zeros((0, 1), int)


def _product(wanted: Values, known: Known) -> Whole | None:
    """A product of two quotients, such as the number of windows of an image."""
    quotients, rows = _columns(known)
    for offset in OFFSETS:
        goal = np.array(wanted) - offset
        whole_rows = np.nonzero(((rows > 0) & (goal % np.maximum(rows, 1) == 0)).all(axis=1))[0]
        for place in whole_rows.tolist():
            left = goal // rows[place]
            fit = _affine(rows, left)
            if fit and not fit[2]:
                return Whole((quotients[place], quotients[fit[0]]), fit[1], offset)
    return None
