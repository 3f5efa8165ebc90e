"""Functions and activations that Core AI lacks, in forms that are exact near zero and do not overflow below
half of the largest number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import coreai.authoring as ca
import numpy as np

from mlx_coreml.backends.coreai.lowering.elementwise import (
    add,
    div,
    equal,
    greater,
    less,
    maximum,
    minimum,
    mul,
    sub,
    where,
)
from mlx_coreml.backends.coreai.lowering.registry import lowering
from mlx_coreml.backends.coreai.lowering.values import Value, dtype
from mlx_coreml.ir.graph import Node

# M. Giles, Approximating the erfinv function, 2010: polynomials in w = -log(1 - x^2), highest power first
NEAR = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503)
NEAR += (-0.00417768164, 0.246640727, 1.50140941)
FAR = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613)
FAR += (0.00943887047, 1.00167406, 2.83297682)


def limited(x: Value, low: float, high: float) -> Value:
    """x between two numbers; a limit beyond the type's range has no effect."""
    limits = np.finfo(dtype(x))
    return minimum(maximum(x, max(low, float(limits.min))), min(high, float(limits.max)))


def finite(x: Value) -> Value:
    """x with infinities replaced by the largest numbers: the difference of infinities is not a number."""
    return limited(x, -math.inf, math.inf)


def log_one_plus(x: Value) -> Value:
    """log(u) + (x - (u - 1)) / u with u = 1 + x rounded: the second term is what rounding lost, near zero."""
    near = limited(x, -0.5, 1)  # elsewhere nothing is lost
    v = add(near, 1.0)
    return add(ca.log(add(x, 1.0)), div(sub(near, sub(v, 1.0)), v))


def log_of_sum(x: Value, y: Value) -> Value:
    """max + log1p(exp(min - max))."""
    large = maximum(x, y)
    return add(large, log_one_plus(ca.exp(sub(minimum(x, y), finite(large)))))


def soft_plus(x: Value) -> Value:
    """max(x, 0) + log1p(exp(-|x|))."""
    return add(ca.relu(x), log_one_plus(ca.exp(mul(ca.abs_(x), -1.0))))


def exp_minus_one(x: Value) -> Value:
    """exp(x) - 1 as tanh(x / 2) * (exp(x) + 1)."""
    return mul(ca.tanh(mul(x, 0.5)), add(ca.exp(x), 1.0))


@lowering("Log1p")
def log1p(node: Node, x: Value) -> Value:
    """log(1 + x)."""
    return log_one_plus(x)


@lowering("Expm1")
def expm1(node: Node, x: Value) -> Value:
    """exp(x) - 1."""
    return exp_minus_one(x)


@lowering("LogAddExp")
def log_add_exp(node: Node, x: Value, y: Value) -> Value:
    """log(exp(x) + exp(y))."""
    return log_of_sum(x, y)


@lowering("ArcTan2")
def arc_tan2(node: Node, y: Value, x: Value) -> Value:
    """The angle of (x, y): the arc tangent of the smaller over the larger size, put into its octant."""
    ax, ay = ca.abs_(x), ca.abs_(y)
    larger = maximum(ax, ay)
    larger = where(equal(larger, 0.0), 1.0, larger)
    angle = ca.atan(div(minimum(ax, ay), larger))
    angle = where(greater(ay, ax), sub(math.pi / 2, angle), angle)
    angle = where(less(x, 0.0), sub(math.pi, angle), angle)
    return where(less(y, 0.0), mul(angle, -1.0), angle)


@lowering("ErfInv")
def erf_inverse(node: Node, x: Value) -> Value:
    """The inverse of the error function, by Giles' single-precision polynomials."""
    w = mul(ca.log(mul(sub(1.0, x), add(x, 1.0))), -1.0)
    far = _polynomial(sub(ca.sqrt(maximum(w, 0.0)), 3.0), FAR)
    near = _polynomial(sub(w, 2.5), NEAR)
    made = mul(where(less(w, 5.0), near, far), x)
    return where(equal(ca.abs_(x), 1.0), mul(x, math.inf), made)


def _polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """Horner's scheme."""
    made = mul(x, coefficients[0])
    for each in coefficients[1:-1]:
        made = mul(add(made, each), x)
    return add(made, coefficients[-1])


@lowering("softplus")
def softplus(node: Node, x: Value) -> Value:
    """log(1 + exp(x))."""
    return soft_plus(x)


@lowering("softsign")
def softsign(node: Node, x: Value) -> Value:
    """x / (1 + |x|)."""
    return div(x, add(ca.abs_(x), 1.0))


@lowering("gelu")
def gelu(node: Node, x: Value) -> Value:
    """gelu(x); the argument is MIL's mode: exact, by tanh, or by the sigmoid."""
    (mode,) = node.unpack(1)
    if mode == "SIGMOID_APPROXIMATION":
        return mul(x, ca.sigmoid(mul(x, 1.702)))
    return ca.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


@lowering("elu")
def elu(node: Node, x: Value) -> Value:
    """x where positive, else alpha * (exp(x) - 1)."""
    (alpha,) = node.unpack(1)
    return where(greater(x, 0.0), x, mul(exp_minus_one(minimum(x, 0.0)), float(alpha)))


@lowering("leaky_relu")
def leaky_relu(node: Node, x: Value) -> Value:
    """x where positive, else alpha * x."""
    (alpha,) = node.unpack(1)
    return where(greater(x, 0.0), x, mul(x, float(alpha)))


@lowering("hard_sigmoid")
def hard_sigmoid(node: Node, x: Value) -> Value:
    """x / 6 + 1 / 2, between 0 and 1."""
    return limited(add(mul(x, 1 / 6), 0.5), 0, 1)


@lowering("clip")
def clip(node: Node, x: Value) -> Value:
    """x limited to a range."""
    low, high = node.unpack(2)
    return limited(x, low, high)
