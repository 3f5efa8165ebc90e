"""Larger operations of MLX beside the same in PyTorch: linear algebra, FFT, mlx.core.fast and convolutions.

A table of the float64 tests, in the form of float64_cases.
"""

from collections.abc import Callable

import numpy as np
import torch
from float64_cases import Case, M
from torch.nn import functional as F

from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels last to channels first."""
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    """Channels first to channels last."""
    return x.movedim(1, -1)


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
    Case(
        "linalg.norm 2", lambda x: mx.linalg.norm(x, 2, axis=(0, 1)), lambda x: torch.linalg.norm(x, 2), (M,)
    ),
    Case(
        "linalg.inv",
        lambda x: mx.linalg.inv(mlx_window(x)),
        lambda x: torch.linalg.inv(window(x)),
        ((2, 3, 3),),
    ),
    Case(
        "linalg.cholesky",
        lambda x: mx.linalg.cholesky(mlx_window(x)),
        lambda x: torch.linalg.cholesky(window(x)),
        ((2, 3, 3),),
    ),
    Case(
        "linalg.solve",
        lambda x, b: mx.linalg.solve(mlx_window(x), b),
        lambda x, b: torch.linalg.solve(window(x), b),
        ((2, 3, 3), (2, 3, 2)),
    ),
    Case("linalg.qr", lambda x: mx.abs(mx.linalg.qr(x)[1]), lambda x: torch.linalg.qr(x)[1].abs(), ((4, 3),)),
    Case("linalg.svd", lambda x: mx.linalg.svd(x)[1], lambda x: torch.linalg.svdvals(x), ((4, 3),)),
    Case(
        "linalg.eigh",
        lambda x: mx.linalg.eigh(mlx_window(x))[0],
        lambda x: torch.linalg.eigvalsh(window(x)),
        ((3, 3),),
    ),
    Case(
        "linalg.eigvalsh",
        lambda x: mx.linalg.eigvalsh(mlx_window(x)),
        lambda x: torch.linalg.eigvalsh(window(x)),
        ((3, 3),),
    ),
    Case(
        "linalg.det", lambda x: mx.linalg.det(mlx_window(x)), lambda x: torch.linalg.det(window(x)), ((3, 3),)
    ),
    Case(
        "linalg.slogdet",
        lambda x: mx.linalg.slogdet(mlx_window(x))[1],
        lambda x: torch.linalg.slogdet(window(x))[1],
        ((3, 3),),
    ),
    Case("linalg.pinv", lambda x: mx.linalg.pinv(x), torch.linalg.pinv, ((4, 3),)),
    Case(
        "linalg.tri_inv",
        lambda x: mx.linalg.tri_inv(mx.tril(mlx_window(x))),
        lambda x: torch.linalg.inv(window(x).tril()),
        ((3, 3),),
    ),
    Case(
        "linalg.solve_triangular",
        lambda x, b: mx.linalg.solve_triangular(mx.tril(mlx_window(x)), b),
        lambda x, b: torch.linalg.solve_triangular(window(x).tril(), b, upper=False),
        ((3, 3), (3, 2)),
    ),
    Case(
        "linalg.cholesky_inv",
        lambda x: mx.linalg.cholesky_inv(mx.tril(mlx_window(x))),
        lambda x: torch.cholesky_inverse(window(x).tril()),
        ((3, 3),),
    ),
]
S = (2, 4, 6)


def _parts(x: mx.array) -> mx.array:
    return mx.stack([mx.real(x), mx.imag(x)])


def _torch_parts(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x.real, x.imag])


FFT = [
    *(
        Case(
            n,
            lambda x, n=n: _parts(getattr(mx.fft, n)(x)),
            lambda x, n=n: _torch_parts(getattr(torch.fft, n)(x)),
            (S,),
        )
        for n in ("fft", "ifft", "rfft", "fft2", "rfft2", "fftn", "rfftn")
    ),
    Case(
        "power spectrum", lambda x: mx.abs(mx.fft.rfft(x)) ** 2, lambda x: torch.fft.rfft(x).abs() ** 2, (S,)
    ),
    Case(
        "irfft",
        lambda x: mx.fft.irfft(mx.fft.rfft(x) * mx.array([1, 0.5, 0.25, 0.125])),
        lambda x: torch.fft.irfft(torch.fft.rfft(x) * torch.tensor([1, 0.5, 0.25, 0.125])),
        (S,),
    ),
    Case(
        "filter",
        lambda x, w: mx.fft.irfft(mx.fft.rfft(x, axis=1) * w, n=4, axis=1),
        lambda x, w: torch.fft.irfft(torch.fft.rfft(x, dim=1) * w, n=4, dim=1),
        (S, (3, 6)),
    ),
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


def rope(
    x: torch.Tensor, dims: int, traditional: bool, base: float = 10000.0, scale: float = 1.0, offset: int = 0
):
    """Rotary positions from their definition (Su et al. 2021)."""
    angle = (
        (torch.arange(x.shape[-2], dtype=x.dtype) + offset)[:, None]
        * scale
        * base ** (-torch.arange(0, dims, 2, dtype=x.dtype) / dims)
    )
    turned, rest = x[..., :dims], x[..., dims:]
    a, b = (turned[..., ::2], turned[..., 1::2]) if traditional else turned.chunk(2, -1)
    pair = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    made = torch.stack(pair, -1).flatten(-2) if traditional else torch.cat(pair, -1)
    return torch.cat([made, rest], -1)


FAST = [
    Case("attention", attend(), torch_attend(), Q),
    Case(
        "attention, boolean mask",
        lambda *a: attend(mask=mx.array(BOOL))(*a),
        torch_attend(attn_mask=torch.tensor(BOOL)),
        Q,
    ),
    Case(
        "attention, additive mask",
        lambda q, k, v, m: attend(mask=m)(q, k, v),
        lambda q, k, v, m: torch_attend(attn_mask=m)(q, k, v),
        (*Q, (2, 4, 5, 6)),
    ),
    Case("attention, causal", attend(mask="causal"), torch_attend(is_causal=True), SQUARE),
    Case(
        "fast.layer_norm",
        lambda x, w, b: mx.fast.layer_norm(x, w, b, 1e-5),
        lambda x, w, b: F.layer_norm(x, (5,), w, b, 1e-5),
        (M, (5,), (5,)),
    ),
    Case(
        "fast.layer_norm plain",
        lambda x: mx.fast.layer_norm(x, None, None, 1e-5),
        lambda x: F.layer_norm(x, (5,)),
        (M,),
    ),
    Case(
        "fast.rms_norm",
        lambda x, w: mx.fast.rms_norm(x, w, 1e-5),
        lambda x, w: F.rms_norm(x, (5,), w, 1e-5),
        (M, (5,)),
    ),
    *(
        Case(
            f"fast.rope {t}",
            lambda x, t=t: mx.fast.rope(x, 6, traditional=t, base=10000.0, scale=0.5, offset=3),
            lambda x, t=t: rope(x, 6, t, scale=0.5, offset=3),
            ((2, 3, 4, 8),),
        )
        for t in (True, False)
    ),
]


def conv(n: int, transposed: bool, groups: int, **named) -> Case:
    """A (transposed) convolution of n dimensions; x is channels last in MLX's and moved for PyTorch's."""
    size, kernel = ((11,), (9, 8), (5, 6, 5))[n - 1], ((3,), (3, 2), (2, 3, 2))[n - 1]
    function = f"conv_transpose{n}d" if transposed else f"conv{n}d"

    def theirs(x, w):
        w = w.movedim(-1, 1)  # (out, in / groups, ...)
        if transposed:  # PyTorch's is (in, out / groups, ...)
            w = w.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
        return last(getattr(F, function)(first(x), w, groups=groups, **named))

    told = ", ".join(f"{k} {v}" for k, v in named.items())
    return Case(
        f"{function} groups {groups} {told}",
        lambda x, w: getattr(mx, function)(x, w, groups=groups, **named),
        theirs,
        ((2, *size, 2 * groups), (3 * groups, *kernel, 2)),
    )


OPTIONS = ({}, {"stride": 2, "padding": 1}, {"dilation": 2}, {"stride": 2, "padding": 1, "dilation": 2})
OUTPUT = (
    {},
    {"stride": 2, "padding": 1},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"dilation": 2},
    {"stride": 3, "dilation": 2, "padding": 2, "output_padding": 1},
)
CONVOLUTIONS = [
    *(conv(n, False, g, **o) for n in (1, 2, 3) for g in (1, 2) for o in OPTIONS),
    *(conv(n, True, g, **o) for n in (1, 2, 3) for g in (1, 2) for o in OUTPUT),
    Case(
        "conv_general flipped",
        lambda x, w: mx.conv_general(
            x, w, stride=2, padding=([1], [2]), kernel_dilation=2, input_dilation=1, flip=True
        ),
        lambda x, w: last(F.conv1d(F.pad(first(x), (1, 2)), w.flip(1).movedim(-1, 1), stride=2, dilation=2)),
        ((2, 11, 2), (3, 3, 2)),
    ),
    Case(
        "conv_general input dilation",
        lambda x, w: mx.conv_general(x, w, padding=2, input_dilation=2),
        lambda x, w: last(F.conv_transpose1d(first(x), w.flip(1).movedim(-1, 0), stride=2)),
        ((2, 5, 2), (3, 3, 2)),
    ),
]
