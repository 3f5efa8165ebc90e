"""Small models that make speech: a vocoder, a block of diffusion, a pipeline of parts."""

import math
from types import SimpleNamespace

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal, whole
from mlx_coreml.coverage.usage_models.diffusion_models import timestep_embedding

import mlx.nn as nn  # isort: skip

models = Kind("speech model")


class Vocoder(nn.Module):
    """ConvNeXt blocks and the inverse of a spectrum with overlapping frames: Vocos."""

    def __init__(self, mels: int = 8, dims: int = 16, size: int = 16, hop: int = 4):
        super().__init__()
        self.size, self.hop = size, hop
        self.embed, self.depthwise = (
            nn.Conv1d(mels, dims, 7, padding=3),
            nn.Conv1d(dims, dims, 7, padding=3, groups=dims),
        )
        self.norm, self.up, self.down = nn.LayerNorm(dims, eps=1e-6), nn.Linear(dims, 32), nn.Linear(32, dims)
        self.gamma, self.head = 0.1 * mx.ones((dims,)), nn.Linear(dims, size + 2)

    def __call__(self, mel):
        x = self.embed(mel)
        x = x + self.gamma * self.down(nn.gelu(self.up(self.norm(self.depthwise(x)))))
        size, phase = mx.split(self.head(x), 2, axis=-1)
        size = mx.minimum(mx.exp(size), 1e2)
        frames = mx.fft.irfft(size * mx.cos(phase) + 1j * size * mx.sin(phase), axis=-1)
        window = 0.5 - 0.5 * mx.cos(2 * math.pi * mx.arange(self.size) / self.size)
        frames = (frames * window)[0]
        count, length = frames.shape[0], (frames.shape[0] - 1) * self.hop + self.size
        places = mx.arange(count)[:, None] * self.hop + mx.arange(self.size)
        wave = mx.zeros(length).at[places].add(frames)
        weight = mx.zeros(length).at[places].add(mx.broadcast_to(window * window, frames.shape))
        return (wave / mx.maximum(weight, 1e-10))[self.size // 2 : -self.size // 2]


@models
def vocoder():
    """A Vocos-like head with the inverse of a spectrum"""
    calls = [call(scale * normal(1, 10, 8)) for scale in (1, 1, 0)]
    return Made(Vocoder(), calls[0], calls[1:])


class Dit(nn.Module):
    """A transformer block that a time modulates, as f5-tts has it."""

    def __init__(self, dims: int = 16):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(32, dims), nn.SiLU(), nn.Linear(dims, dims))
        self.enter, self.modulate = nn.Linear(8 + 8 + dims, dims), nn.Linear(dims, 6 * dims)
        self.norm1, self.norm2 = (
            nn.LayerNorm(dims, affine=False, eps=1e-6),
            nn.LayerNorm(dims, affine=False, eps=1e-6),
        )
        self.qkv, self.out, self.rope = nn.Linear(dims, 3 * dims), nn.Linear(dims, dims), nn.RoPE(dims)
        self.up, self.down, self.text = nn.Linear(dims, 32), nn.Linear(32, 8), nn.Embedding(40, dims)
        self.middle = nn.Linear(32, dims)

    def __call__(self, x, cond, text, time, drop_audio_cond=False, mask=None):
        cond = mx.zeros_like(cond) if drop_audio_cond else cond
        y = self.enter(mx.concatenate([x, cond, self.text(text + 1)], axis=-1))
        t = self.time(timestep_embedding(1000 * time, 32))
        a, b, c, d, e, f = (p[:, None] for p in mx.split(self.modulate(nn.silu(t)), 6, axis=-1))
        q, k, v = mx.split(self.qkv(self.norm1(y) * (1 + a) + b), 3, axis=-1)
        y = y + c * self.out(mx.softmax(self.rope(q) @ self.rope(k).swapaxes(1, 2) / 4, axis=-1) @ v)
        y = y + f * self.middle(nn.gelu_approx(self.up(self.norm2(y) * (1 + d) + e)))
        return self.down(nn.silu(self.up(y)))


@models
def speech_by_diffusion():
    """An f5-tts-like block with a time from 0 to 1, in float16"""

    def of(t):
        return call(
            normal(1, 9, 8), normal(1, 9, 8), whole(-1, 39, 1, 9), mx.array([t]), drop_audio_cond=False
        )

    return Made(Dit(), of(0.25), [of(0.0), of(0.97), of(1.0)], {"precision": "float16"})


class Speech:
    """A pipeline as a plain object: durations, prosody and voice, in training mode until converted."""

    def __init__(self):
        self.model = SimpleNamespace(
            text=nn.Embedding(40, 16), lstm=nn.LSTM(24, 16), norm=nn.InstanceNorm(16),
            duration=nn.Sequential(nn.Dropout(0.3), nn.Linear(16, 1)), voice=nn.Conv1d(16, 4, 3, padding=1),
        )  # fmt: skip
        self.language, self.cache = "a", []

    def __call__(self, ids, style, speed: float = 1.0):
        x = self.model.text(ids)
        x = mx.concatenate([x, mx.broadcast_to(style[:, None], (*x.shape[:2], style.shape[-1]))], axis=-1)
        hidden, _ = self.model.lstm(x)
        duration = mx.sigmoid(self.model.duration(hidden)).sum(-1) / speed
        self.cache.append(duration)
        return {"audio": mx.tanh(self.model.voice(self.model.norm(hidden))), "pred_dur": duration}


@models
def speech_pipeline():
    """A Kokoro-like pipeline object with a speed"""
    calls = [call(whole(0, 40, 1, 9), normal(1, 8), speed=1.25) for _ in range(3)]
    return Made(Speech(), calls[0], calls[1:])
