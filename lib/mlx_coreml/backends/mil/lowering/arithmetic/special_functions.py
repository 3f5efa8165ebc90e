"""Functions that MIL lacks or computes inexactly, in forms that are exact near zero and do not overflow below
half of the largest number.
"""

import math

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Var

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import number
from mlx_coreml.backends.mil.lowering.registry import lowering
from mlx_coreml.ir.graph import Node

LARGEST = float(np.finfo(np.float32).max)
# M. Giles, Approximating the erfinv function, 2010: polynomials in w = -log(1 - x^2), highest power first
NEAR = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503)
NEAR += (-0.00417768164, 0.246640727, 1.50140941)
FAR = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613)
FAR += (0.00943887047, 1.00167406, 2.83297682)


@lowering("Log1p")
def log1p(node: Node, x):
    """log(1 + x)."""
    return log_one_plus(x)


def log_one_plus(x: Var) -> Var:
    """log(u) + (x - (u - 1)) / u with u = 1 + x rounded: the second term is what rounding lost, near zero."""
    u = mb.add(x=x, y=number(x, 1))
    near = mb.clip(x=x, alpha=number(x, -0.5), beta=number(x, 1))  # elsewhere nothing is lost
    v = mb.add(x=near, y=number(x, 1))
    lost = mb.real_div(x=mb.sub(x=near, y=mb.sub(x=v, y=number(x, 1))), y=v)
    return mb.add(x=mb.log(x=u, epsilon=number(x, 0)), y=lost)


@lowering("Expm1")
def expm1(node: Node, x):
    """exp(x) - 1 as tanh(x / 2) * (exp(x) + 1)."""
    half = mb.tanh(x=mb.mul(x=x, y=number(x, 0.5)))
    return mb.mul(x=half, y=mb.add(x=mb.exp(x=x), y=number(x, 1)))


@lowering("LogAddExp")
def log_add_exp(node: Node, x, y):
    """log(exp(x) + exp(y)); with a zero it is MIL's softplus."""
    for one, other in ((x, y), (y, x)):
        if other.val is not None and not np.any(other.val) and tuple(one.shape) == node.output.shape:
            return mb.softplus(x=one)
    return log_of_sum(x, y)


def log_of_sum(x: Var, y: Var) -> Var:
    """max + log1p(exp(min - max))."""
    large, small = mb.maximum(x=x, y=y), mb.minimum(x=x, y=y)
    finite = mb.clip(x=large, alpha=number(x, -LARGEST), beta=number(x, LARGEST))  # inf - inf is nan
    return mb.add(x=large, y=log_one_plus(mb.exp(x=mb.sub(x=small, y=finite))))


@lowering("ArcSinh")
def arc_sinh(node: Node, x):
    """sign(x) * log1p(a + a * a / (1 + sqrt(a * a + 1))) with a = |x|."""
    a = mb.abs(x=x)
    b = mb.minimum(x=a, y=number(x, 1e9))  # from there on the quotient is 1, and no square overflows
    root = mb.sqrt(x=mb.add(x=mb.mul(x=b, y=b), y=number(x, 1)))
    quotient = mb.real_div(x=b, y=mb.add(x=root, y=number(x, 1)))
    return mb.mul(x=mb.sign(x=x), y=log_one_plus(mb.add(x=a, y=mb.mul(x=a, y=quotient))))


@lowering("ArcCosh")
def arc_cosh(node: Node, x):
    """log1p(t + sqrt(t) * sqrt(t + 2)) with t = x - 1."""
    t = mb.sub(x=x, y=number(x, 1))
    roots = mb.mul(x=mb.sqrt(x=t), y=mb.sqrt(x=mb.add(x=t, y=number(x, 2))))
    return log_one_plus(mb.add(x=t, y=roots))


@lowering("ArcTan2")
def arc_tan2(node: Node, y, x):
    """The angle of (x, y): the arc tangent of the smaller over the larger size, put into its octant."""
    ax, ay = mb.abs(x=x), mb.abs(x=y)
    larger = mb.maximum(x=ax, y=ay)
    larger = mb.select(cond=mb.equal(x=larger, y=number(x, 0)), a=number(x, 1), b=larger)
    angle = mb.atan(x=mb.real_div(x=mb.minimum(x=ax, y=ay), y=larger))
    steep = mb.sub(x=number(x, math.pi / 2), y=angle)
    angle = mb.select(cond=mb.greater(x=ay, y=ax), a=steep, b=angle)
    behind = mb.sub(x=number(x, math.pi), y=angle)
    angle = mb.select(cond=mb.less(x=x, y=number(x, 0)), a=behind, b=angle)
    return mb.select(cond=mb.less(x=y, y=number(x, 0)), a=mb.mul(x=angle, y=number(x, -1)), b=angle)


@lowering("ErfInv")
def erf_inverse(node: Node, x):
    """The inverse of the error function, by Giles' single-precision polynomials."""
    one = number(x, 1)
    product = mb.mul(x=mb.sub(x=one, y=x), y=mb.add(x=x, y=one))
    w = mb.mul(x=mb.log(x=product, epsilon=number(x, 0)), y=number(x, -1))
    far = _polynomial(mb.sub(x=mb.sqrt(x=mb.maximum(x=w, y=number(x, 0))), y=number(x, 3)), FAR)
    near = _polynomial(mb.sub(x=w, y=number(x, 2.5)), NEAR)
    made = mb.mul(x=mb.select(cond=mb.less(x=w, y=number(x, 5)), a=near, b=far), y=x)
    edge = mb.equal(x=mb.abs(x=x), y=one)
    return mb.select(cond=edge, a=mb.mul(x=x, y=number(x, np.inf)), b=made)


def _polynomial(x: Var, coefficients: tuple[float, ...]) -> Var:
    """Horner's scheme."""
    made = number(x, coefficients[0])
    for each in coefficients[1:]:
        made = mb.add(x=mb.mul(x=x, y=made), y=number(x, each))
    return made
