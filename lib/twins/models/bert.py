"""BERT for sentence pairs, twice: post-norm blocks, exact GELU, token types, learned positions, pooler.

Encoder: Devlin et al. 2019 (https://arxiv.org/abs/1810.04805) and its code, google-research/bert modeling.py.
Pairs: both sentences pass one encoder and are judged by (u, v, |u - v|, u * v), as in Conneau et al. 2017
(https://arxiv.org/abs/1705.02364); u and v are BERT's own summary of a text, the pooled first token.
Dropout is 0 on both sides: random masks would differ, and with them the losses.
"""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import torch
from torch import nn as tnn
from torch.nn import functional as F

LAYER_NORM_EPS = 1e-12
TYPES = 2  # the first sentence is of type 0, the second of type 1
# layers and width of the published sizes, 64 wide heads: Turc et al. 2019, https://arxiv.org/abs/1908.08962
SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "base": (12, 768)}


@dataclass(frozen=True)
class Config:
    """Sizes of the model; `width` must be divisible by `heads`, all are at least 1 (ValueError otherwise)."""

    vocabulary: int
    context: int
    width: int
    layers: int
    heads: int
    classes: int = 3

    def __post_init__(self):
        for size, value in vars(self).items():
            if type(value) is int and value < 1:
                raise ValueError(f"bert: {size} is {value}; allowed is 1 or more")
        if self.width % self.heads:
            raise ValueError(
                f"bert: width {self.width} is not divisible by heads {self.heads}; "
                f"widths allowed with {self.heads} heads are its multiples"
            )


class MlxBlock(mnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.heads = c.heads
        self.qkv = mnn.Linear(c.width, 3 * c.width)
        self.proj = mnn.Linear(c.width, c.width)
        self.norm1 = mnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.up = mnn.Linear(c.width, 4 * c.width)
        self.down = mnn.Linear(4 * c.width, c.width)
        self.norm2 = mnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)

    def attend(self, x, mask):
        B, T, C = x.shape
        qkv = self.qkv(x).reshape(B, T, 3, self.heads, -1)  # (B, T, C) -> (B, T, 3, H, D)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # 3 times (B, H, T, D)
        scale = (C // self.heads) ** -0.5
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)
        return self.proj(y.transpose(0, 2, 1, 3).reshape(B, T, C))  # (B, H, T, D) -> (B, T, C)

    def __call__(self, x, mask):
        x = self.norm1(x + self.attend(x, mask))
        return self.norm2(x + self.down(mnn.gelu(self.up(x))))


class MlxBert(mnn.Module):
    """ids, types and mask, each (B, T), mask true at real tokens -> states (B, T, C), pooled (B, C)."""

    def __init__(self, c: Config):
        super().__init__()
        self.tokens = mnn.Embedding(c.vocabulary, c.width)
        self.positions = mnn.Embedding(c.context, c.width)
        self.types = mnn.Embedding(TYPES, c.width)
        self.norm = mnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.blocks = [MlxBlock(c) for _ in range(c.layers)]
        self.pooler = mnn.Linear(c.width, c.width)

    def __call__(self, ids, types, mask):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]] + self.types(types)
        x, mask = self.norm(x), mask[:, None, None]  # (B, T) -> (B, 1, 1, T)
        for block in self.blocks:
            x = block(x, mask)
        return x, mx.tanh(self.pooler(x[:, 0]))  # (B, T, C) -> (B, C)


class MlxBertPairs(mnn.Module):
    """ids and mask (B, 2, T), two sentences a row, pooled at their first tokens -> logits (B, classes)."""

    def __init__(self, c: Config):
        super().__init__()
        self.encoder = MlxBert(c)
        self.head = mnn.Linear(4 * c.width, c.classes)

    def __call__(self, ids, mask):
        B, S, T = ids.shape
        types = mx.arange(B * S)[:, None] % S  # (2B, 1): 0, 1, 0, 1, ...
        _, pooled = self.encoder(ids.reshape(B * S, T), types, mask.reshape(B * S, T))
        u, v = pooled.reshape(B, S, -1).transpose(1, 0, 2)  # (2B, C) -> 2 times (B, C)
        return self.head(mx.concatenate([u, v, mx.abs(u - v), u * v], axis=1))


class TorchBlock(tnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.heads = c.heads
        self.qkv = tnn.Linear(c.width, 3 * c.width)
        self.proj = tnn.Linear(c.width, c.width)
        self.norm1 = tnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.up = tnn.Linear(c.width, 4 * c.width)
        self.down = tnn.Linear(4 * c.width, c.width)
        self.norm2 = tnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)

    def attend(self, x, mask):
        B, T, C = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.heads, -1)  # (B, T, C) -> (B, T, 3, H, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 times (B, H, T, D)
        scale = (C // self.heads) ** -0.5
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=0.0, scale=scale)
        return self.proj(y.transpose(1, 2).reshape(B, T, C))  # (B, H, T, D) -> (B, T, C)

    def forward(self, x, mask):
        x = self.norm1(x + self.attend(x, mask))
        return self.norm2(x + self.down(F.gelu(self.up(x), approximate="none")))


class TorchBert(tnn.Module):
    """ids, types and mask, each (B, T), mask true at real tokens -> states (B, T, C), pooled (B, C)."""

    def __init__(self, c: Config):
        super().__init__()
        self.tokens = tnn.Embedding(c.vocabulary, c.width)
        self.positions = tnn.Embedding(c.context, c.width)
        self.types = tnn.Embedding(TYPES, c.width)
        self.norm = tnn.LayerNorm(c.width, eps=LAYER_NORM_EPS)
        self.blocks = tnn.ModuleList(TorchBlock(c) for _ in range(c.layers))
        self.pooler = tnn.Linear(c.width, c.width)

    def forward(self, ids, types, mask):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]] + self.types(types)
        x, mask = self.norm(x), mask[:, None, None]  # (B, T) -> (B, 1, 1, T)
        for block in self.blocks:
            x = block(x, mask)
        return x, torch.tanh(self.pooler(x[:, 0]))  # (B, T, C) -> (B, C)


class TorchBertPairs(tnn.Module):
    """ids and mask (B, 2, T), two sentences a row, pooled at their first tokens -> logits (B, classes)."""

    def __init__(self, c: Config):
        super().__init__()
        self.encoder = TorchBert(c)
        self.head = tnn.Linear(4 * c.width, c.classes)
        self.apply(initialise)

    def forward(self, ids, mask):
        B, S, T = ids.shape
        types = torch.arange(S, device=ids.device).repeat(B)[:, None]  # (2B, 1): 0, 1, 0, 1, ...
        _, pooled = self.encoder(ids.view(B * S, T), types, mask.view(B * S, T))
        u, v = pooled.view(B, S, -1).unbind(1)  # (2B, C) -> 2 times (B, C)
        return self.head(torch.cat([u, v, (u - v).abs(), u * v], dim=1))


def initialise(module: tnn.Module) -> None:
    """BERT's start, made in torch and copied to MLX: normal of 0.02 cut at two deviations, biases zero."""
    if isinstance(module, tnn.Linear | tnn.Embedding):
        tnn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
    if isinstance(module, tnn.Linear):
        tnn.init.zeros_(module.bias)


def mlx_loss(model, ids, mask, labels):
    """Mean cross-entropy of the pairs' labels, in nats."""
    return mnn.losses.cross_entropy(model(ids, mask), labels, reduction="mean")


def torch_loss(model, ids, mask, labels):
    """Mean cross-entropy of the pairs' labels, in nats."""
    return F.cross_entropy(model(ids, mask), labels, reduction="mean")


HALVES = (MlxBertPairs, TorchBertPairs)


def tiny(**changes: int) -> Config:
    """A size for tests: trains in milliseconds."""
    return Config(**{"vocabulary": 64, "context": 16, "width": 32, "layers": 2, "heads": 2} | changes)


def published(size: str, vocabulary: int = 30_522, context: int = 512, classes: int = 3) -> Config:
    """A size of Turc et al. by name; vocabulary and positions are those of the released checkpoints.

    Errors: ValueError naming the sizes there are.
    """
    if size not in SIZES:
        raise ValueError(f"bert: no published size is called {size!r}; there are {', '.join(SIZES)}")
    layers, width = SIZES[size]
    return Config(vocabulary, context, width, layers, width // 64, classes)


def example(c: Config, rng: np.random.Generator, batch: int = 2) -> tuple[np.ndarray, ...]:
    """Random pairs: ids (batch, 2, context) int32, mask of lengths from 1 to context, labels (batch,)."""
    ids = rng.integers(0, c.vocabulary, (batch, 2, c.context), dtype=np.int32)
    lengths = rng.integers(1, c.context + 1, (batch, 2, 1))
    return ids, np.arange(c.context) < lengths, rng.integers(0, c.classes, batch, dtype=np.int32)


def memory(c: Config, batch: int) -> int:
    """Bytes one float32 training step is estimated to hold at its peak.

    Parameters, gradients and AdamW's two moments (16 bytes each), plus what backward keeps per block:
    17 activations of (2B, T, C) and three score matrices of (2B, H, T, T), the unfused worst case
    (Korthikanti et al. 2022, https://arxiv.org/abs/2205.05198, section 4, in float32).
    """
    block = 12 * c.width**2 + 13 * c.width
    embeddings = (c.vocabulary + c.context + TYPES + 2) * c.width
    rest = c.width**2 + c.width + (4 * c.width + 1) * c.classes
    tokens = 2 * batch * c.context
    kept = c.layers * (17 * tokens * c.width + 3 * tokens * c.heads * c.context)
    return 16 * (c.layers * block + embeddings + rest) + 4 * kept
