"""Activations for which MIL has one operation."""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from mlx_coreml.backends.mil.lowering.arithmetic.elementwise import number
from mlx_coreml.backends.mil.lowering.registry import RULES, lowering
from mlx_coreml.ir.graph import Node

PLAIN = ("relu", "silu", "softplus", "softsign")


def _plain(kind: str):
    return lambda node, x: getattr(mb, kind)(x=x)


RULES |= {kind: _plain(kind) for kind in PLAIN}


@lowering("gelu")
def gelu(node: Node, x):
    """gelu(x); the argument is MIL's mode."""
    (mode,) = node.unpack(1)
    return mb.gelu(x=x, mode=mode)


@lowering("elu")
def elu(node: Node, x):
    """x where positive, else alpha * (exp(x) - 1)."""
    (alpha,) = node.unpack(1)
    return mb.elu(x=x, alpha=number(x, alpha))


@lowering("leaky_relu")
def leaky_relu(node: Node, x):
    """x where positive, else alpha * x."""
    (alpha,) = node.unpack(1)
    return mb.leaky_relu(x=x, alpha=number(x, alpha))


@lowering("hard_sigmoid")
def hard_sigmoid(node: Node, x):
    """x / 6 + 1 / 2, between 0 and 1."""
    return mb.sigmoid_hard(x=x, alpha=number(x, 1 / 6), beta=number(x, 0.5))


@lowering("clip")
def clip(node: Node, x):
    """x limited to a range; a limit outside the type's range has no effect."""
    low, high = node.unpack(2)
    if (low, high) == (0, 6):
        return mb.relu6(x=x)
    limits = np.finfo(types.nptype_from_builtin(x.dtype))
    return mb.clip(
        x=x, alpha=number(x, max(low, float(limits.min))), beta=number(x, min(high, float(limits.max)))
    )
