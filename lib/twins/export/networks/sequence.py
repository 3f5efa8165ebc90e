"""Transformers from the transformers library with tiny random configurations, an LSTM, and a decoder with a
KV cache.

Configurations are a few layers of width 128: they convert in seconds, and every operation of the full size
is there.
"""

import torch
import torch.nn.functional as F
import transformers
from torch import nn

WIDTH, HEADS, LAYERS, VOCABULARY, LENGTH = 128, 4, 2, 1000, 64
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
SIZES |= {"attn_implementation": "eager"}
CAUSAL = ("input_ids", "attention_mask", "position_ids")


class Selected(nn.Module):
    """A transformers model whose call takes tensors in order and returns one field of its result."""

    def __init__(self, model: nn.Module, names: tuple[str, ...], field: str):
        super().__init__()
        self.model, self.names, self.field = model, names, field

    def forward(self, *values):
        options = {"use_cache": False} if self.field == "logits" else {}
        return getattr(self.model(**dict(zip(self.names, values, strict=True)), **options), self.field)


def bert() -> nn.Module:
    """BERT's encoder."""
    config = transformers.BertConfig(**SIZES, intermediate_size=4 * WIDTH, vocab_size=VOCABULARY)
    return Selected(transformers.BertModel(config), ("input_ids", "attention_mask"), "last_hidden_state")


def gpt2() -> nn.Module:
    """GPT-2 with its language model head; the causal mask is an input, as (1, 1, T, T) to add to scores."""
    config = transformers.GPT2Config(**SIZES, vocab_size=VOCABULARY, max_position_embeddings=LENGTH)
    return Selected(transformers.GPT2LMHeadModel(config), CAUSAL, "logits")


def llama() -> nn.Module:
    """Llama with grouped keys and values; the causal mask is an input."""
    rest = {"num_key_value_heads": 2, "intermediate_size": 3 * WIDTH, "vocab_size": VOCABULARY}
    return Selected(
        transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, **rest)), CAUSAL, "logits"
    )


def vit() -> nn.Module:
    """A vision transformer on 64x64 images, patches of 8."""
    config = transformers.ViTConfig(**SIZES, intermediate_size=4 * WIDTH, image_size=64, patch_size=8)
    return Selected(transformers.ViTModel(config), ("pixel_values",), "last_hidden_state")


def whisper_encoder() -> nn.Module:
    """Whisper's audio encoder on 200 frames of 80 mel bins."""
    rest = {"encoder_ffn_dim": 4 * WIDTH, "decoder_layers": 1, "max_source_positions": 100}
    config = transformers.WhisperConfig(**SIZES, **rest)
    encoder = transformers.models.whisper.modeling_whisper.WhisperEncoder(config)
    return Selected(encoder, ("input_features",), "last_hidden_state")


class LstmTagger(nn.Module):
    """Embedding, a bidirectional LSTM, a linear head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 64)
        self.lstm = nn.LSTM(64, WIDTH, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * WIDTH, 20)

    def forward(self, ids):
        return self.head(self.lstm(self.embed(ids))[0])


class CachedDecoder(nn.Module):
    """A step of a one-layer language model that keeps keys and values in buffers, the package's state."""

    def __init__(self, slots: int = 32):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.project = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY)
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(1, HEADS, slots, WIDTH // HEADS, dtype=torch.float16))

    def forward(self, ids, place, mask):
        x = self.embed(ids)  # (1, 1, C)
        q, k, v = (
            part.view(1, 1, HEADS, -1).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, dim=-1)
        )
        spread = place.view(1, 1, -1, 1)  # one-hot over slots
        # A slice, because coremltools knows states by the slices assigned to them.
        self.keys[:, :] = (self.keys.float() * (1 - spread) + k * spread).half()
        self.values[:, :] = (self.values.float() * (1 - spread) + v * spread).half()
        scores = q @ self.keys.float().transpose(-1, -2) / (WIDTH // HEADS) ** 0.5 + mask
        y = F.softmax(scores, dim=-1) @ self.values.float()  # (1, H, 1, D)
        return self.head(x + self.project(y.transpose(1, 2).reshape(1, 1, WIDTH)))
