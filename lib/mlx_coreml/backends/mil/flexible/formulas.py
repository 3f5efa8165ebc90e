"""Numbers as functions of sizes, found from their values at the sizes where a model was lowered.

Whole numbers are factor * (size + plus) // by * (...) + slope * size + offset: what strides, patches, windows
and their padding compute. The quotients that round down and up are tried before others.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from coremltools.converters.mil.mil import Var

Near = Sequence[tuple[Var, Sequence[tuple[int, ...]]]]  # a variable and its shape in every program
Values = tuple[int, ...]  # one in every program
LARGEST_DIVISOR, REMAINDERS = 64, 8
ENOUGH = 6  # programs; fewer could fit a formula by chance
OFFSETS = (0, 1, -1, 2, -2)  # of a product: a class token, a step left out
CLOSE = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-9}
REAL: dict[str, Callable] = {
    "identity": lambda s: s,
    "inverse": lambda s: 1 / s,
    "sqrt": np.sqrt,
    "rsqrt": lambda s: 1 / np.sqrt(s),
    "log": np.log,
    "inverse_log": lambda s: 1 / np.log(s),
    "square": lambda s: s * s,
    "inverse_square": lambda s: 1 / (s * s),
}


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


@dataclass(frozen=True)
class Real:
    """factor * function(top / bottom) + offset."""

    top: Whole
    bottom: Whole | None
    function: str
    factor: float = 1.0
    offset: float = 0.0


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
    distinct = _distinct(known)
    if len(wanted) < ENOUGH:
        return _sum(wanted, distinct) if len(wanted) > 3 else None
    return _sum(wanted, distinct) or _quotient(wanted, distinct) or _product(wanted, distinct)


def _distinct(known: Known) -> list[tuple[Size, Values]]:
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
def _divided(values: Values, natural: bool) -> tuple[list[tuple[int, int, int]], np.ndarray]:
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
    """One quotient, plus or minus the size itself: such is the padding to a multiple."""
    goal = np.array(wanted)
    for natural in (True, False):
        for slope in (0, -1, 1):
            for size, values in known:
                parameters, rows = _divided(values, natural)
                fit = _affine(rows, goal - slope * np.array(values))
                if fit:
                    return Whole((Quotient(size, *parameters[fit[0]]),), *fit[1:], slope)
    return None


def _columns(known: Known) -> tuple[list[Quotient], np.ndarray]:
    """Sizes and their quotients that round down or up."""
    quotients, rows = [], []
    for size, values in known:
        parameters, divided = _divided(values, True)
        quotients += [Quotient(size), *(Quotient(size, *each) for each in parameters)]
        rows += [np.array([values]), divided]
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


def real(wanted: Sequence[float], known: Known, kind: str) -> Real | None:
    """A function in REAL of a size, of a quotient, or of a ratio of sizes, that has these values."""
    goal = np.array(wanted, np.float64)
    for top, bottom, numbers in _arguments(known, len(goal) >= ENOUGH):
        functions = REAL if numbers.min() > 0 else {"identity": REAL["identity"]}
        for name, function in functions.items():
            with np.errstate(all="ignore"):
                row = function(numbers)
            fit = _scaled(row, goal, CLOSE[kind]) if np.isfinite(row).all() else None
            if fit:
                return Real(top, bottom, name, *fit)
    return None


def _arguments(known: Known, rich: bool) -> Iterator[tuple[Whole, Whole | None, np.ndarray]]:
    """What a function may be of: a size; one more or less; a ratio; quotients and their remainders."""
    for size, values in known:
        yield Whole((Quotient(size),)), None, np.array(values, np.float64)
    if not rich:
        return
    known = _distinct(known)
    moved = [
        (Whole((Quotient(size),), 1, offset), np.array(values, np.float64) + offset)
        for size, values in known
        for offset in (0, -1, 1)
    ]
    yield from ((number, None, numbers) for number, numbers in moved if number.offset)
    for (one, a), (other, b) in ((x, y) for x in moved for y in moved if x is not y and y[1].min() > 0):
        yield one, other, a / b
    for size, values in known:
        parameters, rows = _divided(values, True)
        whole_size, numbers = Whole((Quotient(size),)), np.array(values, np.float64)
        for (plus, by, times), row in zip(parameters, rows.astype(np.float64), strict=True):
            quotient = Quotient(size, plus, by, times)
            yield Whole((quotient,)), None, row
            if row.min() > 0:
                yield Whole((quotient,)), whole_size, row / numbers
                yield whole_size, Whole((quotient,)), numbers / row
            if times == 1 and not plus and by <= REMAINDERS:
                yield Whole((quotient,), -by, 0, 1), None, numbers - by * row


def _scaled(row: np.ndarray, goal: np.ndarray, close: float) -> tuple[float, float] | None:
    """The factor and the offset that make a row the goal; an offset only where programs suffice to tell."""
    factor = float(goal @ row / (row @ row))
    if factor and np.allclose(factor * row, goal, rtol=close, atol=0):
        return _rounded(factor, close), 0.0
    if len(goal) < ENOUGH or np.ptp(row) == 0:
        return None
    factor, offset = np.polyfit(row, goal, 1)
    spread = close * max(np.abs(goal).max(), 1e-30)
    if factor and np.abs(factor * row + offset - goal).max() < spread < np.ptp(goal) / 100:
        return _rounded(float(factor), close), _rounded(float(offset), close)
    return None


def _rounded(number: float, close: float) -> float:
    """A whole number, or one over one, where it is that close."""
    for exact in (round(number), 1 / round(1 / number) if number and round(1 / number) else 0):
        if exact and math.isclose(number, exact, rel_tol=close):
            return float(exact)
    return number
