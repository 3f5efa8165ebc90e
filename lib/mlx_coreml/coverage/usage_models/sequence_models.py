"""Small models of sound and text: encoders, decoders, embedders."""

import math

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal, whole
from mlx_coreml.coverage.usage_models.image_models import Block

import mlx.nn as nn  # isort: skip

models = Kind("sequence model")


class AudioEncoder(nn.Module):
    """Two convolutions, fixed sinusoids, blocks: Whisper's encoder."""

    def __init__(self, mels: int = 8, dims: int = 16, context: int = 20):
        super().__init__()
        self.conv1 = nn.Conv1d(mels, dims, 3, padding=1)
        self.conv2 = nn.Conv1d(dims, dims, 3, stride=2, padding=1)
        self.blocks, self.norm = [Block(dims, 2) for _ in range(2)], nn.LayerNorm(dims)
        angles = mx.arange(context)[:, None] * mx.exp(
            -math.log(10000) / (dims // 2 - 1) * mx.arange(dims // 2)
        )
        self._positions = mx.concatenate([mx.sin(angles), mx.cos(angles)], axis=1)

    def __call__(self, mel):
        x = nn.gelu(self.conv2(nn.gelu(self.conv1(mel))))
        x = x + self._positions[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def audio(precision: str, **options) -> Made:
    """Whisper's encoder on other sounds, silence and a loud one."""
    calls = [call(scale * normal(1, 40, 8)) for scale in (1, 1, 0, 5)]
    return Made(AudioEncoder(), calls[0], calls[1:], {"precision": precision, **options})


@models
def audio_encoder():
    """Whisper's encoder"""
    return audio("float32")


@models
def audio_encoder_half():
    """Whisper's encoder in float16"""
    return audio("float16")


@models
def audio_encoder_lengths():
    """Whisper's encoder of any length"""
    calls = [call(normal(1, n, 8)) for n in (5, 18, 39)]
    return Made(AudioEncoder(), call(normal(1, 20, 8)), calls, {"flexible": {"mel": {1: (4, 40)}}})


class TextDecoder(nn.Module):
    """A decoder that attends to sound, with caches of keys and values: Whisper's."""

    def __init__(self, dims: int = 16, words: int = 30, context: int = 16):
        super().__init__()
        self.words, self.places = nn.Embedding(words, dims), normal(context, dims) * 0.1
        self.q, self.k, self.v = (nn.Linear(dims, dims) for _ in range(3))
        self.cross, self.norm = nn.MultiHeadAttention(dims, 2, bias=True), nn.LayerNorm(dims)

    def __call__(self, tokens, sound, kv_cache=None):
        offset = kv_cache[0].shape[1] if kv_cache else 0
        n = tokens.shape[1]
        x = self.words(tokens) + self.places[offset : offset + n]
        k, v = self.k(x), self.v(x)
        if kv_cache:
            k, v = (mx.concatenate([a, b], axis=1) for a, b in zip(kv_cache, (k, v), strict=True))
        mask = mx.arange(offset, offset + n)[:, None] >= mx.arange(offset + n)[None]
        scores = mx.where(mask, self.q(x) @ k.swapaxes(1, 2) / 4, -mx.inf)
        x = x + mx.softmax(scores, axis=-1) @ v
        x = x + self.cross(self.norm(x), sound, sound)
        return self.words.as_linear(x).astype(mx.float32), (k, v)


@models
def text_decoder():
    """Whisper's decoder, a first call without a cache"""
    calls = [call(whole(0, 30, 1, 4), normal(1, 10, 16)) for _ in range(3)]
    return Made(TextDecoder(), calls[0], calls[1:])


@models
def text_decoder_step():
    """Whisper's decoder, a step with a cache of any length"""

    def at(n):
        return call(whole(0, 30, 1, 1), normal(1, 10, 16), (normal(1, n, 16), normal(1, n, 16)))

    flexible = {"kv_cache_0": {1: (1, 15)}, "kv_cache_1": {1: (1, 15)}}
    return Made(TextDecoder(), at(4), [at(2), at(7), at(14)], {"flexible": flexible})


def feed_forward(dims: int) -> nn.Module:
    """A norm and two layers."""
    return nn.Sequential(nn.LayerNorm(dims), nn.Linear(dims, 32), nn.SiLU(), nn.Linear(32, dims))


class Conformer(nn.Module):
    """Half a feed-forward, relative attention, a gated convolution, half a feed-forward."""

    def __init__(self, dims: int = 16, kernel: int = 7):
        super().__init__()
        self.ff1, self.ff2 = feed_forward(dims), feed_forward(dims)
        self.norm, self.qkv, self.out = nn.LayerNorm(dims), nn.Linear(dims, 3 * dims), nn.Linear(dims, dims)
        self.place, self.u, self.v = nn.Linear(dims, dims, bias=False), normal(dims) * 0.1, normal(dims) * 0.1
        self.conv_norm, self.pointwise1 = nn.LayerNorm(dims), nn.Conv1d(dims, 2 * dims, 1)
        self.depthwise = nn.Conv1d(dims, dims, kernel, padding=kernel // 2, groups=dims)
        self.batch_norm, self.pointwise2, self.last = (
            nn.BatchNorm(dims),
            nn.Conv1d(dims, dims, 1),
            nn.LayerNorm(dims),
        )

    def attention(self, x):
        n, d = x.shape[1:]
        q, k, v = mx.split(self.qkv(self.norm(x)), 3, axis=-1)
        distance = mx.arange(n - 1, -n, -1)[:, None] * mx.exp(-math.log(10000) * mx.arange(0, d, 2) / d)
        p = self.place(mx.concatenate([mx.sin(distance), mx.cos(distance)], axis=-1))
        by_place = (q + self.v) @ p.T  # (B, T, 2 T - 1)
        by_place = (
            mx.pad(by_place, [(0, 0), (0, 0), (1, 0)]).reshape(1, 2 * n, n)[:, 1:].reshape(1, n, 2 * n - 1)
        )
        scores = ((q + self.u) @ k.swapaxes(1, 2) + by_place[..., :n]) / math.sqrt(d)
        return self.out(mx.softmax(scores, axis=-1) @ v)

    def convolution(self, x):
        x = nn.glu(self.pointwise1(self.conv_norm(x)), axis=-1)
        return self.pointwise2(nn.silu(self.batch_norm(self.depthwise(x))))

    def __call__(self, x):
        x = x + 0.5 * self.ff1(x)
        x = x + self.attention(x)
        x = x + self.convolution(x)
        return self.last(x + 0.5 * self.ff2(x))


@models
def conformer():
    """A Conformer block with relative positions, in training mode"""
    calls = [call(scale * normal(1, 12, 16)) for scale in (1, 1, 0)]
    return Made(Conformer(), calls[0], calls[1:])


@models
def conformer_lengths():
    """A Conformer block of any length"""
    calls = [call(normal(1, n, 16)) for n in (9, 21, 47)]
    return Made(Conformer(), call(normal(1, 12, 16)), calls, {"flexible": {"x": {1: (8, 48)}}})


@models
def wave_encoder():
    """wav2vec's convolutions on a sound that is normalised, and a grouped positional one"""
    layers = [(nn.Conv1d(a, 8, k, stride=s, bias=False), nn.GroupNorm(8, 8, pytorch_compatible=True))
              for a, k, s in ((1, 10, 5), (8, 3, 2), (8, 2, 2))]  # fmt: skip
    place, block = nn.Conv1d(8, 8, 8, padding=4, groups=2), Block(8, 2)

    def fn(wave):
        x = (wave - wave.mean(1, keepdims=True)) * mx.rsqrt(wave.var(1, keepdims=True) + 1e-7)
        x = x[..., None]
        for conv, norm in layers:
            x = nn.gelu(norm(conv(x)))
        return block(x + nn.gelu(place(x)[:, :-1]))

    calls = [call(scale * normal(1, 400)) for scale in (1, 1, 0, 0.01)]
    return Made(fn, calls[0], calls[1:], {"precision": "float16"})


class Embedder(nn.Module):
    """Blocks, a mean over the places of a mask, unit length."""

    def __init__(self, dims: int = 16):
        super().__init__()
        self.words, self.places, self.types = (
            nn.Embedding(50, dims),
            nn.Embedding(32, dims),
            nn.Embedding(2, dims),
        )
        self.norm, self.blocks = nn.LayerNorm(dims, eps=1e-12), [Block(dims, 2) for _ in range(2)]

    def __call__(self, input_ids, attention_mask=None, token_type_ids=None):
        n = input_ids.shape[1]
        x = self.words(input_ids) + self.places(mx.arange(n)[None])
        x = self.norm(x + self.types(mx.zeros_like(input_ids) if token_type_ids is None else token_type_ids))
        mask = (1.0 - attention_mask[:, None, None].astype(x.dtype)) * -1e9
        for block in self.blocks:
            x = block(x, mask)
        weight = attention_mask[..., None].astype(x.dtype)
        mean = (x * weight).sum(1) / mx.maximum(weight.sum(1), 1e-9)
        unit = mean / mx.maximum(mx.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
        return {"last_hidden_state": x, "text_embeds": unit}


def embedder(precision: str, lengths=(9, 9, 9), **options) -> Made:
    """Sentences, one of them without any place."""

    def of(n, least):
        return call(
            whole(0, 50, 2, n), attention_mask=(mx.arange(n) < mx.array([[n], [least]])).astype(mx.int32)
        )

    unseen = [of(lengths[0], 1), of(lengths[1], 0), of(lengths[2], lengths[2])]
    return Made(Embedder(), of(9, 4), unseen, {"precision": precision, **options})


@models
def sentence_embedder():
    """A sentence embedder by a mask"""
    return embedder("float32")


@models
def sentence_embedder_half():
    """A sentence embedder in float16, a sentence all hidden among others"""
    return embedder("float16")


@models
def sentence_embedder_lengths():
    """A sentence embedder of any length"""
    axes = {1: (2, 32)}
    return embedder("float32", (3, 17, 31), flexible={"input_ids": axes, "attention_mask": axes})
