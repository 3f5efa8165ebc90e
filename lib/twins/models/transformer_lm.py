"""A GPT-style language model, twice: pre-norm blocks, exact GELU, learned positions, tied head optional.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; the GELU is the exact one of
Hendrycks and Gimpel 2016 (https://arxiv.org/abs/1606.08415).
"""

from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
from torch import nn as tnn
from torch.nn import functional as F

LAYER_NORM_EPS = 1e-5


@dataclass(frozen=True)
class Config:
    """Sizes of the model; `width` must be divisible by `heads` (ValueError otherwise)."""

    vocabulary: int
    context: int
    width: int
    layers: int
    heads: int
    tied: bool = True

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(
                f"transformer_lm: width {self.width} is not divisible by heads {self.heads}; "
                f"widths allowed with {self.heads} heads are its multiples"
            )


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
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal")
        return self.proj(y.transpose(0, 2, 1, 3).reshape(B, T, C))  # (B, H, T, D) -> (B, T, C)

    def __call__(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.down(mnn.gelu(self.up(self.norm2(x))))


class MlxTransformerLM(mnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.tokens = mnn.Embedding(c.vocabulary, c.width)
        self.positions = mnn.Embedding(c.context, c.width)
        self.blocks = [MlxBlock(c) for _ in range(c.layers)]
        self.norm = mnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        if not c.tied:
            self.head = mnn.Linear(c.width, c.vocabulary, bias=False)

    def __call__(self, ids):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]  # (B, T) -> (B, T, C)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x) if "head" in self else self.tokens.as_linear(x)  # (B, T, C) -> (B, T, V)


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
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        return self.proj(y.transpose(1, 2).reshape(B, T, C))  # (B, H, T, D) -> (B, T, C)

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class TorchTransformerLM(tnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.tokens = tnn.Embedding(c.vocabulary, c.width)
        self.positions = tnn.Embedding(c.context, c.width)
        self.blocks = tnn.ModuleList(TorchBlock(c) for _ in range(c.layers))
        self.norm = tnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.head = None if c.tied else tnn.Linear(c.width, c.vocabulary, bias=False)
        self.apply(initialise)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]  # (B, T) -> (B, T, C)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        weight = self.tokens.weight if self.head is None else self.head.weight
        return F.linear(x, weight)  # (B, T, C) -> (B, T, V)


def initialise(module: tnn.Module) -> None:
    """GPT-2's start, made once in torch and copied to MLX: normal of 0.02, biases zero."""
    if isinstance(module, tnn.Linear | tnn.Embedding):
        tnn.init.normal_(module.weight, std=0.02)
    if isinstance(module, tnn.Linear) and module.bias is not None:
        tnn.init.zeros_(module.bias)


def mlx_loss(model, ids, targets):
    """Mean cross-entropy of the next token, in nats."""
    return mnn.losses.cross_entropy(model(ids), targets, reduction="mean")


def torch_loss(model, ids, targets):
    """Mean cross-entropy of the next token, in nats."""
    return F.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), reduction="mean")


HALVES = (MlxTransformerLM, TorchTransformerLM)


def tiny(**changes: Any) -> Config:
    """A size for tests: trains in milliseconds."""
    return replace(Config(vocabulary=64, context=16, width=32, layers=2, heads=2), **changes)


def published(vocabulary: int = 10_000) -> Config:
    """The circulating benchmark's size: 12 blocks, width 1024, 16 heads, context 1024 (batch 32).

    https://github.com/LucasSte/MLX-vs-Pytorch, lm_train.py
    """
    return Config(vocabulary=vocabulary, context=1024, width=1024, layers=12, heads=16, tied=False)


def example(c: Config, rng: np.random.Generator, batch: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """One batch: ids and next ids, each (batch, context) int32."""
    ids = rng.integers(0, c.vocabulary, (batch, c.context + 1), dtype=np.int32)
    return ids[:, :-1], ids[:, 1:]


def memory(c: Config, batch: int) -> int:
    """Bytes one float32 training step is estimated to hold at its peak.

    Parameters, gradients and AdamW's two moments (16 bytes each), plus what backward keeps per block:
    17 activations of (B, T, C) and three score matrices of (B, H, T, T), the unfused worst case
    (Korthikanti et al. 2022, https://arxiv.org/abs/2205.05198, section 4, in float32), and three
    times the logits.
    """
    block = 12 * c.width**2 + 13 * c.width
    embedding = c.vocabulary * c.width * (1 if c.tied else 2)
    parameters = c.layers * block + embedding + c.context * c.width + 2 * c.width
    tokens = batch * c.context
    kept = c.layers * (17 * tokens * c.width + 3 * tokens * c.heads * c.context)
    return 16 * parameters + 4 * (kept + 3 * tokens * c.vocabulary)
