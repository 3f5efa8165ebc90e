"""Layers and losses of mlx.nn, each beside the same in PyTorch written with the layer's own weights.

A case is a name, what makes the layer, PyTorch's function of the weights by name and of the input, and the
shape of the input. Weights are given as PyTorch's functions want them, in float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional as F

from twins import frameworks as frameworks

import mlx.nn as mnn  # isort: skip


class Layer(NamedTuple):
    """One layer in both frameworks; `whole` is the number of ids when the input is integers."""

    name: str
    make: Callable
    torch: Callable
    shape: tuple[int, ...] = (3, 8)
    whole: int = 0


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels last to channels first."""
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    """Channels first to channels last."""
    return x.movedim(1, -1)


def channels(function: Callable, **named) -> Callable:
    """PyTorch's function of a weight, a bias and channels-first input, as one of channels-last input."""
    return lambda p, x: last(function(first(x), p["weight"].movedim(-1, 1), p.get("bias"), **named))


def turned(function: Callable, **named) -> Callable:
    """The same for a transposed convolution, whose weight PyTorch has with inputs first."""
    return lambda p, x: last(function(first(x), p["weight"].movedim(-1, 0), p.get("bias"), **named))


def pooled(function: Callable, *sizes, **named) -> Callable:
    """PyTorch's pooling of channels-last input."""
    return lambda p, x: last(function(first(x), *sizes, **named))


def plain(function: Callable) -> Callable:
    """A function of the input alone."""
    return lambda p, x: function(x)


IMAGE, LINE, BOX = (2, 8, 6, 4), (2, 9, 4), (2, 4, 6, 4, 4)
ACTIVATIONS = [
    Layer("ReLU", mnn.ReLU, plain(F.relu)),
    Layer("ReLU6", mnn.ReLU6, plain(F.relu6)),
    Layer("LeakyReLU", mnn.LeakyReLU, plain(F.leaky_relu)),
    Layer("PReLU", mnn.PReLU, lambda p, x: F.prelu(x, p["weight"])),
    Layer("ELU", mnn.ELU, plain(F.elu)),
    Layer("CELU", lambda: mnn.CELU(1.5), plain(lambda x: F.celu(x, 1.5))),
    Layer("SiLU", mnn.SiLU, plain(F.silu)),
    Layer("Mish", mnn.Mish, plain(F.mish)),
    Layer("GELU", mnn.GELU, plain(F.gelu)),
    Layer("GELU tanh", lambda: mnn.GELU("precise"), plain(lambda x: F.gelu(x, approximate="tanh"))),
    Layer("GELU fast", lambda: mnn.GELU("fast"), plain(lambda x: x * torch.sigmoid(1.702 * x))),
    Layer("GLU", mnn.GLU, plain(F.glu)),
    Layer("Sigmoid", mnn.Sigmoid, plain(torch.sigmoid)),
    Layer("LogSigmoid", mnn.LogSigmoid, plain(F.logsigmoid)),
    Layer("Softplus", mnn.Softplus, plain(F.softplus)),
    Layer("Softsign", mnn.Softsign, plain(F.softsign)),
    Layer("Softshrink", mnn.Softshrink, plain(F.softshrink)),
    Layer("HardShrink", mnn.HardShrink, plain(F.hardshrink)),
    Layer("HardTanh", mnn.HardTanh, plain(F.hardtanh)),
    Layer("Hardswish", mnn.Hardswish, plain(F.hardswish)),
    Layer("Tanh", mnn.Tanh, plain(torch.tanh)),
    Layer("Softmax", mnn.Softmax, plain(lambda x: x.softmax(-1))),
    Layer("Softmin", mnn.Softmin, plain(lambda x: F.softmin(x, -1))),
    Layer("LogSoftmax", mnn.LogSoftmax, plain(lambda x: x.log_softmax(-1))),
]
NORMS = [
    Layer("LayerNorm", lambda: mnn.LayerNorm(8), lambda p, x: F.layer_norm(x, (8,), p["weight"], p["bias"])),
    Layer("RMSNorm", lambda: mnn.RMSNorm(8), lambda p, x: F.rms_norm(x, (8,), p["weight"], 1e-5)),
    Layer(
        "GroupNorm",
        lambda: mnn.GroupNorm(2, 4, pytorch_compatible=True),
        lambda p, x: last(F.group_norm(first(x), 2, p["weight"], p["bias"])),
        IMAGE,
    ),
    Layer(
        "InstanceNorm",
        lambda: mnn.InstanceNorm(4, affine=True),
        lambda p, x: last(F.instance_norm(first(x), weight=p["weight"], bias=p["bias"])),
        IMAGE,
    ),
    Layer(
        "BatchNorm",
        lambda: mnn.BatchNorm(4),
        lambda p, x: last(F.batch_norm(first(x), None, None, p["weight"], p["bias"], training=True)),
        IMAGE,
    ),
]
CONVOLUTIONS = [
    Layer(
        "Conv1d",
        lambda: mnn.Conv1d(4, 6, 3, 2, 1, 2),
        channels(F.conv1d, stride=2, padding=1, dilation=2),
        LINE,
    ),
    Layer("Conv2d", lambda: mnn.Conv2d(4, 6, 3, 2, 1), channels(F.conv2d, stride=2, padding=1), IMAGE),
    Layer(
        "Conv2d depthwise",
        lambda: mnn.Conv2d(4, 4, 3, padding=1, groups=4),
        channels(F.conv2d, padding=1, groups=4),
        IMAGE,
    ),
    Layer("Conv3d", lambda: mnn.Conv3d(4, 6, 3, 1, 1), channels(F.conv3d, padding=1), BOX),
    Layer(
        "ConvTranspose1d",
        lambda: mnn.ConvTranspose1d(4, 6, 3, 2, 1),
        turned(F.conv_transpose1d, stride=2, padding=1),
        LINE,
    ),
    Layer(
        "ConvTranspose2d",
        lambda: mnn.ConvTranspose2d(4, 6, 4, 2, 1),
        turned(F.conv_transpose2d, stride=2, padding=1),
        IMAGE,
    ),
    Layer(
        "ConvTranspose2d output_padding",
        lambda: mnn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1),
        turned(F.conv_transpose2d, stride=2, padding=1, output_padding=1),
        IMAGE,
    ),
    Layer(
        "ConvTranspose3d", lambda: mnn.ConvTranspose3d(4, 6, 2, 2), turned(F.conv_transpose3d, stride=2), BOX
    ),
]
POOLING = [
    Layer("MaxPool1d", lambda: mnn.MaxPool1d(3, 2, 1), pooled(F.max_pool1d, 3, 2, 1), LINE),
    Layer("MaxPool2d", lambda: mnn.MaxPool2d(2, 2), pooled(F.max_pool2d, 2, 2), IMAGE),
    Layer("MaxPool2d overlapping", lambda: mnn.MaxPool2d(3, 2, 1), pooled(F.max_pool2d, 3, 2, 1), IMAGE),
    Layer("MaxPool3d", lambda: mnn.MaxPool3d(2, 2), pooled(F.max_pool3d, 2, 2), BOX),
    Layer("AvgPool1d", lambda: mnn.AvgPool1d(3, 2, 1), pooled(F.avg_pool1d, 3, 2, 1), LINE),
    Layer("AvgPool2d", lambda: mnn.AvgPool2d(2, 2), pooled(F.avg_pool2d, 2, 2), IMAGE),
    Layer("AvgPool2d overlapping", lambda: mnn.AvgPool2d(3, 2, 1), pooled(F.avg_pool2d, 3, 2, 1), IMAGE),
    Layer("AvgPool3d", lambda: mnn.AvgPool3d(2, 1), pooled(F.avg_pool3d, 2, 1), BOX),
    Layer("Upsample nearest", lambda: mnn.Upsample(2.0), pooled(F.interpolate, scale_factor=2), IMAGE),
    Layer(
        "Upsample linear",
        lambda: mnn.Upsample(3.0, "linear"),
        pooled(F.interpolate, scale_factor=3, mode="bilinear"),
        IMAGE,
    ),
    Layer(
        "Upsample linear corners",
        lambda: mnn.Upsample(2.0, "linear", True),
        pooled(F.interpolate, scale_factor=2, mode="bilinear", align_corners=True),
        IMAGE,
    ),
    Layer(
        "Upsample cubic",
        lambda: mnn.Upsample(3.0, "cubic"),
        pooled(F.interpolate, scale_factor=3, mode="bicubic"),
        IMAGE,
    ),
]


def lstm(p: dict, x: torch.Tensor) -> torch.Tensor:
    """The hidden states (B, T, H) of an LSTM from zeros."""
    hidden = cell = x.new_zeros(len(x), p["Wh"].shape[1])
    made = []
    for t in range(x.shape[1]):
        i, f, g, o = (x[:, t] @ p["Wx"].T + p["bias"] + hidden @ p["Wh"].T).chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        made.append(hidden)
    return torch.stack(made, 1)


def gru(p: dict, x: torch.Tensor) -> torch.Tensor:
    """The hidden states (B, T, H) of a GRU from zeros."""
    hidden, made = x.new_zeros(len(x), p["Wh"].shape[1]), []
    for t in range(x.shape[1]):
        r, z, n = (x[:, t] @ p["Wx"].T + p["b"]).chunk(3, -1)
        hr, hz, hn = (hidden @ p["Wh"].T).chunk(3, -1)
        r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
        hidden = (1 - z) * (n + r * (hn + p["bhn"])).tanh() + z * hidden
        made.append(hidden)
    return torch.stack(made, 1)


def attention(p: dict, x: torch.Tensor) -> torch.Tensor:
    """Self-attention of two heads."""
    q, k, v = (
        (x @ p[f"{n}_proj.weight"].T).unflatten(-1, (2, -1)).transpose(1, 2)
        for n in ("query", "key", "value")
    )
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2) @ p["out_proj.weight"].T


def sines(x: torch.Tensor) -> torch.Tensor:
    """MLX's sinusoidal encoding of 8 features."""
    y = x[..., None] * 1e-4 ** (torch.arange(4, dtype=x.dtype) / 3)
    return torch.cat([y.sin(), y.cos()], -1) * 0.5


def turns(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions of all 8 features, halves apart."""
    angle = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * 10000.0 ** (
        -torch.arange(4, dtype=x.dtype) / 4
    )
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


class Attending(mnn.Module):
    """Self-attention of MLX."""

    def __init__(self):
        super().__init__()
        self.inner = mnn.MultiHeadAttention(8, 2)

    def __call__(self, x):
        return self.inner(x, x, x)


class Hidden(mnn.Module):
    """The hidden states of an LSTM alone."""

    def __init__(self):
        super().__init__()
        self.inner = mnn.LSTM(8, 5)

    def __call__(self, x):
        return self.inner(x)[0]


def inner(function: Callable) -> Callable:
    """A function of the weights of a layer called `inner`."""
    return lambda p, x: function({k.removeprefix("inner."): v for k, v in p.items()}, x)


OTHERS = [
    Layer("Linear", lambda: mnn.Linear(8, 5), lambda p, x: F.linear(x, p["weight"], p["bias"])),
    Layer("Embedding", lambda: mnn.Embedding(7, 4), lambda p, x: F.embedding(x, p["weight"]), (3, 5), 7),
    Layer("LSTM", Hidden, inner(lstm), (2, 4, 8)),
    Layer("GRU", lambda: mnn.GRU(8, 5), gru, (2, 4, 8)),
    Layer("MultiHeadAttention", Attending, inner(attention), (2, 5, 8)),
    Layer("RoPE", lambda: mnn.RoPE(8), plain(turns), (2, 5, 8)),
    Layer("SinusoidalPositionalEncoding", lambda: mnn.SinusoidalPositionalEncoding(8), plain(sines), (2, 5)),
]
LAYERS = ACTIVATIONS + NORMS + CONVOLUTIONS + POOLING + OTHERS
