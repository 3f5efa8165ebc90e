"""Sums, products and quotients of ranges."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

from mlx_coreml.backends.mil.ranges.interval import FP16_LIMIT, LARGE, LARGEST, MASKED, USUAL, Range, between


def joined(ranges: Sequence[Range]) -> Range:
    """What holds the numbers of several tensors."""
    return reduce(or_, ranges)


def larger(a: Range, b: Range) -> Range:
    """The larger of two: no less than either's least."""
    made = replace(a | b, low=max(a.low, b.low), high=max(a.high, b.high))
    return replace(made, least=max(made.least, made.low)) if made.low > 0 else made


def smaller(a: Range, b: Range) -> Range:
    """The smaller of two."""
    return replace(a | b, low=min(a.low, b.low), high=min(a.high, b.high))


def negative(x: Range) -> Range:
    """The other sign."""
    return replace(x, low=-x.high, high=-x.low)


def add(a: Range, b: Range) -> Range:
    """A sum. A network's values stay ordinary when they are added; so do they with a constant."""
    made = a | b
    low, high = a.low + b.low, a.high + b.high
    if a.hides or b.hides:  # a hidden number is a mask's from here on, with nothing else beside it
        low = -LARGEST
    elif _settled(a, b):
        low, high = _within(low, high, a, b)
    return between(low, high, made.least, whole=made.whole, given=made.given, fine=made.fine)


def _settled(a: Range, b: Range) -> bool:
    """Whether what is made of two ranges is a network's, which keeps its values within fp16."""
    known = (a.given and b.given) or (a.whole and b.whole)
    return not known and max(a.most, b.most) <= FP16_LIMIT


def _within(low: float, high: float, a: Range, b: Range) -> tuple[float, float]:
    """Bounds that are no further apart than a network's, or those of the larger of two ranges."""
    most = max(LARGE, a.most, b.most)
    return max(low, -most), min(high, most)


def multiply(a: Range, b: Range, same: bool = False, known: bool = False) -> Range:
    """A product, of one tensor with itself (`same`), or with a constant (`known`)."""
    given = a.given and b.given
    divisor = a if a.inverse else b
    if a.inverse != b.inverse and not (known or same or divisor.given):
        return _quotient(b if a.inverse else a)
    ends = [p * q for p in (a.low, a.high) for q in (b.low, b.high)]
    low, high, least = min(ends), max(ends), a.least * b.least
    if same:
        low, high = 0.0, max(ends)
    elif _settled(a, b) and not known:
        (low, high), least = _within(low, high, a, b), max(least, min(a.least, b.least) ** 1.5)
    flags = {"inverse": a.inverse or b.inverse, "hides": a.hides or b.hides, "fine": a.fine or b.fine}
    return between(low, high, least, whole=a.whole and b.whole, given=given, **flags)


def divide(a: Range, b: Range, known: bool = False, by_known: bool = False) -> Range:
    """A quotient; `known` and `by_known` say that a or b is a constant."""
    given, least = a.given and b.given, max(b.least, 1 / LARGEST)
    if b.given or known:
        most, low = a.most / least, a.least / max(b.most, least)
        flags = {"given": given, "inverse": known, "fine": by_known and a.fine}
        return between(-most if min(a.low, b.low) < 0 else 0, most, low, **flags)
    return _quotient(a)


def _quotient(a: Range) -> Range:
    """What a network divides by something of the same size: a sum, a length, a deviation."""
    return between(-LARGE if a.low < 0 else 0, min(LARGE, max(a.most, 1.0)), min(a.least, 1e-2))


def total(x: Range, terms: int) -> Range:
    """A sum of numbers, not all of which are as large as the largest unless it is small."""
    usual = x.most if x.most <= USUAL else max(USUAL, x.most / USUAL)
    return scaled(x, terms * usual / x.most) if terms * usual > x.most else x


def scaled(x: Range, factor: float) -> Range:
    """Larger by a factor."""
    low, high = (max(min(end * factor, LARGEST), -LARGEST) for end in (x.low, x.high))
    return (
        replace(x, low=low, high=high) if abs(low) < MASKED else replace(x, low=low, high=high, hides=False)
    )
