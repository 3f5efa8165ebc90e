"""Positions in lengths that vary: from where a cache ends, tables, RoPE, ALiBi, sinusoids, masks."""

import math

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.flexible_lengths import of
from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal

import mlx.nn as nn  # isort: skip

positions = Kind("flexible position")
CACHE = {"k": {1: (1, 60)}}


def after_cache(fn, unseen=(2, 7, 31, 60)) -> Made:
    """A function of a token x and keys k, of which the length varies."""
    calls = [call(normal(1, 1, 8), normal(1, n, 8)) for n in unseen]
    return Made(fn, call(normal(1, 1, 8), normal(1, 5, 8)), calls, {"flexible": CACHE})


@positions
def prefix_of_table():
    """The beginning of a table"""
    table = normal(64, 4)
    return of(lambda x: x + table[: x.shape[1]])


@positions
def table_by_slice():
    """A table's row where a cache ends, by a slice"""
    table = normal(64, 8)

    def fn(x, k):
        n = k.shape[1]
        return x + table[n : n + 1], mx.concatenate([k, x], axis=1)

    return after_cache(fn)


@positions
def table_by_arange():
    """A table's row where a cache ends, by arange"""
    table = nn.Embedding(64, 8)
    return after_cache(
        lambda x, k: x + table(mx.arange(k.shape[1], k.shape[1] + 1)) + k.mean(1, keepdims=True)
    )


@positions
def rope_by_offset():
    """RoPE by an offset that is a length"""
    rope = nn.RoPE(8)

    def fn(x, k):
        q = rope(x, offset=k.shape[1])
        return mx.softmax(q @ k.swapaxes(1, 2), axis=-1) @ k

    return after_cache(fn)


@positions
def rope_by_array():
    """RoPE by an offset that is an array of a length"""
    rope = nn.RoPE(8)
    return after_cache(lambda x, k: rope(x, offset=mx.array(k.shape[1])) + k.sum(1, keepdims=True))


@positions
def rope_by_hand():
    """Rotations by hand from where a cache ends"""

    def fn(x, k):
        positions = mx.arange(k.shape[1], k.shape[1] + x.shape[1])[:, None]
        angles = positions * mx.exp(-mx.arange(4) * math.log(10000) / 4)
        cos, sin = mx.cos(angles), mx.sin(angles)
        q = mx.concatenate(
            [x[..., :4] * cos - x[..., 4:] * sin, x[..., 4:] * cos + x[..., :4] * sin], axis=-1
        )
        return q @ k.swapaxes(1, 2)

    return after_cache(fn)


@positions
def alibi():
    """ALiBi: a slope times a distance from the end"""
    return of(lambda x: x + (mx.arange(x.shape[1]) - x.shape[1])[:, None] * 0.5)


@positions
def alibi_of_heads():
    """ALiBi between all places, for heads"""
    slopes = mx.array([0.5, 0.25])[:, None, None]

    def fn(x):
        places = mx.arange(x.shape[1])
        scores = x @ x.swapaxes(1, 2) - slopes * mx.abs(places[:, None] - places[None])
        return mx.softmax(scores, axis=-1) @ x

    return of(fn)


@positions
def sinusoids():
    """Sinusoids of positions"""
    lin = nn.Linear(4, 4)

    def fn(x):
        angles = mx.arange(x.shape[1])[:, None] * mx.exp(mx.arange(0, 4, 2) * (-math.log(10000) / 4))
        return lin(x * 2 + mx.concatenate([mx.sin(angles), mx.cos(angles)], axis=-1))

    return of(fn)


@positions
def reversed_distances():
    """Positions counted from the end, into a table"""
    table = normal(64, 4)
    return of(lambda x: x + table[mx.arange(x.shape[1] - 1, -1, -1)])


@positions
def relative_table():
    """A table of clipped relative distances"""
    table = normal(2, 17)

    def fn(x):
        places = mx.arange(x.shape[1])
        distance = mx.clip(places[None] - places[:, None], -8, 8) + 8
        return mx.softmax(x @ x.swapaxes(1, 2) + table[:, distance], axis=-1) @ x

    return of(fn)


@positions
def buckets():
    """T5's buckets of relative distances"""
    table = nn.Embedding(8, 2)

    def fn(x):
        places = mx.arange(x.shape[1])
        distance = mx.abs(places[None] - places[:, None])
        large = 4 + (mx.log(mx.maximum(distance, 1) / 4) / math.log(8) * 4).astype(mx.int32)
        bucket = mx.where(distance < 4, distance, mx.minimum(large, 7))
        return mx.softmax(x @ x.swapaxes(1, 2) + table(bucket).transpose(2, 0, 1), axis=-1) @ x

    return of(fn)


@positions
def causal_mask():
    """A causal mask made by triu"""

    def fn(x):
        n = x.shape[1]
        mask = mx.triu(mx.full((n, n), -1e9), k=1)
        return mx.softmax(x @ x.swapaxes(1, 2) + mask, axis=-1) @ x

    return of(fn)


@positions
def sliding_mask():
    """A sliding window as a mask"""

    def fn(x):
        places = mx.arange(x.shape[1])
        near = mx.abs(places[:, None] - places[None]) <= 3
        return mx.softmax(mx.where(near, x @ x.swapaxes(1, 2), -1e9), axis=-1) @ x

    return of(fn)


@positions
def causal_with_cache():
    """A causal mask of new tokens after a cache"""

    def fn(x, k):
        n, m = x.shape[1], k.shape[1]
        keys = mx.concatenate([k, x], axis=1)
        mask = mx.arange(m, m + n)[:, None] >= mx.arange(m + n)[None]
        return mx.softmax(mx.where(mask, x @ keys.swapaxes(1, 2), -1e9), axis=-1) @ keys

    calls = [call(normal(1, 3, 8), normal(1, n, 8)) for n in (2, 7, 31, 60)]
    return Made(fn, call(normal(1, 3, 8), normal(1, 5, 8)), calls, {"flexible": CACHE})


@positions
def fused_attention():
    """mx.fast attention with a causal mask and RoPE"""
    qkv, rope = nn.Linear(8, 24), nn.RoPE(8)

    def fn(x):
        q, k, v = (p[:, None] for p in mx.split(qkv(x), 3, axis=-1))
        return mx.fast.scaled_dot_product_attention(rope(q), rope(k), v, scale=0.35, mask="causal")[:, 0]

    return of(fn, width=8)
