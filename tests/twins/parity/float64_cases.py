"""Operations of MLX as people's networks use them, each beside the same in PyTorch: the table of the float64 tests.

A case is a name, the MLX function, PyTorch's, and the shapes of the arrays that both are given; the numbers are
drawn by `drawn`, in float64, and gradients are taken with respect to each of them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip


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


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels last to channels first."""
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    """Channels first to channels last."""
    return x.movedim(1, -1)


M = (3, 5)
SAME = (  # spelled alike in mlx.core and in torch
    "abs exp log log2 log10 log1p sqrt rsqrt square sin cos tan sinh cosh tanh arctan arcsin arccos arcsinh "
    "arctanh sigmoid erf erfinv expm1 reciprocal negative floor ceil round sign sum mean prod"
).split()
AXIS = "logsumexp cumsum cumprod logcumsumexp softmax".split()


def named(name: str, *rest) -> tuple[Callable, Callable]:
    """The function of this name in mlx.core, as it is when called, and in torch."""
    return lambda *arrays: getattr(mx, name)(*arrays, *rest), lambda *arrays: getattr(torch, name)(*arrays, *rest)


ELEMENTWISE = [
    *(Case(name, *named(name), (M,), True) for name in SAME),
    *(Case(name, *named(name, -1), (M,)) for name in AXIS),
]
TWO = "add subtract multiply divide maximum minimum logaddexp remainder arctan2".split()
BINARY = [
    *(Case(name, *named(name), (M, M), True) for name in TWO),
    Case("power", mx.power, torch.pow, (M, M), True),
    Case("power scalar", lambda x: x**2.5, lambda x: x**2.5, (M,), True),
    Case("matmul", lambda a, b: a @ b, lambda a, b: a @ b, ((2, 3, 4), (4, 5))),
    Case("matmul vectors", lambda a, b: a @ b, lambda a, b: a @ b, ((3, 4), (4,))),
    Case("addmm", lambda c, a, b: mx.addmm(c, a, b, 0.3, 0.7), lambda c, a, b: torch.addmm(c, a, b, beta=0.7, alpha=0.3), ((3, 5), (3, 4), (4, 5))),
    Case("einsum", lambda a, b: mx.einsum("bij,bkj->bik", a, b), lambda a, b: torch.einsum("bij,bkj->bik", a, b), ((2, 3, 4), (2, 5, 4))),
    Case("tensordot", lambda a, b: mx.tensordot(a, b, 1), lambda a, b: torch.tensordot(a, b, 1), ((3, 4), (4, 5))),
    Case("outer", mx.outer, torch.outer, ((3,), (4,))),
    Case("inner", mx.inner, torch.inner, ((3, 4), (5, 4))),
    Case("kron", mx.kron, torch.kron, ((2, 3), (2, 2))),
    Case("linalg.cross", mx.linalg.cross, torch.linalg.cross, ((4, 3), (4, 3))),
]
ID = np.array([[4, 0, 1], [1, 1, 2], [0, 3, 3]])
MAP = np.array([2, 0, 2])
INDEX = [
    Case("take", lambda x: mx.take(x, mx.array(MAP), axis=0), lambda x: x[torch.tensor(MAP)], (M,)),
    Case("take_along_axis", lambda x: mx.take_along_axis(x, mx.array(ID), -1), lambda x: torch.gather(x, -1, torch.tensor(ID)), (M,)),
    Case("put_along_axis", lambda x, v: mx.put_along_axis(x, mx.array(ID[:, :1]), v, -1), lambda x, v: x.scatter(-1, torch.tensor(ID[:, :1]), v), (M, (3, 1))),
    Case("index", lambda x: x[mx.array(MAP), mx.array([1, 2, 3])], lambda x: x[torch.tensor(MAP), torch.tensor([1, 2, 3])], (M,)),
    Case("slice", lambda x: x[:, 1:4:2], lambda x: x[:, 1:4:2], (M,)),
    Case("at add", lambda x, v: x.at[mx.array(MAP)].add(v), lambda x, v: x.index_add(0, torch.tensor(MAP), v), (M, M)),
    Case("at maximum", lambda x, v: x.at[mx.array(MAP)].maximum(v), lambda x, v: x.index_reduce(0, torch.tensor(MAP), v, "amax"), (M, M)),
    Case("where", lambda x: mx.where(x > 0, x, 0.1 * x), lambda x: torch.where(x > 0, x, 0.1 * x), (M,)),
    Case("sort", lambda x: mx.sort(x, -1), lambda x: x.sort(-1).values, (M,)),
    Case("partition", lambda x: mx.sort(mx.partition(x, 2, -1)[..., :3], -1), lambda x: x.sort(-1).values[..., :3], (M,)),
    Case("argsort", lambda x: mx.take_along_axis(x, mx.stop_gradient(mx.argsort(x, -1)), -1), lambda x: x.sort(-1).values, (M,)),
    Case("argpartition", lambda x: mx.sort(mx.take_along_axis(x, mx.stop_gradient(mx.argpartition(-x, 1, -1))[:, :2], -1), -1), lambda x: x.topk(2).values.flip(-1), (M,)),
    Case("topk", lambda x: mx.sort(mx.topk(x, 2, -1), -1), lambda x: x.topk(2).values.flip(-1), (M,)),
    Case("argmax", lambda x: mx.take_along_axis(x, mx.stop_gradient(mx.argmax(x, -1, keepdims=True)), -1), lambda x: x.max(-1, True).values, (M,)),
    Case("max", lambda x: x.max(-1), lambda x: x.max(-1).values, (M,)),
    Case("min", lambda x: x.min(0), lambda x: x.min(0).values, (M,)),
    Case("median", lambda x: mx.median(x, -1), lambda x: x.median(-1).values, (M,)),
    Case("prod", lambda x: x.prod(-1), lambda x: x.prod(-1), (M,)),
    Case("var", lambda x: mx.var(x, -1, ddof=1), lambda x: x.var(-1), (M,)),
    Case("std", lambda x: mx.std(x, -1), lambda x: x.std(-1, correction=0), (M,)),
    Case("cummax", lambda x: mx.cummax(x, -1), lambda x: x.cummax(-1).values, (M,)),
    Case("cummin", lambda x: mx.cummin(x, 0), lambda x: x.cummin(0).values, (M,)),
    Case("cumsum reverse", lambda x: mx.cumsum(x, -1, reverse=True), lambda x: x.flip(-1).cumsum(-1).flip(-1), (M,)),
    Case("cumsum exclusive", lambda x: mx.cumsum(x, -1, inclusive=False), lambda x: x.cumsum(-1) - x, (M,)),
    Case("pad", lambda x: mx.pad(x, [(1, 2), (0, 1)]), lambda x: F.pad(x, (0, 1, 1, 2)), (M,)),
    Case("pad edge", lambda x: mx.pad(x, [(0, 0), (2, 1)], mode="edge"), lambda x: F.pad(x, (2, 1), mode="replicate"), (M,)),
    Case("roll", lambda x: mx.roll(x, 2, -1), lambda x: x.roll(2, -1), (M,)),
    Case("tile", lambda x: mx.tile(x, (2, 2)), lambda x: x.tile(2, 2), (M,)),
    Case("repeat", lambda x: mx.repeat(x, 3, 0), lambda x: x.repeat_interleave(3, 0), (M,)),
    Case("tril", mx.tril, torch.tril, (M,)),
    Case("diag", mx.diag, torch.diag, ((5,),)),
    Case("diagonal", mx.diagonal, torch.diagonal, (M,)),
    Case("trace", mx.trace, torch.trace, (M,)),
    Case("diff", mx.diff, torch.diff, (M,)),
    Case("as_strided", lambda x: mx.as_strided(x, (2, 3, 3), (5, 1, 1)), lambda x: x.as_strided((2, 3, 3), (5, 1, 1)), (M,)),
    Case("as_strided of a sum", lambda x: mx.as_strided(x + x, (2, 3, 3), (5, 1, 1)), lambda x: (x + x).as_strided((2, 3, 3), (5, 1, 1)), (M,)),
    Case("as_strided of a transpose", lambda x: mx.as_strided(x.T, (4, 3), (2, 1), 1), lambda x: x.T.contiguous().as_strided((4, 3), (2, 1), 1), (M,)),
    Case("clip", lambda x: mx.clip(x, -0.5, 0.5), lambda x: x.clip(-0.5, 0.5), (M,)),
    Case("nan_to_num", lambda x: mx.nan_to_num(x), lambda x: x.nan_to_num(), (M,)),
    Case("round decimals", lambda x: mx.round(x, 2) * x, lambda x: x.round(decimals=2) * x, (M,)),
    Case("one-hot", lambda x: x @ mx.eye(5, dtype=x.dtype)[mx.array(MAP)].T, lambda x: x @ F.one_hot(torch.tensor(MAP), 5).T.to(x.dtype), (M,)),
    Case("vmap", lambda x: mx.vmap(lambda r: mx.exp(r) * r.sum())(x), lambda x: x.exp() * x.sum(-1, True), (M,)),
    Case("checkpoint", lambda x: mx.checkpoint(lambda a: mx.sigmoid(a) * a)(x), lambda x: x * x.sigmoid(), (M,)),
    Case("convolve", lambda x, w: mx.convolve(x, w, mode="same"), lambda x, w: F.conv1d(x[None, None], w.flip(0)[None, None], padding="same")[0, 0], ((9,), (3,))),
    Case("degrees", lambda x: mx.degrees(x), torch.rad2deg, (M,)),
    Case("logical", lambda x: (x > 0.1) * x + (x == x) * x, lambda x: (x > 0.1) * x + x, (M,)),
]


def window(x: torch.Tensor) -> torch.Tensor:
    """x (..., n) by the outer product with itself plus n times one: a positive definite matrix."""
    return x @ x.mT + x.shape[-1] * torch.eye(x.shape[-2], dtype=x.dtype)


def mlx_window(x: mx.array) -> mx.array:
    """The same in MLX."""
    return x @ x.swapaxes(-1, -2) + x.shape[-1] * mx.eye(x.shape[-2], dtype=x.dtype)


LINALG = [
    Case("linalg.norm", lambda x: mx.linalg.norm(x, axis=-1), lambda x: x.norm(dim=-1), (M,)),
    Case("linalg.norm 1", lambda x: mx.linalg.norm(x, 1, axis=-1), lambda x: x.norm(1, dim=-1), (M,)),
    Case("linalg.norm 3", lambda x: mx.linalg.norm(x, 3, axis=-1), lambda x: x.norm(3, dim=-1), (M,)),
    Case("linalg.norm fro", lambda x: mx.linalg.norm(x, "fro"), lambda x: torch.linalg.norm(x, "fro"), (M,)),
    Case("linalg.norm nuc", lambda x: mx.linalg.norm(x, "nuc"), lambda x: torch.linalg.norm(x, "nuc"), (M,)),
    Case("linalg.norm 2", lambda x: mx.linalg.norm(x, 2, axis=(0, 1)), lambda x: torch.linalg.norm(x, 2), (M,)),
    Case("linalg.inv", lambda x: mx.linalg.inv(mlx_window(x)), lambda x: torch.linalg.inv(window(x)), ((2, 3, 3),)),
    Case("linalg.cholesky", lambda x: mx.linalg.cholesky(mlx_window(x)), lambda x: torch.linalg.cholesky(window(x)), ((2, 3, 3),)),
    Case("linalg.solve", lambda x, b: mx.linalg.solve(mlx_window(x), b), lambda x, b: torch.linalg.solve(window(x), b), ((2, 3, 3), (2, 3, 2))),
    Case("linalg.qr", lambda x: mx.abs(mx.linalg.qr(x)[1]), lambda x: torch.linalg.qr(x)[1].abs(), ((4, 3),)),
    Case("linalg.svd", lambda x: mx.linalg.svd(x)[1], lambda x: torch.linalg.svdvals(x), ((4, 3),)),
    Case("linalg.eigh", lambda x: mx.linalg.eigh(mlx_window(x))[0], lambda x: torch.linalg.eigvalsh(window(x)), ((3, 3),)),
    Case("linalg.eigvalsh", lambda x: mx.linalg.eigvalsh(mlx_window(x)), lambda x: torch.linalg.eigvalsh(window(x)), ((3, 3),)),
    Case("linalg.det", lambda x: mx.linalg.det(mlx_window(x)), lambda x: torch.linalg.det(window(x)), ((3, 3),)),
    Case("linalg.slogdet", lambda x: mx.linalg.slogdet(mlx_window(x))[1], lambda x: torch.linalg.slogdet(window(x))[1], ((3, 3),)),
    Case("linalg.pinv", lambda x: mx.linalg.pinv(x), torch.linalg.pinv, ((4, 3),)),
    Case("linalg.tri_inv", lambda x: mx.linalg.tri_inv(mx.tril(mlx_window(x))), lambda x: torch.linalg.inv(window(x).tril()), ((3, 3),)),
    Case("linalg.solve_triangular", lambda x, b: mx.linalg.solve_triangular(mx.tril(mlx_window(x)), b), lambda x, b: torch.linalg.solve_triangular(window(x).tril(), b, upper=False), ((3, 3), (3, 2))),
    Case("linalg.cholesky_inv", lambda x: mx.linalg.cholesky_inv(mx.tril(mlx_window(x))), lambda x: torch.cholesky_inverse(window(x).tril()), ((3, 3),)),
]
S = (2, 4, 6)


def _parts(x: mx.array) -> mx.array:
    return mx.stack([mx.real(x), mx.imag(x)])


def _torch_parts(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x.real, x.imag])


FFT = [
    *(Case(n, lambda x, n=n: _parts(getattr(mx.fft, n)(x)), lambda x, n=n: _torch_parts(getattr(torch.fft, n)(x)), (S,)) for n in ("fft", "ifft", "rfft", "fft2", "rfft2", "fftn", "rfftn")),
    Case("power spectrum", lambda x: mx.abs(mx.fft.rfft(x)) ** 2, lambda x: torch.fft.rfft(x).abs() ** 2, (S,)),
    Case("irfft", lambda x: mx.fft.irfft(mx.fft.rfft(x) * mx.array([1, 0.5, 0.25, 0.125])), lambda x: torch.fft.irfft(torch.fft.rfft(x) * torch.tensor([1, 0.5, 0.25, 0.125])), (S,)),
    Case("filter", lambda x, w: mx.fft.irfft(mx.fft.rfft(x, axis=1) * w, n=4, axis=1), lambda x, w: torch.fft.irfft(torch.fft.rfft(x, dim=1) * w, n=4, dim=1), (S, (3, 6))),
    Case("fourier mixing", lambda x: mx.real(mx.fft.fft2(x)), lambda x: torch.fft.fft2(x).real, (S,)),
]
Q = ((2, 4, 5, 8), (2, 2, 6, 8), (2, 2, 6, 8))
SQUARE = ((2, 4, 6, 8), (2, 2, 6, 8), (2, 2, 6, 8))
BOOL = np.random.default_rng(1).random((5, 6)) > 0.3


def attend(**named) -> Callable:
    """MLX's attention with keywords."""
    return lambda q, k, v: mx.fast.scaled_dot_product_attention(q, k, v, scale=8**-0.5, **named)


def torch_attend(**named) -> Callable:
    """PyTorch's attention with keywords, heads repeated."""
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True, **named)


def rope(x: torch.Tensor, dims: int, traditional: bool, base: float = 10000.0, scale: float = 1.0, offset: int = 0):
    """Rotary positions from their definition (Su et al. 2021)."""
    angle = (torch.arange(x.shape[-2], dtype=x.dtype) + offset)[:, None] * scale * base ** (-torch.arange(0, dims, 2, dtype=x.dtype) / dims)
    turned, rest = x[..., :dims], x[..., dims:]
    a, b = (turned[..., ::2], turned[..., 1::2]) if traditional else turned.chunk(2, -1)
    pair = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    made = torch.stack(pair, -1).flatten(-2) if traditional else torch.cat(pair, -1)
    return torch.cat([made, rest], -1)


FAST = [
    Case("attention", attend(), torch_attend(), Q),
    Case("attention, boolean mask", lambda *a: attend(mask=mx.array(BOOL))(*a), torch_attend(attn_mask=torch.tensor(BOOL)), Q),
    Case("attention, additive mask", lambda q, k, v, m: attend(mask=m)(q, k, v), lambda q, k, v, m: torch_attend(attn_mask=m)(q, k, v), (*Q, (2, 4, 5, 6))),
    Case("attention, causal", attend(mask="causal"), torch_attend(is_causal=True), SQUARE),
    Case("fast.layer_norm", lambda x, w, b: mx.fast.layer_norm(x, w, b, 1e-5), lambda x, w, b: F.layer_norm(x, (5,), w, b, 1e-5), (M, (5,), (5,))),
    Case("fast.layer_norm plain", lambda x: mx.fast.layer_norm(x, None, None, 1e-5), lambda x: F.layer_norm(x, (5,)), (M,)),
    Case("fast.rms_norm", lambda x, w: mx.fast.rms_norm(x, w, 1e-5), lambda x, w: F.rms_norm(x, (5,), w, 1e-5), (M, (5,))),
    *(Case(f"fast.rope {t}", lambda x, t=t: mx.fast.rope(x, 6, traditional=t, base=10000.0, scale=0.5, offset=3), lambda x, t=t: rope(x, 6, t, scale=0.5, offset=3), ((2, 3, 4, 8),)) for t in (True, False)),
]


def conv(n: int, transposed: bool, groups: int, **named) -> Case:
    """A (transposed) convolution of n dimensions; x is channels last in MLX's and moved for PyTorch's."""
    size, kernel = ((11,), (9, 8), (5, 6, 5))[n - 1], ((3,), (3, 2), (2, 3, 2))[n - 1]
    mine, theirs = (f"conv_transpose{n}d", f"conv_transpose{n}d") if transposed else (f"conv{n}d",) * 2
    arrange = (lambda w: w.movedim(-1, 0).unflatten(0, (1, -1)).flatten(0, 1)) if not transposed else None

    def theirs_of(x, w):
        w = w.movedim(-1, 1)  # (out, in / groups, ...)
        if transposed:  # PyTorch's is (in, out / groups, ...)
            w = w.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
        return last(getattr(F, theirs)(first(x), w, groups=groups, **named))

    told = ", ".join(f"{k} {v}" for k, v in named.items())
    return Case(f"{mine} groups {groups} {told}", lambda x, w: getattr(mx, mine)(x, w, groups=groups, **named), theirs_of, ((2, *size, 2 * groups), (3 * groups, *kernel, 2)))


OPTIONS = ({}, {"stride": 2, "padding": 1}, {"dilation": 2}, {"stride": 2, "padding": 1, "dilation": 2})
OUTPUT = ({}, {"stride": 2, "padding": 1}, {"stride": 2, "padding": 1, "output_padding": 1}, {"dilation": 2}, {"stride": 3, "dilation": 2, "padding": 2, "output_padding": 1})
CONVOLUTIONS = [
    *(conv(n, False, g, **o) for n in (1, 2, 3) for g in (1, 2) for o in OPTIONS),
    *(conv(n, True, g, **o) for n in (1, 2, 3) for g in (1, 2) for o in OUTPUT),
    Case("conv_general flipped", lambda x, w: mx.conv_general(x, w, stride=2, padding=([1], [2]), kernel_dilation=2, input_dilation=1, flip=True), lambda x, w: last(F.conv1d(F.pad(first(x), (1, 2)), w.flip(1).movedim(-1, 1), stride=2, dilation=2)), ((2, 11, 2), (3, 3, 2))),
    Case("conv_general input dilation", lambda x, w: mx.conv_general(x, w, padding=2, input_dilation=2), lambda x, w: last(F.conv_transpose1d(first(x), w.flip(1).movedim(-1, 0), stride=2)), ((2, 5, 2), (3, 3, 2))),
]
