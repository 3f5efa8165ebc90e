"""What `make bench` compares our twins with: the same configuration as others would build it.

Plain torch.nn in the shape of nanoGPT (https://github.com/karpathy/nanoGPT, model.py), GPT-2 of
Hugging Face transformers, and the transformer layers that mlx.nn ships. Widths, depth, heads, activation,
tied head, optimizer and clipping are ours in all of them; dropout is off.
"""

from dataclasses import asdict, replace

from twins.frameworks import MLX, TORCH
from twins.models import transformer_lm as lm
from twins.timing import variants
from twins.timing.harness import Variant
from twins.timing.statistics import AGAIN
from twins.training import train
from twins.training.train import Half, Recipe

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from torch import nn as tnn  # isort: skip
from torch.nn import functional as F  # isort: skip

CALLS = 20  # steps per sample when the harness itself is timed


class NanoBlock(tnn.Module):
    """A block in nanoGPT's shape: one projection for q, k and v, split; attention; two-layer perceptron."""

    def __init__(self, c: lm.Config):
        super().__init__()
        self.heads = c.heads
        self.norms = tnn.ModuleList(tnn.LayerNorm(c.width, eps=lm.LAYER_NORM_EPS) for _ in range(2))
        self.attention = tnn.Linear(c.width, 3 * c.width)
        self.out = tnn.Linear(c.width, c.width)
        self.mlp = tnn.Sequential(
            tnn.Linear(c.width, 4 * c.width), tnn.GELU(), tnn.Linear(4 * c.width, c.width)
        )

    def forward(self, x):
        B, T, C = x.shape
        parts = self.attention(self.norms[0](x)).split(C, dim=2)  # (B, T, 3C) -> 3 times (B, T, C)
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in parts)  # (B, H, T, D)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=True)
        x = x + self.out(y.transpose(1, 2).contiguous().view(B, T, C))
        return x + self.mlp(self.norms[1](x))


class NanoGPT(tnn.Module):
    """nanoGPT's shape: token and position embeddings, blocks, norm, tied head."""

    def __init__(self, c: lm.Config):
        super().__init__()
        self.tokens, self.positions = tnn.Embedding(c.vocabulary, c.width), tnn.Embedding(c.context, c.width)
        self.blocks = tnn.ModuleList(NanoBlock(c) for _ in range(c.layers))
        self.norm = tnn.LayerNorm(c.width, eps=lm.LAYER_NORM_EPS)
        self.head = tnn.Linear(c.width, c.vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids):
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.tokens(ids) + self.positions(places)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Gpt2(tnn.Module):
    """transformers' GPT-2 with the same sizes and the exact GELU, returning logits."""

    def __init__(self, c: lm.Config):
        from transformers import GPT2Config, GPT2LMHeadModel

        super().__init__()
        sizes = {"vocab_size": c.vocabulary, "n_positions": c.context, "n_embd": c.width}
        depth = {"n_layer": c.layers, "n_head": c.heads, "activation_function": "gelu"}
        off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "use_cache": False}
        tokens = {"bos_token_id": 0, "eos_token_id": 0}
        self.model = GPT2LMHeadModel(
            GPT2Config(**sizes, **depth, **off, **tokens, attn_implementation="sdpa")
        )

    def forward(self, ids):
        return self.model(ids).logits


class MlxLayers(mnn.Module):
    """The same network out of mlx.nn's own TransformerEncoder, its attention with biases as ours has."""

    def __init__(self, c: lm.Config):
        super().__init__()
        self.tokens, self.positions = mnn.Embedding(c.vocabulary, c.width), mnn.Embedding(c.context, c.width)
        options = {"mlp_dims": 4 * c.width, "dropout": 0.0, "activation": mnn.gelu, "norm_first": True}
        self.encoder = mnn.TransformerEncoder(c.layers, c.width, c.heads, **options)
        for layer in self.encoder.layers:
            layer.attention = mnn.MultiHeadAttention(c.width, c.heads, bias=True)

    def __call__(self, ids):
        T = ids.shape[1]
        mask = mnn.MultiHeadAttention.create_additive_causal_mask(T)
        x = self.tokens(ids) + self.positions(mx.arange(T))
        return self.tokens.as_linear(self.encoder(x, mask))


def _torch_half(model: tnn.Module, recipe: Recipe, fused: bool = True) -> Half:
    half = Half(
        TORCH, model.to(TORCH.device), lm.torch_loss, train.torch_optimizer(recipe, model), recipe.clip
    )
    if not fused:  # what nanoGPT's train.py takes where there is no CUDA
        for group in half.optimizer.param_groups:
            group["fused"] = False
    return half


def _variant(half: Half, sizes: lm.Config, batch: int, compiled: bool = False) -> Variant:
    return variants.step_variant(half, variants.examples("transformer_lm", asdict(sizes), batch), compiled)


def _peers(sizes: lm.Config, recipe: Recipe, framework) -> dict[str, Half]:
    """The peers: torch's with our optimizer and with nanoGPT's own choice, MLX's from mlx.nn's layers."""
    if framework is MLX:
        ours, optimizer = train.half(lm, sizes, recipe, MLX), train.mlx_optimizer(recipe)
        return {"mlx.nn's own layers": replace(ours, model=MlxLayers(sizes), optimizer=optimizer)}
    return {
        "plain torch.nn in nanoGPT's shape": _torch_half(NanoGPT(sizes), recipe),
        "the same, AdamW as nanoGPT takes it on a CPU": _torch_half(NanoGPT(sizes), recipe, fused=False),
        "transformers GPT-2": _torch_half(Gpt2(sizes), recipe),
    }


def step_variants(config: dict, batch: int, framework: str, compiled: bool) -> dict[str, Variant]:
    """Our step, again for A/A, and the peers', all eager or all compiled, on the same batches."""
    sizes, recipe, each = lm.Config(**config), Recipe(), {"mlx": MLX, "torch": TORCH}[framework]
    halves = {name: train.half(lm, sizes, recipe, each) for name in ("ours", "ours" + AGAIN)}
    halves |= _peers(sizes, recipe, each)
    return {name: _variant(half, sizes, batch, compiled) for name, half in halves.items()}


def harness_variants(config: dict, batch: int) -> dict[str, Variant]:
    """CALLS steps in a bare loop, the same again for A/A, and CALLS steps each timed by the harness."""
    sizes = lm.Config(**config)
    variant = _variant(train.half(lm, sizes, Recipe(), TORCH), sizes, batch)

    def bare():
        for _ in range(CALLS):
            variant.call()
        variant.synchronize()

    def harness():
        for _ in range(CALLS):
            harness.once(variant)

    calls = {"a bare loop": bare, "a bare loop" + AGAIN: bare, "the timing harness": harness}
    return {name: Variant(call, lambda: None) for name, call in calls.items()}
