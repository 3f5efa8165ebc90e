"""The vision transformer, twice: patches by a strided convolution, class token, pre-norm blocks, exact GELU.

Dosovitskiy et al. 2021 (https://arxiv.org/abs/2010.11929); the tiny size is that of Touvron et al. 2021,
"DeiT" (https://arxiv.org/abs/2012.12877, table 1). Images are NHWC; the PyTorch half takes them as NCHW.
"""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import torch
from torch import nn as tnn
from torch.nn import functional as F

LAYER_NORM_EPS = 1e-6


@dataclass(frozen=True)
class Config:
    """Sizes of the model; ValueError unless `heads` divides `width` and `patch` divides `size`."""

    size: int
    patch: int
    channels: int
    classes: int
    width: int
    layers: int
    heads: int

    def __post_init__(self):
        for size, value in vars(self).items():
            if type(value) is int and value < 1:
                raise ValueError(f"vit: {size} is {value}; allowed is 1 or more")
        for whole, part in (("width", "heads"), ("size", "patch")):
            number, divisor = getattr(self, whole), getattr(self, part)
            if number % divisor:
                raise ValueError(
                    f"vit: {whole} {number} is not divisible by {part} {divisor}; "
                    f"allowed with {part} {divisor} are its multiples"
                )

    @property
    def tokens(self) -> int:
        """The patches of an image and the class token."""
        return (self.size // self.patch) ** 2 + 1


class MlxBlock(mnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.heads = c.heads
        self.norm1 = mnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.qkv = mnn.Linear(c.width, 3 * c.width)
        self.proj = mnn.Linear(c.width, c.width)
        self.norm2 = mnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.up = mnn.Linear(c.width, 4 * c.width)
        self.down = mnn.Linear(4 * c.width, c.width)

    def attend(self, x):
        B, T, C = x.shape
        qkv = self.qkv(x).reshape(B, T, 3, self.heads, -1)  # (B, T, C) -> (B, T, 3, H, D)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # 3 times (B, H, T, D)
        scale = (C // self.heads) ** -0.5
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale)
        return self.proj(y.transpose(0, 2, 1, 3).reshape(B, T, C))  # (B, H, T, D) -> (B, T, C)

    def __call__(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.down(mnn.gelu(self.up(self.norm2(x))))


class MlxViT(mnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.patches = mnn.Conv2d(c.channels, c.width, c.patch, c.patch, padding=0)
        self.token = mx.zeros((1, 1, c.width))
        self.positions = mx.zeros((1, c.tokens, c.width))
        self.blocks = [MlxBlock(c) for _ in range(c.layers)]
        self.norm = mnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.head = mnn.Linear(c.width, c.classes)

    def __call__(self, x):
        x = self.patches(x).flatten(1, 2)  # (B, H, W, 3) -> (B, H/P, W/P, C) -> (B, T-1, C)
        token = mx.broadcast_to(self.token, (x.shape[0], 1, x.shape[2]))
        x = mx.concatenate([token, x], axis=1) + self.positions  # -> (B, T, C)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])  # (B, T, C) -> (B, C) -> (B, classes)


class TorchBlock(tnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.heads = c.heads
        self.norm1 = tnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.qkv = tnn.Linear(c.width, 3 * c.width)
        self.proj = tnn.Linear(c.width, c.width)
        self.norm2 = tnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.up = tnn.Linear(c.width, 4 * c.width)
        self.down = tnn.Linear(4 * c.width, c.width)

    def attend(self, x):
        B, T, C = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.heads, -1)  # (B, T, C) -> (B, T, 3, H, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 times (B, H, T, D)
        scale = (C // self.heads) ** -0.5
        y = F.scaled_dot_product_attention(q, k, v, scale=scale)
        return self.proj(y.transpose(1, 2).reshape(B, T, C))  # (B, H, T, D) -> (B, T, C)

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="none"))


class TorchViT(tnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.patches = tnn.Conv2d(c.channels, c.width, c.patch, c.patch, padding=0)
        self.token = tnn.Parameter(torch.zeros(1, 1, c.width))
        self.positions = tnn.Parameter(torch.zeros(1, c.tokens, c.width))
        self.blocks = tnn.ModuleList(TorchBlock(c) for _ in range(c.layers))
        self.norm = tnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.head = tnn.Linear(c.width, c.classes)
        self.apply(initialise)
        for parameter in (self.token, self.positions):
            tnn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)  # (B, 3, H, W) -> (B, C, H/P, W/P) -> (B, T-1, C)
        token = self.token.expand(x.shape[0], -1, -1)
        x = torch.cat([token, x], dim=1) + self.positions  # -> (B, T, C)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])  # (B, T, C) -> (B, C) -> (B, classes)


def initialise(module: tnn.Module) -> None:
    """DeiT's start, made once in torch and copied to MLX: truncated normal of 0.02, biases zero."""
    if isinstance(module, tnn.Linear | tnn.Conv2d):
        tnn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            tnn.init.zeros_(module.bias)


def mlx_loss(model, images, labels):
    """Mean cross-entropy of the class, in nats."""
    return mnn.losses.cross_entropy(model(images), labels, reduction="mean")


def torch_loss(model, images, labels):
    """Mean cross-entropy of the class, in nats."""
    return F.cross_entropy(model(images), labels, reduction="mean")


def torch_layout(images: np.ndarray, *labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """The batch as the PyTorch half takes it: images NHWC -> NCHW."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), *labels


HALVES = (MlxViT, TorchViT)


def tiny(**changes: int) -> Config:
    """A size for tests: trains in milliseconds."""
    sizes = {"size": 8, "patch": 4, "channels": 3, "classes": 10, "width": 32, "layers": 2, "heads": 2}
    return Config(**sizes | changes)


def vit_tiny(size: int = 224, patch: int = 16, channels: int = 3, classes: int = 1000) -> Config:
    """ViT-Ti/16 as in DeiT: 12 blocks, width 192, 3 heads, 5.7 million parameters."""
    return Config(size, patch, channels, classes, width=192, layers=12, heads=3)


def example(c: Config, rng: np.random.Generator, batch: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """One batch: images (batch, size, size, channels) float32 and labels (batch,) int32."""
    images = rng.standard_normal((batch, c.size, c.size, c.channels), dtype=np.float32)
    return images, rng.integers(0, c.classes, batch, dtype=np.int32)


def memory(c: Config, batch: int) -> int:
    """Bytes one float32 training step is estimated to hold at its peak.

    Parameters, gradients and AdamW's two moments (16 bytes each), plus what backward keeps per block:
    17 activations of (B, T, C) and three score matrices of (B, H, T, T), the unfused worst case
    (Korthikanti et al. 2022, https://arxiv.org/abs/2205.05198, section 4, in float32).
    """
    block = 12 * c.width**2 + 13 * c.width
    outer = c.width * (c.patch**2 * c.channels + c.tokens + c.classes + 4)
    tokens = batch * c.tokens
    kept = c.layers * (17 * tokens * c.width + 3 * tokens * c.heads * c.tokens)
    return 16 * (c.layers * block + outer) + 4 * kept
