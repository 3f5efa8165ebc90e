"""Whisper of one checkpoint folder in mlx-whisper and in transformers: encoder, decoder steps, greedy tokens.

The features are the same array on both sides, so that no audio code is compared, and the number of tokens
is fixed. https://github.com/ml-explore/mlx-examples/tree/main/whisper
"""

import re
from pathlib import Path

import numpy as np
import safetensors.numpy
import transformers
from mlx_whisper.whisper import ModelDimensions, Whisper
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from twins.frameworks import MLX, TORCH
from twins.inference import checkpoint_folder as checkpoint
from twins.inference.llama import chosen

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import torch  # isort: skip

NAMES = (  # transformers' -> mlx-whisper's, all that match, in order
    (r"^model\.", ""),
    (r"\.layers\.", ".blocks."),
    (r"\.self_attn_layer_norm\.", ".attn_ln."),
    (r"\.encoder_attn_layer_norm\.", ".cross_attn_ln."),
    (r"\.final_layer_norm\.", ".mlp_ln."),
    (r"\.self_attn\.", ".attn."),
    (r"\.encoder_attn\.", ".cross_attn."),
    (r"\.q_proj\.", ".query."),
    (r"\.k_proj\.", ".key."),
    (r"\.v_proj\.", ".value."),
    (r"\.out_proj\.", ".out."),
    (r"\.fc1\.", ".mlp1."),
    (r"\.fc2\.", ".mlp2."),
    (r"^encoder\.layer_norm\.", "encoder.ln_post."),
    (r"^decoder\.layer_norm\.", "decoder.ln."),
    (r"^decoder\.embed_tokens\.", "decoder.token_embedding."),
    (r"^decoder\.embed_positions\.weight$", "decoder.positional_embedding"),
)
COMPUTED = "encoder.embed_positions.weight"  # sinusoids, which mlx-whisper computes


def _renamed(name: str) -> str:
    for theirs, ours in NAMES:
        name = re.sub(theirs, ours, name)
    return name


def dimensions(c: dict) -> ModelDimensions:
    """mlx-whisper's sizes from a config.json."""
    audio = (c["num_mel_bins"], c["max_source_positions"], c["d_model"])
    text = (c["vocab_size"], c["max_target_positions"], c["d_model"])
    heads = [(c[f"{part}_attention_heads"], c[f"{part}_layers"]) for part in ("encoder", "decoder")]
    return ModelDimensions(*audio, *heads[0], *text, *heads[1])


class MlxSession:
    """mlx-whisper's model with its cache."""

    name = "MLX"
    framework = MLX

    def __init__(self, folder: Path, dtype: str):
        kind = MLX.dtype(dtype)
        self.model = Whisper(dimensions(checkpoint.config(folder, "whisper")), kind)
        found = safetensors.numpy.load_file(folder / "model.safetensors")
        weights = {_renamed(name): mx.array(value, dtype=kind) for name, value in found.items()}
        weights.pop(COMPUTED)
        for name in ("encoder.conv1.weight", "encoder.conv2.weight"):
            weights[name] = weights[name].transpose(0, 2, 1)  # (out, in, k) -> (out, k, in)
        weights["alignment_heads"] = self.model.alignment_heads
        self.model.load_weights(list(weights.items()), strict=True)
        mx.eval(self.model.parameters())

    def features(self, mel: np.ndarray) -> mx.array:
        """Mel spectrogram (B, 80, T) in this library's layout, (B, T, 80)."""
        return MLX.array(mel.transpose(0, 2, 1)).astype(self.model.encoder.conv1.weight.dtype)

    def encode(self, features: mx.array) -> mx.array:
        """Audio features (B, T / 2, C), evaluated."""
        audio = self.model.encoder(features)
        mx.eval(audio)
        return audio

    def start(self, audio: mx.array, tokens: mx.array) -> mx.array:
        """The first tokens (B, T) into a new cache; logits (B, V), evaluated."""
        self.audio = audio
        logits, self.first, _ = self.model.decoder(tokens, audio)
        self.cache = self.first
        mx.eval(logits, self.first)
        return logits[:, -1]

    def step(self, token: mx.array) -> mx.array:
        """One token (B,) each; logits (B, V) of the next, evaluated."""
        logits, self.cache, _ = self.model.decoder(token[:, None], self.audio, kv_cache=list(self.cache))
        mx.eval(logits, self.cache)
        return logits[:, -1]

    def greedy(self, logits: mx.array) -> mx.array:
        """The likeliest token of each row."""
        return mx.argmax(logits, axis=-1)

    def rewind(self) -> None:
        """Forget what came after the first tokens."""
        self.cache = self.first


class TorchSession:
    """transformers' model with its growing cache."""

    name = "PyTorch"
    framework = TORCH

    def __init__(self, folder: Path, dtype: str):
        transformers.logging.disable_progress_bar()
        checkpoint.config(folder, "whisper")
        options = {"local_files_only": True, "dtype": TORCH.dtype(dtype), "attn_implementation": "sdpa"}
        kind = transformers.WhisperForConditionalGeneration
        model = kind.from_pretrained(folder, use_safetensors=True, **options)
        self.model = model.to(TORCH.device).eval()
        self.after = 0

    def features(self, mel: np.ndarray) -> torch.Tensor:
        """Mel spectrogram (B, 80, T), which is this library's layout."""
        return TORCH.array(mel).to(self.model.dtype)

    @torch.inference_mode()
    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """Audio features (B, T / 2, C)."""
        audio = self.model.model.encoder(features).last_hidden_state
        TORCH.synchronize()
        return audio

    @torch.inference_mode()
    def start(self, audio: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The first tokens (B, T) into a new cache; logits (B, V)."""
        self.audio, self.after = audio, 0
        self.cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        return self._logits(tokens)

    @torch.inference_mode()
    def step(self, token: torch.Tensor) -> torch.Tensor:
        """One token (B,) each; logits (B, V) of the next."""
        self.after += 1
        return self._logits(token[:, None])

    def _logits(self, tokens: torch.Tensor) -> torch.Tensor:
        options = {"encoder_hidden_states": self.audio, "past_key_values": self.cache, "use_cache": True}
        hidden = self.model.model.decoder(input_ids=tokens, **options).last_hidden_state
        logits = self.model.proj_out(hidden[:, -1])
        TORCH.synchronize()
        return logits

    def greedy(self, logits: torch.Tensor) -> torch.Tensor:
        """The likeliest token of each row."""
        return logits.argmax(-1)

    def rewind(self) -> None:
        """Forget what came after the first tokens."""
        if self.after:
            self.cache.self_attention_cache.crop(-self.after)
        self.after = 0


Session = MlxSession | TorchSession


def mel(batch: int, frames: int, seed: int = 0) -> np.ndarray:
    """Random features (B, 80, T): the work does not depend on what is said."""
    return np.random.default_rng(seed).standard_normal((batch, 80, frames)).astype(np.float32)


def transcribe(session: Session, spectrogram: np.ndarray, tokens: np.ndarray, count: int):
    """`count` greedy tokens (B, count) after the first `tokens`, and their logits (B, count, V)."""
    audio = session.encode(session.features(spectrogram))
    return chosen(session, session.start(audio, session.framework.array(tokens)), count)
