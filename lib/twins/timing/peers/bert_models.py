"""What `make bench` compares our BERT with: the same sizes, head and arithmetic as others would build it.

BertModel of Hugging Face transformers with PyTorch's fused attention, and for MLX the layers that mlx.nn
ships: MultiHeadAttention, Linear, LayerNorm. Head, optimizer and clipping are ours in all; dropout is off.
"""

from dataclasses import asdict, replace

from twins.frameworks import MLX, TORCH
from twins.models import bert
from twins.timing import variants
from twins.timing.harness import Variant
from twins.timing.statistics import AGAIN
from twins.training import train
from twins.training.train import Recipe

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
from torch import nn as tnn  # isort: skip


class Encoder(tnn.Module):
    """transformers' BertModel, called as our encoder is."""

    def __init__(self, c: bert.Config):
        from transformers import BertConfig, BertModel

        super().__init__()
        sizes = {"vocab_size": c.vocabulary, "max_position_embeddings": c.context, "hidden_size": c.width}
        depth = {"num_hidden_layers": c.layers, "num_attention_heads": c.heads}
        rest = {"intermediate_size": 4 * c.width, "layer_norm_eps": bert.LAYER_NORM_EPS}
        off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        self.model = BertModel(BertConfig(**sizes, **depth, **rest, **off, attn_implementation="sdpa"))

    def forward(self, ids, types, mask):
        out = self.model(ids, attention_mask=mask, token_type_ids=types.expand_as(ids))
        return out.last_hidden_state, out.pooler_output


class MlxBlock(mnn.Module):
    """A block out of mlx.nn's own attention, linear layers and LayerNorm."""

    def __init__(self, c: bert.Config):
        super().__init__()
        self.attention = mnn.MultiHeadAttention(c.width, c.heads, bias=True)
        self.norm1 = mnn.LayerNorm(c.width, eps=bert.LAYER_NORM_EPS)
        self.linear1 = mnn.Linear(c.width, 4 * c.width)
        self.linear2 = mnn.Linear(4 * c.width, c.width)
        self.norm2 = mnn.LayerNorm(c.width, eps=bert.LAYER_NORM_EPS)

    def __call__(self, x, mask):
        x = self.norm1(x + self.attention(x, x, x, mask))
        return self.norm2(x + self.linear2(mnn.gelu(self.linear1(x))))


class MlxEncoder(mnn.Module):
    """BERT out of MlxBlock, called as our encoder is."""

    def __init__(self, c: bert.Config):
        super().__init__()
        self.tokens, self.positions = mnn.Embedding(c.vocabulary, c.width), mnn.Embedding(c.context, c.width)
        self.types = mnn.Embedding(bert.TYPES, c.width)
        self.norm = mnn.LayerNorm(c.width, eps=bert.LAYER_NORM_EPS)
        self.blocks = [MlxBlock(c) for _ in range(c.layers)]
        self.pooler = mnn.Linear(c.width, c.width)

    def __call__(self, ids, types, mask):
        x = self.norm(self.tokens(ids) + self.positions(mx.arange(ids.shape[1])) + self.types(types))
        for block in self.blocks:
            x = block(x, mask[:, None, None])
        return x, mx.tanh(self.pooler(x[:, 0]))


def peer(sizes: bert.Config, recipe: Recipe, framework) -> train.Half:
    """Our pair model with the peer's encoder in place of ours."""
    half = train.half(bert, sizes, recipe, framework)
    half.model.encoder = {MLX: MlxEncoder, TORCH: Encoder}[framework](sizes)
    if framework is MLX:
        return replace(half, optimizer=train.mlx_optimizer(recipe))
    half.model.to(TORCH.device)
    return replace(half, optimizer=train.torch_optimizer(recipe, half.model))


def step_variants(config: dict, batch: int, framework: str, compiled: bool) -> dict[str, Variant]:
    """Our step, again for A/A, and the peer's with our head, on the same batches."""
    sizes, recipe, each = bert.Config(**config), Recipe(), {"mlx": MLX, "torch": TORCH}[framework]
    name = {"mlx": "mlx.nn's own layers", "torch": "transformers' BertModel"}[framework]
    halves = {variant: train.half(bert, sizes, recipe, each) for variant in ("ours", "ours" + AGAIN)}
    halves[name] = peer(sizes, recipe, each)
    batches = variants.examples("bert", asdict(sizes), batch)
    return {variant: variants.step_variant(half, batches, compiled) for variant, half in halves.items()}
