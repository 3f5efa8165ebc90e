"""Operations of MLX as networks use them, each beside the same in PyTorch: a table of the float64 tests.

A case is a name, the MLX function, PyTorch's, and the shapes of the arrays that both are given; the numbers
are drawn by `drawn`, in float64, and gradients are taken with respect to each of them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)


class Case(NamedTuple):
    """One operation in both frameworks; `positive` draws numbers between 0.2 and 0.9."""

    name: str
    mlx: Callable
    torch: Callable
    shapes: tuple[tuple[int, ...], ...]
    positive: bool = False


def drawn(case: Case) -> list[np.ndarray]:
    """The arrays of a case, float64."""
    rng = np.random.default_rng(7)
    draw = (lambda s: rng.uniform(0.2, 0.9, s)) if case.positive else rng.standard_normal
    return [np.asarray(draw(shape)) for shape in case.shapes]


M = (3, 5)
SAME = [
    "abs",
    "exp",
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "rsqrt",
    "square",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "arctan",
    "arcsin",
    "arccos",
    "arcsinh",
    "arctanh",
    "sigmoid",
    "erf",
    "erfinv",
    "expm1",
    "reciprocal",
    "negative",
    "floor",
    "ceil",
    "round",
    "sign",
    "sum",
    "mean",
    "prod",
]  # spelled alike in mlx.core and in torch
AXIS = ["logsumexp", "cumsum", "cumprod", "logcumsumexp", "softmax"]


def named(name: str, *rest) -> tuple[Callable, Callable]:
    """The function of this name in mlx.core, as it is when called, and in torch."""
    return lambda *arrays: getattr(mx, name)(*arrays, *rest), lambda *arrays: getattr(torch, name)(
        *arrays, *rest
    )


ELEMENTWISE = [
    *(Case(name, *named(name), (M,), True) for name in SAME),
    *(Case(name, *named(name, -1), (M,)) for name in AXIS),
]
TWO = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "logaddexp", "remainder", "arctan2"]
BINARY = [
    *(Case(name, *named(name), (M, M), True) for name in TWO),
    Case("power", mx.power, torch.pow, (M, M), True),
    Case("power scalar", lambda x: x**2.5, lambda x: x**2.5, (M,), True),
    Case("matmul", lambda a, b: a @ b, lambda a, b: a @ b, ((2, 3, 4), (4, 5))),
    Case("matmul vectors", lambda a, b: a @ b, lambda a, b: a @ b, ((3, 4), (4,))),
    Case(
        "addmm",
        lambda c, a, b: mx.addmm(c, a, b, 0.3, 0.7),
        lambda c, a, b: torch.addmm(c, a, b, beta=0.7, alpha=0.3),
        ((3, 5), (3, 4), (4, 5)),
    ),
    Case(
        "einsum",
        lambda a, b: mx.einsum("bij,bkj->bik", a, b),
        lambda a, b: torch.einsum("bij,bkj->bik", a, b),
        ((2, 3, 4), (2, 5, 4)),
    ),
    Case(
        "tensordot",
        lambda a, b: mx.tensordot(a, b, 1),
        lambda a, b: torch.tensordot(a, b, 1),
        ((3, 4), (4, 5)),
    ),
    Case("outer", mx.outer, torch.outer, ((3,), (4,))),
    Case("inner", mx.inner, torch.inner, ((3, 4), (5, 4))),
    Case("kron", mx.kron, torch.kron, ((2, 3), (2, 2))),
    Case("linalg.cross", mx.linalg.cross, torch.linalg.cross, ((4, 3), (4, 3))),
]
ID = np.array([[4, 0, 1], [1, 1, 2], [0, 3, 3]])
MAP = np.array([2, 0, 2])
INDEX = [
    Case("take", lambda x: mx.take(x, mx.array(MAP), axis=0), lambda x: x[torch.tensor(MAP)], (M,)),
    Case(
        "take_along_axis",
        lambda x: mx.take_along_axis(x, mx.array(ID), -1),
        lambda x: torch.gather(x, -1, torch.tensor(ID)),
        (M,),
    ),
    Case(
        "put_along_axis",
        lambda x, v: mx.put_along_axis(x, mx.array(ID[:, :1]), v, -1),
        lambda x, v: x.scatter(-1, torch.tensor(ID[:, :1]), v),
        (M, (3, 1)),
    ),
    Case(
        "index",
        lambda x: x[mx.array(MAP), mx.array([1, 2, 3])],
        lambda x: x[torch.tensor(MAP), torch.tensor([1, 2, 3])],
        (M,),
    ),
    Case("slice", lambda x: x[:, 1:4:2], lambda x: x[:, 1:4:2], (M,)),
    Case(
        "at add",
        lambda x, v: x.at[mx.array(MAP)].add(v),
        lambda x, v: x.index_add(0, torch.tensor(MAP), v),
        (M, M),
    ),
    Case(
        "at maximum",
        lambda x, v: x.at[mx.array(MAP)].maximum(v),
        lambda x, v: x.index_reduce(0, torch.tensor(MAP), v, "amax"),
        (M, M),
    ),
    Case("where", lambda x: mx.where(x > 0, x, 0.1 * x), lambda x: torch.where(x > 0, x, 0.1 * x), (M,)),
    Case("sort", lambda x: mx.sort(x, -1), lambda x: x.sort(-1).values, (M,)),
    Case(
        "partition",
        lambda x: mx.sort(mx.partition(x, 2, -1)[..., :3], -1),
        lambda x: x.sort(-1).values[..., :3],
        (M,),
    ),
    Case(
        "argsort",
        lambda x: mx.take_along_axis(x, mx.stop_gradient(mx.argsort(x, -1)), -1),
        lambda x: x.sort(-1).values,
        (M,),
    ),
    Case(
        "argpartition",
        lambda x: mx.sort(mx.take_along_axis(x, mx.stop_gradient(mx.argpartition(-x, 1, -1))[:, :2], -1), -1),
        lambda x: x.topk(2).values.flip(-1),
        (M,),
    ),
    Case("topk", lambda x: mx.sort(mx.topk(x, 2, -1), -1), lambda x: x.topk(2).values.flip(-1), (M,)),
    Case(
        "argmax",
        lambda x: mx.take_along_axis(x, mx.stop_gradient(mx.argmax(x, -1, keepdims=True)), -1),
        lambda x: x.max(-1, True).values,
        (M,),
    ),
    Case("max", lambda x: x.max(-1), lambda x: x.max(-1).values, (M,)),
    Case("min", lambda x: x.min(0), lambda x: x.min(0).values, (M,)),
    Case("median", lambda x: mx.median(x, -1), lambda x: x.median(-1).values, (M,)),
    Case("prod", lambda x: x.prod(-1), lambda x: x.prod(-1), (M,)),
    Case("var", lambda x: mx.var(x, -1, ddof=1), lambda x: x.var(-1), (M,)),
    Case("std", lambda x: mx.std(x, -1), lambda x: x.std(-1, correction=0), (M,)),
    Case("cummax", lambda x: mx.cummax(x, -1), lambda x: x.cummax(-1).values, (M,)),
    Case("cummin", lambda x: mx.cummin(x, 0), lambda x: x.cummin(0).values, (M,)),
    Case(
        "cumsum reverse",
        lambda x: mx.cumsum(x, -1, reverse=True),
        lambda x: x.flip(-1).cumsum(-1).flip(-1),
        (M,),
    ),
    Case("cumsum exclusive", lambda x: mx.cumsum(x, -1, inclusive=False), lambda x: x.cumsum(-1) - x, (M,)),
    Case("pad", lambda x: mx.pad(x, [(1, 2), (0, 1)]), lambda x: F.pad(x, (0, 1, 1, 2)), (M,)),
    Case(
        "pad edge",
        lambda x: mx.pad(x, [(0, 0), (2, 1)], mode="edge"),
        lambda x: F.pad(x, (2, 1), mode="replicate"),
        (M,),
    ),
    Case("roll", lambda x: mx.roll(x, 2, -1), lambda x: x.roll(2, -1), (M,)),
    Case("tile", lambda x: mx.tile(x, (2, 2)), lambda x: x.tile(2, 2), (M,)),
    Case("repeat", lambda x: mx.repeat(x, 3, 0), lambda x: x.repeat_interleave(3, 0), (M,)),
    Case("tril", mx.tril, torch.tril, (M,)),
    Case("diag", mx.diag, torch.diag, ((5,),)),
    Case("diagonal", mx.diagonal, torch.diagonal, (M,)),
    Case("trace", mx.trace, torch.trace, (M,)),
    Case("diff", mx.diff, torch.diff, (M,)),
    Case(
        "as_strided",
        lambda x: mx.as_strided(x, (2, 3, 3), (5, 1, 1)),
        lambda x: x.as_strided((2, 3, 3), (5, 1, 1)),
        (M,),
    ),
    Case(
        "as_strided of a sum",
        lambda x: mx.as_strided(x + x, (2, 3, 3), (5, 1, 1)),
        lambda x: (x + x).as_strided((2, 3, 3), (5, 1, 1)),
        (M,),
    ),
    Case(
        "as_strided of a transpose",
        lambda x: mx.as_strided(x.T, (4, 3), (2, 1), 1),
        lambda x: x.T.contiguous().as_strided((4, 3), (2, 1), 1),
        (M,),
    ),
    Case("clip", lambda x: mx.clip(x, -0.5, 0.5), lambda x: x.clip(-0.5, 0.5), (M,)),
    Case("nan_to_num", lambda x: mx.nan_to_num(x), lambda x: x.nan_to_num(), (M,)),
    Case("round decimals", lambda x: mx.round(x, 2) * x, lambda x: x.round(decimals=2) * x, (M,)),
    Case(
        "one-hot",
        lambda x: x @ mx.eye(5, dtype=x.dtype)[mx.array(MAP)].T,
        lambda x: x @ F.one_hot(torch.tensor(MAP), 5).T.to(x.dtype),
        (M,),
    ),
    Case(
        "vmap", lambda x: mx.vmap(lambda r: mx.exp(r) * r.sum())(x), lambda x: x.exp() * x.sum(-1, True), (M,)
    ),
    Case(
        "checkpoint", lambda x: mx.checkpoint(lambda a: mx.sigmoid(a) * a)(x), lambda x: x * x.sigmoid(), (M,)
    ),
    Case(
        "convolve",
        lambda x, w: mx.convolve(x, w, mode="same"),
        lambda x, w: F.conv1d(x[None, None], w.flip(0)[None, None], padding="same")[0, 0],
        ((9,), (3,)),
    ),
    Case("degrees", lambda x: mx.degrees(x), torch.rad2deg, (M,)),
    Case("logical", lambda x: (x > 0.1) * x + (x == x) * x, lambda x: (x > 0.1) * x + x, (M,)),
]
