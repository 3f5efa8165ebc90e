"""Samples of a value, and the layouts in which two values may hold the same elements.

A converter may transpose and reshape, but it never sorts. So two values are the same if one is the other
reshaped after a permutation of its axes, or before one. They are compared at a sample of positions, which
costs the same for large values as for small ones.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

SAMPLE = 16_384  # elements that are kept of a value
QUICK = 256  # elements by which most candidates are told apart
ROUNDED = 1e-6  # what computing a fingerprint in float32 may change
PERMUTED_RANK = 5  # Core ML's largest rank: 120 orders


@cache
def positions(size: int) -> np.ndarray:
    """The positions at which values of a size are compared: all of a small one; the first QUICK in any
    order.
    """
    if size <= SAMPLE:
        return np.random.default_rng(size).permutation(size)
    return np.random.default_rng(size).integers(0, size, SAMPLE)


@dataclass(frozen=True)
class Fingerprint:
    """What does not depend on the layout of a value: mean and root mean square of its finite elements."""

    mean: float
    rms: float
    finite: bool

    def near(self, other: Fingerprint, tolerance: float) -> bool:
        """Whether values that differ by at most `tolerance` (rms-relative) can have these fingerprints."""
        return self.distance(other) <= tolerance + ROUNDED

    def distance(self, other: Fingerprint) -> float:
        """What the rms-relative error of the values is at least, over all their elements."""
        apart = max(abs(self.mean - other.mean), abs(self.rms - other.rms))
        return 0.0 if not apart else apart / max(other.rms, 1e-30)


def fingerprint(flat: np.ndarray) -> Fingerprint:
    """The fingerprint of a value given as a flat array."""
    if not flat.size:
        return Fingerprint(0.0, 0.0, True)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, square = float(np.mean(flat)), float(np.vdot(flat, flat)) / flat.size
    if np.isfinite(mean) and np.isfinite(square):
        return Fingerprint(mean, float(np.sqrt(square)), True)
    finite = flat[np.isfinite(flat)].astype(np.float64)
    if not finite.size:
        return Fingerprint(0.0, 0.0, False)
    whole = finite.size == flat.size
    return Fingerprint(float(finite.mean()), float(np.sqrt(np.mean(finite**2))), whole)


def flattened(array: np.ndarray) -> np.ndarray:
    """A value as a flat array of float32, or of float64 for integers, which float32 would round."""
    array = np.asarray(array)
    if array.dtype.kind == "c":
        array = np.stack([array.real, array.imag], axis=-1)
    kept = np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64
    return np.ascontiguousarray(array, kept).reshape(-1)


def rms_relative(found: np.ndarray, expected: np.ndarray) -> float:
    """RMS of the difference over RMS of the expected values; inf if only one of the two is finite."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    if same.all():
        return 0.0
    difference = np.where(same, 0.0, found.astype(np.float64) - np.where(same, 0.0, expected))
    if not np.isfinite(difference).all():
        return np.inf
    size = np.sqrt(np.mean(np.square(np.where(np.isfinite(expected), expected, 0.0), dtype=np.float64)))
    return float(np.sqrt(np.mean(np.square(difference))) / max(size, 1e-30))


def quick_error(found: np.ndarray, expected: np.ndarray) -> float:
    """`rms_relative` of two small samples without its care."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = found - expected
        error, size = float(np.vdot(difference, difference)), float(np.vdot(expected, expected))
    if np.isfinite(error) and np.isfinite(size) and size:
        return float(np.sqrt(error / size))
    return rms_relative(found, expected)


@lru_cache(maxsize=512)
def orders(shape: tuple[int, ...], other: tuple[int, ...], count: int) -> tuple[tuple[int, ...], ...]:
    """The layouts in which a value of shape `other` may be one of `shape`, as permutations to `sampled`.

    A permutation (p, ...) permutes the axes of `other`; (-1, p, ...) permutes those of `shape`. Of layouts
    that agree at the first `count` positions one is named. The first is the plain one.
    """
    size = int(np.prod(shape, dtype=np.int64))
    at = positions(size)[:count]
    found: dict[bytes, tuple[int, ...]] = {at.tobytes(): ()}
    for dims, mark in ((_squeezed(other), ()), (_squeezed(shape), (-1,))):
        if 1 < len(dims) <= PERMUTED_RANK:
            for order in itertools.permutations(range(len(dims))):
                found.setdefault(_moved(at, dims, order, bool(mark)).tobytes(), (*mark, *order))
    return tuple(found.values())


def sampled(
    flat: np.ndarray, shape: tuple[int, ...], other: tuple[int, ...], order: tuple[int, ...], count: int
) -> np.ndarray:
    """The first `count` elements of a sample of `flat`, a value of shape `other`, seen in a layout of
    `orders`.
    """
    return flat[_index(shape, other, order, count)]


@lru_cache(maxsize=256)
def _index(shape: tuple[int, ...], other: tuple[int, ...], order: tuple[int, ...], count: int) -> np.ndarray:
    at = positions(int(np.prod(shape, dtype=np.int64)))[:count]
    if not order:
        return at
    if order[0] < 0:
        return _moved(at, _squeezed(shape), order[1:], True)
    return _moved(at, _squeezed(other), order, False)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _moved(at: np.ndarray, dims: tuple[int, ...], order: tuple[int, ...], back: bool) -> np.ndarray:
    """Where the elements of the transpose of an array of `dims` lie in it; with `back` where its own
    lie there.
    """
    turned = tuple(dims[axis] for axis in order)
    if not back:
        parts = np.unravel_index(at, turned)
        return np.ravel_multi_index([parts[order.index(axis)] for axis in range(len(dims))], dims)
    parts = np.unravel_index(at, dims)
    return np.ravel_multi_index([parts[axis] for axis in order], turned)
