"""Which simple expression of values known to agree gives a value: how a plain function is recognised.

Activations are plain functions in most models and cannot be hooked. An activation of one earlier value, alone
or times or plus another, is recognised by its numbers.
"""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from twins.parity.differences import relative

import torch  # isort: skip  (after parity: the BLAS)
from torch.nn import functional as F  # isort: skip

FUNCTIONS: dict[str, Callable] = {
    "": lambda x: x,
    "exact GELU": F.gelu,
    "the tanh approximation of GELU": lambda x: F.gelu(x, approximate="tanh"),
    "the sigmoid approximation of GELU": lambda x: x * torch.sigmoid(1.702 * x),
    "ReLU": F.relu,
    "squared ReLU": lambda x: F.relu(x).square(),
    "ReLU6": F.relu6,
    "leaky ReLU of slope 0.01": F.leaky_relu,
    "SiLU": F.silu,
    "ELU": F.elu,
    "SELU": F.selu,
    "mish": F.mish,
    "softplus": F.softplus,
    "hard swish": F.hardswish,
    "tanh": torch.tanh,
    "the sigmoid": torch.sigmoid,
    "softmax": lambda x: F.softmax(x, -1),
}
EXACT = 3e-6  # relative L2 within which an expression is what was computed, in float32
ROWS = 20_000  # numbers looked at, in whole rows of the first axis
RECENT = 8  # values an expression may be made of, counted back
NEAR = 3  # those of them that two functions in a row are tried on


def _shapes(value: np.ndarray) -> Iterator[np.ndarray]:
    """A value as it is, with its channels moved, or flattened, as between layers of a network."""
    turned = [value, np.moveaxis(value, 1, -1), np.moveaxis(value, -1, 1)] if value.ndim > 2 else [value]
    yield from turned
    for each in turned:
        yield each.reshape(len(each), -1)


def _matching(value: np.ndarray, wanted: np.ndarray) -> float:
    """Relative L2 to the value wanted in the best of the ways that values are rearranged between layers."""
    fitting = (each for each in _shapes(value) if each.shape == wanted.shape)
    return min((relative(each, wanted) for each in fitting), default=math.inf)


def _applied(function: Callable, value: np.ndarray) -> np.ndarray:
    return function(torch.from_numpy(np.asarray(value, np.float64))).numpy()


def _single(values: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """A function of one value, and every value itself."""
    for name, value in values.items():
        for function, call in FUNCTIONS.items():
            yield f"{function} of {name}" if function else name, _applied(call, value)


def _double(values: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """A function of one value, or that value itself, times or plus another."""
    for second, y in values.items():
        others = {name: x for name, x in values.items() if name != second and x.shape == y.shape}
        for text, made in _single(others):
            yield f"{text} times {second}", made * y
            yield f"{text} plus {second}", made + y


def _nested(values: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """A function of a function of one of the newest values, or of the sum of two."""
    outer = {name: call for name, call in FUNCTIONS.items() if name}
    near = dict(list(values.items())[-NEAR:])
    inner = [(text, made) for text, made in _single(near) if text not in near]
    for (one, x), (two, y) in itertools.combinations(values.items(), 2):
        if x.shape == y.shape:
            inner.append((f"({one} plus {two})", x + y))
    for text, made in inner:
        for function, call in outer.items():
            yield f"{function} of {text}", _applied(call, made)


def recognised(values: dict[str, np.ndarray], wanted: np.ndarray) -> str:
    """The expression of these values that gives the one wanted, in words; empty when none does."""
    if wanted.ndim == 0:
        return ""
    count = max(1, ROWS // max(1, wanted[0].size))
    floating = {
        name: v for name, v in values.items() if v.ndim and v.dtype.kind == "f" and len(v) == len(wanted)
    }
    cut = {name: value[:count] for name, value in list(floating.items())[-RECENT:]}
    for kind in (_single, _double, _nested):
        found = [(_matching(made, wanted[:count]), text) for text, made in kind(cut)]
        least = min((error for error, _ in found), default=math.inf)
        if least < EXACT:
            return next(text for error, text in found if error <= 2 * least)
    return ""
