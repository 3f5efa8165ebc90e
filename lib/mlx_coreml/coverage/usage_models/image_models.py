"""Small models of images: towers and windowed transformers."""

import math
from collections import OrderedDict
from dataclasses import dataclass

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal, whole

import mlx.nn as nn  # isort: skip

models = Kind("image model")


class Output(OrderedDict):
    """A dictionary whose keys are attributes."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass
class ClipOutput:
    """What a pair of towers returns."""

    text_embeds: mx.array
    image_embeds: mx.array
    loss: mx.array | None = None


class Block(nn.Module):
    """Attention and a gated layer before which are norms."""

    def __init__(self, dims: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dims, eps=1e-6), nn.LayerNorm(dims, eps=1e-6)
        self.attention = nn.MultiHeadAttention(dims, heads, bias=True)
        self.up, self.down = nn.Linear(dims, 2 * dims), nn.Linear(2 * dims, dims)

    def __call__(self, x, mask=None):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, mask)
        return x + self.down(nn.gelu_approx(self.up(self.norm2(x))))


class Tower(nn.Module):
    """A class token, patches or tokens, blocks, and what may be asked for."""

    def __init__(self, embed, dims: int = 16, tokens: int = 17):
        super().__init__()
        self.embed, self.cls, self.positions = embed, normal(dims), normal(tokens, dims) * 0.1
        self.blocks, self.norm = [Block(dims, 2) for _ in range(2)], nn.LayerNorm(dims)

    def __call__(self, x, mask=None, output_hidden_states=None):
        y = self.embed(x)
        y = y.reshape(y.shape[0], -1, y.shape[-1])
        y = mx.concatenate([mx.broadcast_to(self.cls, (y.shape[0], 1, y.shape[-1])), y], axis=1)
        y = y + self.positions[: y.shape[1]]
        hidden = [y] if output_hidden_states else None
        for block in self.blocks:
            y = block(y, mask)
            if output_hidden_states:
                hidden.append(y)
        return Output(last_hidden_state=self.norm(y), pooler_output=self.norm(y)[:, 0], hidden_states=hidden)


class Clip(nn.Module):
    """Two towers and normalised projections."""

    def __init__(self):
        super().__init__()
        self.vision, self.text = Tower(nn.Conv2d(3, 16, 8, stride=8)), Tower(nn.Embedding(50, 16))
        self.project_image, self.project_text = nn.Linear(16, 8, bias=False), nn.Linear(16, 8, bias=False)

    def __call__(self, input_ids=None, pixel_values=None, return_loss=False):
        text = self.project_text(self.text(input_ids).pooler_output)
        image = self.project_image(self.vision(pixel_values).pooler_output)
        text = text / mx.linalg.norm(text, axis=-1, keepdims=True)
        image = image / mx.linalg.norm(image, axis=-1, keepdims=True)
        return ClipOutput(text, image)


def clip(precision: str) -> Made:
    """Both towers by keyword."""

    def of(scale):
        ids, pixels = whole(0, 50, 2, 9), scale * normal(2, 32, 32, 3)
        return call(input_ids=ids, pixel_values=pixels, return_loss=False)

    return Made(Clip(), of(1), [of(1), of(0), of(3)], {"precision": precision})


@models
def clip_towers():
    """CLIP towers, by keyword, in a dataclass"""
    return clip("float32")


@models
def clip_towers_half():
    """CLIP towers in float16"""
    return clip("float16")


@models
def vision_tower():
    """A vision tower with hidden states asked for"""
    images = [normal(1, 32, 32, 3), normal(1, 32, 32, 3), mx.zeros((1, 32, 32, 3))]
    calls = [call(x, output_hidden_states=True) for x in images]
    return Made(Tower(nn.Conv2d(3, 16, 8, stride=8)), calls[0], calls[1:])


class Windowed(nn.Module):
    """Attention in windows of 4 x 4 places, with decomposed relative positions, as SAM's encoder has."""

    def __init__(self, dims: int = 16, size: int = 4):
        super().__init__()
        self.size, self.norm = size, nn.LayerNorm(dims)
        self.qkv, self.out = nn.Linear(dims, 3 * dims), nn.Linear(dims, dims)
        self.rows, self.columns = normal(2 * size - 1, dims) * 0.2, normal(2 * size - 1, dims) * 0.2

    def __call__(self, x):
        b, h, w, c = x.shape
        s = self.size
        y = mx.pad(self.norm(x), [(0, 0), (0, -h % s), (0, -w % s), (0, 0)])
        hp, wp = y.shape[1:3]
        y = y.reshape(b, hp // s, s, wp // s, s, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, s * s, c)
        q, k, v = mx.split(self.qkv(y), 3, axis=-1)
        near = mx.arange(s)[:, None] - mx.arange(s)[None] + s - 1
        grid = q.reshape(-1, s, s, c)
        by_row = mx.einsum("bhwc,hkc->bhwk", grid, self.rows[near])
        by_column = mx.einsum("bhwc,wkc->bhwk", grid, self.columns[near])
        bias = (by_row[..., :, None] + by_column[..., None, :]).reshape(-1, s * s, s * s)
        y = self.out(mx.softmax(q @ k.swapaxes(1, 2) / math.sqrt(c) + bias, axis=-1) @ v)
        y = y.reshape(b, hp // s, wp // s, s, s, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, hp, wp, c)
        return x + y[:, :h, :w]


@models
def windowed_encoder():
    """A SAM-like encoder with windows and a neck"""
    patch, first, second = nn.Conv2d(3, 16, 4, stride=4), Windowed(), Windowed(size=7)
    neck, norm = nn.Conv2d(16, 8, 3, padding=1), nn.LayerNorm(8)
    images = [normal(1, 40, 40, 3), 2 * normal(1, 40, 40, 3), mx.zeros((1, 40, 40, 3))]
    return Made(lambda x: norm(neck(second(first(patch(x))))), call(images[0]), [call(x) for x in images[1:]])


class Swin(nn.Module):
    """A block whose windows are shifted, with a table of relative positions and a mask."""

    def __init__(self, dims: int = 8, size: int = 4, shift: int = 2, places: int = 8):
        super().__init__()
        self.size, self.shift, self.norm = size, shift, nn.LayerNorm(dims)
        self.qkv, self.out, self.table = (
            nn.Linear(dims, 3 * dims),
            nn.Linear(dims, dims),
            normal((2 * size - 1) ** 2, 2),
        )
        line = mx.arange(size * size)
        row, column = line // size, line % size
        self._index = (
            (row[:, None] - row[None] + size - 1) * (2 * size - 1) + column[:, None] - column[None] + size - 1
        )
        part = mx.array(
            [(i >= places - size).__int__() + (i >= places - shift).__int__() for i in range(places)]
        )
        parts = self._windows((part[:, None] * 3 + part[None])[None, ..., None]).squeeze(-1)
        self._mask = mx.where(parts[:, None, :] == parts[:, :, None], 0.0, -100.0)[:, None]

    def _windows(self, x):
        b, h, w, c = x.shape
        s = self.size
        return x.reshape(b, h // s, s, w // s, s, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, s * s, c)

    def __call__(self, x):
        b, h, w, c = x.shape
        s, d = self.size, c // 2
        y = self._windows(mx.roll(self.norm(x), (-self.shift, -self.shift), axis=(1, 2)))
        q, k, v = (p.reshape(-1, s * s, 2, d).swapaxes(1, 2) for p in mx.split(self.qkv(y), 3, axis=-1))
        scores = q @ k.swapaxes(2, 3) / math.sqrt(d) + self.table[self._index].transpose(2, 0, 1)
        y = mx.softmax(scores + mx.concatenate([self._mask] * b), axis=-1) @ v
        y = self.out(y.swapaxes(1, 2).reshape(-1, s * s, c))
        y = y.reshape(b, h // s, w // s, s, s, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        return x + mx.roll(y, (self.shift, self.shift), axis=(1, 2))


@models
def swin_block():
    """A Swin block with shifted windows and a merging of patches"""
    block, merge, norm = Swin(), nn.Linear(32, 16, bias=False), nn.LayerNorm(32)

    def fn(x):
        x = block(x)
        parts = [x[:, i::2, j::2] for j in range(2) for i in range(2)]
        return merge(norm(mx.concatenate(parts, axis=-1)))

    calls = [call(scale * normal(2, 8, 8, 8)) for scale in (1, 1, 4)]
    return Made(fn, calls[0], calls[1:])
