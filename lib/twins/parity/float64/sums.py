"""Softmax, logarithms of sums of exponentials, scaled and gathered products, in float64 as they are defined.

MLX 0.32.4 computes the first with an exponential made for float32 (up to 4e-8 off), rounds the factors of
addmm and refuses gather_mm.
"""

from collections.abc import Sequence

from twins import frameworks as frameworks
from twins.parity.float64.elementwise import exp

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)

OWN_ADDMM = mx.addmm
Axes = int | Sequence[int] | None


def _largest(x: mx.array, axis: Axes) -> mx.array:
    """The largest along axes, kept; zero where it is no finite number, and without a gradient."""
    found = mx.max(x, axis=axis, keepdims=True)
    return mx.stop_gradient(mx.where(mx.isfinite(found), found, 0))


def softmax(x: mx.array, axis: Axes = None, *, precise: bool = False) -> mx.array:
    """e^x over its sum along axes."""
    powers = exp(x - mx.stop_gradient(mx.max(x, axis=axis, keepdims=True)))
    return powers / mx.sum(powers, axis=axis, keepdims=True)


def logsumexp(x: mx.array, axis: Axes = None, keepdims: bool = False) -> mx.array:
    """log of the sum of e^x along axes."""
    largest = _largest(x, axis)
    summed = mx.log(mx.sum(exp(x - largest), axis=axis, keepdims=True)) + largest
    return summed if keepdims else mx.squeeze(summed, axis=axis)


def logcumsumexp(
    x: mx.array, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True
) -> mx.array:
    """log of the cumulative sum of e^x along an axis, of all numbers in order without one."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    largest = _largest(x, axis)
    return mx.log(mx.cumsum(exp(x - largest), axis=axis, reverse=reverse, inclusive=inclusive)) + largest


def addmm(c: mx.array, a: mx.array, b: mx.array, alpha: float = 1.0, beta: float = 1.0) -> mx.array:
    """beta c + alpha a b."""
    return OWN_ADDMM(c, a, b) if alpha == beta == 1 else beta * c + alpha * (a @ b)


def gather_mm(
    a: mx.array,
    b: mx.array,
    lhs_indices: mx.array | None = None,
    rhs_indices: mx.array | None = None,
    *,
    sorted_indices: bool = False,
) -> mx.array:
    """Products of chosen matrices: of a (..., M, K) and b (..., K, N), by their places in these."""

    def chosen(x: mx.array, places: mx.array | None) -> mx.array:
        return x if places is None else x.reshape(-1, *x.shape[-2:])[places]

    return chosen(a, lhs_indices) @ chosen(b, rhs_indices)
