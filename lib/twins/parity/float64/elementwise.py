"""Elementwise functions in float64 from operations that MLX's CPU back end computes in float64.

MLX 0.32.4 computes exp, sin, cos, sigmoid, erf, erfinv and logaddexp of float64 arrays by approximations made
for float32 (1e-8 to 2e-7 off), and so the gradients of tan, log2 and log10. Its power, tan, log, log1p and
sqrt are right. Definitions: https://dlmf.nist.gov/7.2 (erf) and https://dlmf.nist.gov/4.21 (half angles).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)

OWN_ERFINV, OWN_LOG2, OWN_LOG10, OWN_ROUND, OWN_TAN = mx.erfinv, mx.log2, mx.log10, mx.round, mx.tan
OWN_POWER = mx.power
FAR = 6.0  # erf is 1 from here on: 1 - erf(6) is 2e-17


def differentiable(forward: Callable, slope: Callable) -> Any:
    """A function of one array whose gradient is the cotangent times slope(x, forward(x))."""
    made = mx.custom_function(forward)
    made.vjp(lambda x, cotangent, output: cotangent * slope(x, output))
    return made


def selu(x: mx.array) -> mx.array:
    """Klambauer et al. 2017 (https://arxiv.org/abs/1706.02515); mlx.nn cuts its constants to six digits."""
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * mx.where(x > 0, x, alpha * (exp(x) - 1))


def exp(x: mx.array) -> mx.array:
    """e to the x, as a power."""
    return OWN_POWER(math.e, x)


def _sine(x: mx.array) -> mx.array:
    half = OWN_TAN(0.5 * x)
    return 2 * half / (1 + half * half)


def _cosine(x: mx.array) -> mx.array:
    half = OWN_TAN(0.5 * x)
    square = half * half
    return (1 - square) / (1 + square)


sin: Any = differentiable(_sine, lambda x, _: cos(x))
cos: Any = differentiable(_cosine, lambda x, _: -sin(x))
tan = differentiable(OWN_TAN, lambda x, output: 1 + output * output)
log2 = differentiable(OWN_LOG2, lambda x, _: 1 / (x * math.log(2)))
log10 = differentiable(OWN_LOG10, lambda x, _: 1 / (x * math.log(10)))


def _sigmoid(x: mx.array) -> mx.array:
    tail = exp(-mx.abs(x))
    return mx.where(x >= 0, 1, tail) / (1 + tail)


sigmoid = differentiable(_sigmoid, lambda _, output: output * (1 - output))


def _apart(a: mx.array, b: mx.array) -> mx.array:
    """a - b, zero where both are the same infinity."""
    return mx.where(a == b, 0, a - b)


def _log_of_sum(a: mx.array, b: mx.array) -> mx.array:
    return mx.maximum(a, b) + mx.log1p(exp(-mx.abs(_apart(a, b))))


_logaddexp: Any = mx.custom_function(_log_of_sum)


@_logaddexp.vjp
def _logaddexp_gradients(arrays: tuple, cotangent: mx.array, _: mx.array) -> tuple[mx.array, mx.array]:
    apart = _apart(*arrays)
    return cotangent * sigmoid(apart), cotangent * sigmoid(-apart)


def logaddexp(a: mx.array | float, b: mx.array | float) -> mx.array:
    """log(e^a + e^b); either may be a number."""
    arrays = [each if isinstance(each, mx.array) else mx.array(each, dtype=mx.float64) for each in (a, b)]
    return _logaddexp(*mx.broadcast_arrays(*(each.astype(mx.float64) for each in arrays)))


def _fitted(function: Callable[[float], float], degree: int) -> list[float]:
    """Coefficients, highest first, of the polynomial through `function` on [-1, 1] at Chebyshev's points."""
    fit = np.polynomial.chebyshev.Chebyshev.interpolate(np.vectorize(function), degree)
    return [float(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef[::-1]]


def _at(coefficients: list[float], x: mx.array) -> mx.array:
    """A polynomial at x, by Horner's rule."""
    value = coefficients[0] * x + coefficients[1]
    for each in coefficients[2:]:
        value = value * x + each
    return value


def _tail(u: float) -> float:
    """(1 - erf(a)) e^(a^2) where u = 2 - 9 / (a + 3), which maps [0, FAR] to [-1, 1]."""
    a = 9 / (2 - u) - 3
    return math.erfc(a) * math.exp(a * a)


TAIL = _fitted(_tail, 13)  # erf is 5e-14 off at most; of degree 17 it is 4e-15 off and takes a fifth longer


def _erf(x: mx.array) -> mx.array:
    a = mx.minimum(mx.abs(x), FAR)
    far = 1 - exp(-a * a) * _at(TAIL, 2 - 9 / (a + 3))
    return mx.where(x < 0, -far, far)


erf = differentiable(_erf, lambda x, _: 2 / math.sqrt(math.pi) * exp(-x * x))


def _erfinv(x: mx.array) -> mx.array:
    """MLX's own value, right to 1e-7, and two steps of Halley's method."""
    y = start = OWN_ERFINV(x)
    for _ in range(2):
        step = (_erf(y) - x) * (math.sqrt(math.pi) / 2) * exp(y * y)
        y = y - step / (1 + y * step)
    return mx.where(mx.abs(x) < 1, y, start)


erfinv = differentiable(_erfinv, lambda _, output: math.sqrt(math.pi) / 2 * exp(output * output))


def rounded(x: mx.array, decimals: int = 0) -> mx.array:
    """The nearest number with so many decimals, ties to even."""
    scale = 10.0**decimals
    return OWN_ROUND(x * scale) / scale


def nan_to_num(
    x: mx.array, nan: float = 0, posinf: float | None = None, neginf: float | None = None
) -> mx.array:
    """x with finite numbers in place of nan and the infinities; by default the largest ones."""
    largest = float(np.finfo(np.float64).max)
    x = mx.where(mx.isnan(x), nan, x)
    x = mx.where(mx.isposinf(x), largest if posinf is None else posinf, x)
    return mx.where(mx.isneginf(x), -largest if neginf is None else neginf, x)
