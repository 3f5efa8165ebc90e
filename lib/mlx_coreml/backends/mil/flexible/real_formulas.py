"""Floating-point numbers as functions of sizes: roots, logarithms, ratios, a quotient and a size added."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlx_coreml.backends.mil.flexible.formulas import ENOUGH, Known, Quotient, Whole, distinct_sizes, divided

REMAINDERS = 8  # divisors of which the remainder is looked at
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
class Real:
    """factor * function(top / bottom) + slope * beside + offset."""

    top: Whole
    bottom: Whole | None
    function: str
    factor: float = 1.0
    offset: float = 0.0
    slope: float = 0.0
    beside: Whole | None = None


def real(wanted: Sequence[float], known: Known, kind: str) -> Real | None:
    """The simplest function of a size, a quotient, or a ratio of sizes that has these values, or None."""
    goal, rich = np.array(wanted, np.float64), len(wanted) >= ENOUGH
    given = list(_arguments(known, rich))
    if not given:
        return None
    rows, best = np.array([numbers for *_, numbers in given]), None
    for name, function in REAL.items():
        with np.errstate(all="ignore"):
            values = function(np.where(rows > 0, rows, np.nan)) if name != "identity" else rows
            fit = _fitted(values, goal, CLOSE[kind], rich)
        if fit and (best is None or fit[0] < best[0]):
            best = (fit[0], name, *fit[1:])
    if best is not None:
        place, name, factor, offset = best
        return Real(given[place][0], given[place][1], name, factor, offset)
    return _of_two(goal, distinct_sizes(known), CLOSE[kind]) if rich else None


def _arguments(known: Known, rich: bool) -> Iterator[tuple[Whole, Whole | None, np.ndarray]]:
    """What a function may be of: a size; one more or less; a ratio; quotients and their remainders."""
    for size, values in known:
        yield Whole((Quotient(size),)), None, np.array(values, np.float64)
    if not rich:
        return
    known = distinct_sizes(known)
    moved = [
        (Whole((Quotient(size),), 1, offset), np.array(values, np.float64) + offset)
        for size, values in known
        for offset in (0, -1, 1)
    ]
    yield from ((number, None, numbers) for number, numbers in moved if number.offset)
    for (one, a), (other, b) in ((x, y) for x in moved for y in moved if x is not y and y[1].min() > 0):
        yield one, other, a / b
    for size, values in known:
        parameters, rows = divided(values, True)
        numbers = np.array(values, np.float64)
        for (plus, by, times), row in zip(parameters, rows.astype(np.float64), strict=True):
            quotient = Quotient(size, plus, by, times)
            yield Whole((quotient,)), None, row
            for less in (0, 1) if row.min() > 1 else ():
                part, all_of_it = Whole((quotient,), 1, -less), Whole((Quotient(size),), 1, -less)
                yield part, all_of_it, (row - less) / (numbers - less)
                yield all_of_it, part, (numbers - less) / (row - less)
            if times == 1 and not plus and by <= REMAINDERS:
                yield Whole((quotient,), -by, 0, 1), None, numbers - by * row


def _fitted(rows: np.ndarray, goal: np.ndarray, close: float, rich: bool) -> tuple[int, float, float] | None:
    """The first row, with a factor and an offset that make it the goal; an offset only of enough programs."""
    factors = rows @ goal / (rows * rows).sum(axis=1)
    exact = (np.abs(factors[:, None] * rows - goal) <= close * np.abs(goal)).all(axis=1) & (factors != 0)
    found = [(int(i), float(factors[i]), 0.0) for i in np.nonzero(exact)[0][:1]]
    if rich and np.ptp(goal) > 100 * close * np.abs(goal).max():
        means = rows.mean(axis=1)
        moved = rows - means[:, None]
        factors = moved @ (goal - goal.mean()) / (moved * moved).sum(axis=1)
        offsets = goal.mean() - factors * means
        errors = np.abs(factors[:, None] * rows + offsets[:, None] - goal).max(axis=1)
        fits = np.nonzero((errors < close * np.abs(goal).max()) & (factors != 0))[0]
        found += [(int(i), float(factors[i]), float(offsets[i])) for i in fits[:1]]
    if not found:
        return None
    row, factor, offset = min(found, key=lambda each: each[0])
    return row, _rounded(factor, close), _rounded(offset, close)


def _of_two(goal: np.ndarray, known: Known, close: float) -> Real | None:
    """A size and a quotient of it, each with a factor: where a rational resampling starts."""
    for size, values in known:
        parameters, rows = divided(values, True)
        numbers, ones = np.array(values, np.float64), np.ones(len(values))
        for (plus, by, times), row in zip(parameters, rows, strict=True):
            if plus or by > REMAINDERS:
                continue
            columns = np.stack([row, numbers, ones], axis=1)
            (factor, slope, offset), *_ = np.linalg.lstsq(columns, goal, rcond=None)
            error = np.abs(columns @ (factor, slope, offset) - goal).max()
            if error < close * np.abs(goal).max() < np.ptp(goal) / 100:
                beside = Whole((Quotient(size),))
                return Real(
                    Whole((Quotient(size, plus, by, times),)), None, "identity", factor, offset, slope, beside
                )
    return None


def _rounded(number: float, close: float) -> float:
    """A whole number, or one over one, where it is that close."""
    for exact in (round(number), 1 / round(1 / number) if number and round(1 / number) else 0):
        if exact and math.isclose(number, exact, rel_tol=close):
            return float(exact)
    return number
