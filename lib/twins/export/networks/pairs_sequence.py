"""Sequence networks in both frameworks, for comparing how they convert: Llama, Whisper's encoder, LSTM, GRU.

Touvron et al. 2023 (https://arxiv.org/abs/2302.13971) with grouped keys and values; Radford et al. 2022
(https://arxiv.org/abs/2212.04356). Sizes are small: the operations are those of the full networks.
"""

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from torch import nn as tnn  # isort: skip
from torch.nn import functional as F  # isort: skip

WIDTH, HEADS, GROUPS, LAYERS, VOCABULARY = 128, 4, 2, 2, 1000
DEPTH = WIDTH // HEADS  # of a head
EPS, BASE = 1e-5, 10_000.0


class MlxLlamaBlock(mnn.Module):
    """Attention with rotary positions and grouped keys, then a gated perceptron."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = mnn.RMSNorm(WIDTH, eps=EPS), mnn.RMSNorm(WIDTH, eps=EPS)
        self.q = mnn.Linear(WIDTH, WIDTH, bias=False)
        self.k, self.v = (mnn.Linear(WIDTH, GROUPS * DEPTH, bias=False) for _ in range(2))
        self.out = mnn.Linear(WIDTH, WIDTH, bias=False)
        self.gate, self.up = (mnn.Linear(WIDTH, 3 * WIDTH, bias=False) for _ in range(2))
        self.down = mnn.Linear(3 * WIDTH, WIDTH, bias=False)
        self.rope = mnn.RoPE(DEPTH, traditional=False, base=BASE)

    def __call__(self, x):
        B, T, C = x.shape
        h = self.norm1(x)
        q, k, v = (p(h).reshape(B, T, -1, DEPTH).transpose(0, 2, 1, 3) for p in (self.q, self.k, self.v))
        q, k = self.rope(q), self.rope(k)  # (B, H, T, D), (B, G, T, D)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=DEPTH**-0.5, mask="causal")
        x = x + self.out(y.transpose(0, 2, 1, 3).reshape(B, T, C))
        h = self.norm2(x)
        return x + self.down(mnn.silu(self.gate(h)) * self.up(h))


class MlxLlama(mnn.Module):
    """Tokens to logits, the head tied to the embedding."""

    def __init__(self, layers: int = LAYERS):
        super().__init__()
        self.tokens = mnn.Embedding(VOCABULARY, WIDTH)
        self.blocks = [MlxLlamaBlock() for _ in range(layers)]
        self.norm = mnn.RMSNorm(WIDTH, eps=EPS)

    def __call__(self, ids):
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x)
        return self.tokens.as_linear(self.norm(x))


class TorchLlamaBlock(tnn.Module):
    """Attention with rotary positions and grouped keys, then a gated perceptron."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = tnn.RMSNorm(WIDTH, eps=EPS), tnn.RMSNorm(WIDTH, eps=EPS)
        self.q = tnn.Linear(WIDTH, WIDTH, bias=False)
        self.k, self.v = (tnn.Linear(WIDTH, GROUPS * DEPTH, bias=False) for _ in range(2))
        self.out = tnn.Linear(WIDTH, WIDTH, bias=False)
        self.gate, self.up = (tnn.Linear(WIDTH, 3 * WIDTH, bias=False) for _ in range(2))
        self.down = tnn.Linear(3 * WIDTH, WIDTH, bias=False)

    def forward(self, x, cos, sin):
        B, T, C = x.shape
        h = self.norm1(x)
        q, k, v = (p(h).view(B, T, -1, DEPTH).transpose(1, 2) for p in (self.q, self.k, self.v))
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)  # (B, H, T, D), (B, G, T, D)
        k, v = (t.repeat_interleave(HEADS // GROUPS, dim=1) for t in (k, v))  # (B, G, T, D) -> (B, H, T, D)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=DEPTH**-0.5)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, C))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def rotated(x, cos, sin):
    """Rotary positions over halves, as Llama's checkpoints have them."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class TorchLlama(tnn.Module):
    """Tokens to logits, the head tied to the embedding."""

    def __init__(self, layers: int = LAYERS, context: int = 64):
        super().__init__()
        self.tokens = tnn.Embedding(VOCABULARY, WIDTH)
        self.blocks = tnn.ModuleList(TorchLlamaBlock() for _ in range(layers))
        self.norm = tnn.RMSNorm(WIDTH, eps=EPS)
        speeds = BASE ** (-torch.arange(DEPTH // 2) / (DEPTH // 2))
        angles = torch.arange(context)[:, None] * speeds  # (T, D / 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids):
        x, T = self.tokens(ids), ids.shape[1]
        for block in self.blocks:
            x = block(x, self.cos[:T], self.sin[:T])
        return F.linear(self.norm(x), self.tokens.weight)


class MlxEncoderBlock(mnn.Module):
    """Pre-norm attention and perceptron with exact GELU."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = mnn.LayerNorm(WIDTH), mnn.LayerNorm(WIDTH)
        self.q, self.v, self.out = (mnn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.k = mnn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = mnn.Linear(WIDTH, 4 * WIDTH), mnn.Linear(4 * WIDTH, WIDTH)

    def __call__(self, x):
        B, T, C = x.shape
        h = self.norm1(x)
        q, k, v = (p(h).reshape(B, T, HEADS, DEPTH).transpose(0, 2, 1, 3) for p in (self.q, self.k, self.v))
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=DEPTH**-0.5)
        x = x + self.out(y.transpose(0, 2, 1, 3).reshape(B, T, C))
        return x + self.down(mnn.gelu(self.up(self.norm2(x))))


class MlxWhisperEncoder(mnn.Module):
    """Two 1-D convolutions, one of stride two, learned positions, blocks, a norm; takes (B, T, 80)."""

    def __init__(self, frames: int = 200):
        super().__init__()
        self.conv1 = mnn.Conv1d(80, WIDTH, 3, padding=1)
        self.conv2 = mnn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positions = mx.random.normal((frames // 2, WIDTH))
        self.blocks = [MlxEncoderBlock() for _ in range(LAYERS)]
        self.norm = mnn.LayerNorm(WIDTH)

    def __call__(self, x):
        x = mnn.gelu(self.conv2(mnn.gelu(self.conv1(x)))) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class TorchEncoderBlock(tnn.Module):
    """Pre-norm attention and perceptron with exact GELU."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = tnn.LayerNorm(WIDTH), tnn.LayerNorm(WIDTH)
        self.q, self.v, self.out = (tnn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.k = tnn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = tnn.Linear(WIDTH, 4 * WIDTH), tnn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        B, T, C = x.shape
        h = self.norm1(x)
        q, k, v = (p(h).view(B, T, HEADS, DEPTH).transpose(1, 2) for p in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, scale=DEPTH**-0.5)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, C))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class TorchWhisperEncoder(tnn.Module):
    """Two 1-D convolutions, one of stride two, learned positions, blocks, a norm; takes (B, 80, T)."""

    def __init__(self, frames: int = 200):
        super().__init__()
        self.conv1 = tnn.Conv1d(80, WIDTH, 3, padding=1)
        self.conv2 = tnn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positions = tnn.Parameter(torch.randn(frames // 2, WIDTH))
        self.blocks = tnn.ModuleList(TorchEncoderBlock() for _ in range(LAYERS))
        self.norm = tnn.LayerNorm(WIDTH)

    def forward(self, x):
        x = F.gelu(self.conv2(F.gelu(self.conv1(x)))).transpose(1, 2)  # (B, C, T) -> (B, T, C)
        x = x + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class MlxTagger(mnn.Module):
    """Embedding, a recurrent layer, a linear head; `layer` is mlx.nn.LSTM or mlx.nn.GRU."""

    def __init__(self, layer):
        super().__init__()
        self.embed = mnn.Embedding(VOCABULARY, 64)
        self.layer, self.head = layer(64, WIDTH), mnn.Linear(WIDTH, 20)

    def __call__(self, ids):
        hidden = self.layer(self.embed(ids))
        return self.head(hidden[0] if isinstance(hidden, tuple) else hidden)


class TorchTagger(tnn.Module):
    """Embedding, a recurrent layer, a linear head; `layer` is torch.nn.LSTM or torch.nn.GRU."""

    def __init__(self, layer):
        super().__init__()
        self.embed = tnn.Embedding(VOCABULARY, 64)
        self.layer, self.head = layer(64, WIDTH, batch_first=True), tnn.Linear(WIDTH, 20)

    def forward(self, ids):
        return self.head(self.layer(self.embed(ids))[0])
