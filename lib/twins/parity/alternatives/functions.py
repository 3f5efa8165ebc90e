"""Functions of one value in each other's place: activations, norms, roots and powers."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    COARSE,
    MILD,
    Around,
    Option,
    compare,
    is_array,
    kind,
    numpy,
    shape,
    value,
)

import mlx.core as mx  # isort: skip  (after parity: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from torch.nn import functional as F  # isort: skip

SAME = 1e-6  # relative, by which a function is known by what it gives
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {  # in words -> PyTorch's, MLX's
    "no function (the value as it is)": (lambda x: x, lambda x: x),
    "exact GELU": (F.gelu, mnn.gelu),
    "the tanh approximation of GELU": (lambda x: F.gelu(x, approximate="tanh"), mnn.gelu_approx),
    "the sigmoid approximation of GELU": (
        lambda x: x * torch.sigmoid(1.702 * x),
        lambda x: x * mx.sigmoid(1.702 * x),
    ),
    "ReLU": (F.relu, lambda x: mx.maximum(x, 0)),
    "squared ReLU": (lambda x: F.relu(x).square(), lambda x: mx.square(mx.maximum(x, 0))),
    "ReLU6": (F.relu6, lambda x: mx.clip(x, 0, 6)),
    "leaky ReLU of slope 0.01": (F.leaky_relu, lambda x: mx.maximum(0.01 * x, x)),
    "leaky ReLU of slope 0.2": (lambda x: F.leaky_relu(x, 0.2), lambda x: mx.maximum(0.2 * x, x)),
    "leaky ReLU of slope 0.1": (lambda x: F.leaky_relu(x, 0.1), lambda x: mx.maximum(0.1 * x, x)),
    "SiLU": (F.silu, lambda x: x * mx.sigmoid(x)),
    "ELU": (F.elu, lambda x: mx.where(x > 0, x, mx.exp(x) - 1)),
    "SELU": (F.selu, mnn.selu),
    "mish": (F.mish, mnn.mish),
    "softplus": (F.softplus, mnn.softplus),
    "hard swish": (F.hardswish, mnn.hardswish),
    "tanh": (torch.tanh, mx.tanh),
    "the sigmoid": (torch.sigmoid, mx.sigmoid),
    "the hard sigmoid": (F.hardsigmoid, lambda x: mx.clip(x + 3, 0, 6) / 6),
    "hard tanh": (F.hardtanh, lambda x: mx.clip(x, -1, 1)),
    "softsign": (F.softsign, lambda x: x / (1 + mx.abs(x))),
    "the logarithm of the sigmoid": (F.logsigmoid, lambda x: -mnn.softplus(-x)),
    "the exponential": (torch.exp, mx.exp),
    "the square": (torch.square, mx.square),
    "the absolute value": (torch.abs, mx.abs),
    "the sine": (torch.sin, mx.sin),
    "the cosine": (torch.cos, mx.cos),
    "softmax": (lambda x: F.softmax(x, -1), lambda x: mx.softmax(x, -1)),
    "log softmax": (lambda x: F.log_softmax(x, -1), lambda x: x - mx.logsumexp(x, -1, keepdims=True)),
}
NAMES = {
    *(
        "gelu",
        "gelu_approx",
        "gelu_fast_approx",
        "relu",
        "relu2",
        "relu6",
        "leaky_relu",
        "silu",
        "elu",
        "selu",
    ),
    *(
        "mish",
        "softplus",
        "hardswish",
        "tanh",
        "sigmoid",
        "hardsigmoid",
        "hardtanh",
        "hard_tanh",
        "softsign",
        "celu",
    ),
    *(
        "log_sigmoid",
        "logsigmoid",
        "exp",
        "square",
        "abs",
        "sin",
        "cos",
        "softmax",
        "log_softmax",
        "sigmoid_",
    ),
    *("hard_shrink", "softshrink", "relu_squared", "expm1", "tanh_", "erf"),
}


def activated(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Another activation in the place of one; both are called by what they give."""
    clipped = op.name in ("clamp", "maximum") and any(
        e == 0 for e in op.args[1:] if isinstance(e, int | float)
    )
    clipped = clipped or (op.name == "clamp" and value(op, 1, "min") in (0, 0.0))
    if not (op.name in NAMES or clipped) or not op.args or not is_array(op.args[0]):
        return
    if kind(op.args[0]) != "float" or not is_array(op.result):
        return
    side = 0 if op.torch else 1
    own = known(op)
    for words, functions in ACTIVATIONS.items():
        if words != own:
            function = functions[side]
            mild = op.name not in ("exp", "abs", "square", "sin", "cos", "erf", "expm1")
            told = "MLX computes {mlx} where PyTorch computes {torch}"
            change = lambda f, a, o, s, function=function: function(a[0])  # noqa: E731
            yield Option(told, {op.place: change}, MILD if mild else COARSE, own, words)


def known(op: Operation) -> str:
    """An activation in words, by what it gave."""
    x, y = numpy(op.args[0]).astype(np.float64), numpy(op.result).astype(np.float64)
    if x.shape != y.shape:
        return f"`{op.name}`"
    with torch.no_grad():
        for words, (function, _) in ACTIVATIONS.items():
            made = function(torch.from_numpy(x)).numpy()
            if np.linalg.norm(made - y) <= SAME * np.linalg.norm(y):
                return words
    return f"`{op.name}`"


def normed(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A layer norm in the place of an RMS norm, or the other way round."""
    if op.name not in ("layer_norm", "rms_norm") or not op.args or not is_array(op.args[0]):
        return
    weight = value(op, 2, "weight") if op.torch else value(op, 1, "weight")
    bias = value(op, 3, "bias") if op.torch and op.name == "layer_norm" else None
    small = value(op, 4 if op.name == "layer_norm" else 3, "eps") or 1e-5
    centre = op.name == "rms_norm"

    def instead(function, args, options, seen):
        x = args[0]
        options = {"keepdim": True} if op.torch else {"keepdims": True}
        x = x - x.mean(-1, **options) if centre else x
        square = (x * x).mean(-1, **options)
        made = x * (torch if op.torch else mx).rsqrt(square + small)
        made = made * weight if weight is not None else made
        return made + bias if bias is not None else made

    words = ("subtracts the mean (layer norm)", "does not (RMS norm)")
    own, other = words if not centre else words[::-1]
    yield Option("the norm of {this} " + own + ", that of {other} " + other, {op.place: instead}, COARSE)


def roots(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A root or a square that one half takes and the other does not; the squared norm."""
    if op.name not in ("sqrt", "rsqrt", "square", "reciprocal", "log", "exp", "log1p", "log2", "log10"):
        return
    if not op.args or (not shape(op.args[0]) and not is_array(op.args[0])):
        return
    maker = torch if op.torch else mx
    others = {"sqrt": maker.sqrt, "square": maker.square, "exp": maker.exp, "log": maker.log}
    others |= {"log1p": maker.log1p, "log2": maker.log2, "log10": maker.log10}
    if op.name.startswith("log"):
        for name, function in others.items():
            if name.startswith("log") and name != op.name:
                yield compare(
                    op,
                    "the logarithm taken is",
                    f"`{op.name}`",
                    f"`{name}`",
                    lambda f, a, o, s, function=function: function(a[0]),
                )
    if op.name == "exp":
        yield compare(
            op,
            "the exponent is",
            "taken as it is",
            "halved",
            lambda f, a, o, s: f(0.5 * a[0]),
        )
        yield compare(op, "the exponent is", "taken as it is", "doubled", lambda f, a, o, s: f(2 * a[0]))


FAMILIES = (activated, normed, roots)
