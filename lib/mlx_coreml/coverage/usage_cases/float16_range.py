"""Numbers that float16 rounds away: guards, positions, ids, sums and masks beyond those of the example."""

import math

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal, whole

import mlx.nn as nn  # isort: skip

ranges = Kind("float16")
HALF = {"precision": "float16"}


def rows(fn, shape=(3, 8)) -> Made:
    """A function of x in float16, called on zero rows, zeros and small rows."""
    x = normal(*shape)
    some = mx.concatenate([mx.zeros((1, *shape[1:])), x[1:]])
    unseen = [call(normal(*shape)), call(some), call(mx.zeros(shape)), call(0.01 * x)]
    return Made(fn, call(normal(*shape)), unseen, HALF)


def _guards():
    norm = mx.linalg.norm
    table = {
        "x / (|x| + 1e-8)": lambda x: x / (norm(x, axis=-1, keepdims=True) + 1e-8),
        "x / max(|x|, 1e-12)": lambda x: x / mx.maximum(norm(x, axis=-1, keepdims=True), 1e-12),
        "x * rsqrt(sum x^2 + 1e-12)": lambda x: x * mx.rsqrt((x * x).sum(-1, keepdims=True) + 1e-12),
        "x / sqrt(mean x^2 + 1e-9)": lambda x: x / mx.sqrt((x * x).mean(-1, keepdims=True) + 1e-9),
        "x / (sum |x| + 1e-9)": lambda x: x / (mx.abs(x).sum(-1, keepdims=True) + 1e-9),
        "x / (max |x| + 1e-10)": lambda x: x / (mx.abs(x).max(-1, keepdims=True) + 1e-10),
        "x^2 / (deviation + 1e-7)": lambda x: x.square() / (mx.std(x, -1, keepdims=True) + 1e-7),
        "log(|x| + 1e-9)": lambda x: mx.log(mx.abs(x) + 1e-9),
        "log10(max(x^2, 1e-10))": lambda x: mx.log10(mx.maximum(x * x, 1e-10)),
        "sqrt(x^2 + y^2 + 1e-12)": lambda x: mx.sqrt(x[:, :4] ** 2 + x[:, 4:] ** 2 + 1e-12),
        "where(x == 0, 0, 1 / (x + 1e-8))": lambda x: mx.where(x == 0, 0.0, 1 / (mx.abs(x) + 1e-8)),
        "log(softmax(8 x) + 1e-20)": lambda x: mx.log(mx.softmax(8 * x, axis=-1) + 1e-20),
        "reciprocal(clip(x, 1e-6, 1))": lambda x: mx.reciprocal(mx.clip(mx.abs(x), 1e-6, 1.0)) * 1e-3,
    }  # fmt: skip
    for text, fn in table.items():

        def build(fn=fn):
            return rows(fn)

        build.__doc__ = f"Guard {text}"
        ranges(build)


_guards()


@ranges
def cosine():
    """Cosine similarity with 1e-8"""

    def fn(a, b):
        return (a * b).sum(-1) / mx.maximum(mx.linalg.norm(a, axis=-1) * mx.linalg.norm(b, axis=-1), 1e-8)

    zero = mx.zeros((3, 8))
    unseen = [call(normal(3, 8), normal(3, 8)), call(zero, normal(3, 8)), call(zero, zero)]
    return Made(fn, call(normal(3, 8), normal(3, 8)), unseen, HALF)


def _norms():
    for label, make in {
        "LayerNorm with eps 1e-12": lambda: nn.LayerNorm(8, eps=1e-12),
        "RMSNorm with eps 1e-8": lambda: nn.RMSNorm(8, eps=1e-8),
        "GroupNorm with eps 1e-9": lambda: nn.GroupNorm(2, 8, eps=1e-9),
        "InstanceNorm with eps 1e-10": lambda: nn.InstanceNorm(8, eps=1e-10),
    }.items():

        def build(make=make):
            layer = make()
            return rows(lambda x: layer(x), (2, 6, 8))

        build.__doc__ = label
        ranges(build)


_norms()


@ranges
def pooling_by_mask():
    """A mean over the places of a mask, none of them set"""

    def fn(x, mask):
        mask = mask.astype(mx.float32)[..., None]
        return (x * mask).sum(1) / mx.maximum(mask.sum(1), 1e-9)

    def of(mask):
        return call(normal(2, 6, 8), mx.array(mask))

    ones, none = [[1] * 6] * 2, [[0] * 6] * 2
    return Made(fn, of(ones), [of([[1, 1, 0, 0, 0, 0], [1] * 6]), of(none)], HALF)


def attention(mask_of) -> Made:
    """Attention in float16 by a mask of which whole rows are hidden."""

    def fn(x, mask):
        return mx.softmax(mask_of(x @ x.swapaxes(1, 2) / 3, mask[:, None]), axis=-1) @ x

    def of(mask):
        return call(normal(2, 4, 8), mx.array(mask))

    unseen = [of([[1, 0, 0, 0], [1, 1, 1, 1]]), of([[0, 0, 0, 0], [1, 1, 1, 0]])]
    return Made(fn, of([[1, 1, 1, 1], [1, 1, 0, 0]]), unseen, HALF)


@ranges
def mask_of_billion():
    """A mask of -1e9 that is added, one row all hidden"""
    return attention(lambda scores, mask: scores + (1.0 - mask.astype(mx.float32)) * -1e9)


@ranges
def mask_of_least():
    """A mask of the least float32, one row all hidden"""
    return attention(lambda scores, mask: mx.where(mask == 1, scores, mx.finfo(mx.float32).min))


@ranges
def time_step():
    """A time step of 1 in the example and up to 999 in use"""
    lin = nn.Linear(32, 8)

    def fn(t):
        angles = t[:, None] * mx.exp(-math.log(10000) * mx.arange(16) / 16)
        return lin(mx.concatenate([mx.cos(angles), mx.sin(angles)], axis=-1))

    return Made(fn, call(mx.array([1.0])), [call(mx.array([t])) for t in (0.0, 37.0, 999.0)], HALF)


@ranges
def scaled_time():
    """A time from 0 to 1 that is multiplied by 1000"""

    def fn(t):
        angles = (1000.0 * t)[:, None] * mx.exp(-math.log(10000) * mx.arange(16) / 16)
        return mx.concatenate([mx.sin(angles), mx.cos(angles)], axis=-1)

    return Made(fn, call(mx.array([0.25])), [call(mx.array([t])) for t in (0.0, 0.9375, 1.0)], HALF)


@ranges
def rotary_positions():
    """RoPE at positions up to 30,000, the example's below 8"""

    def fn(x, positions):
        angles = positions[:, None].astype(mx.float32) * mx.exp(-mx.arange(4) * math.log(10000) / 4)
        cos, sin = mx.cos(angles), mx.sin(angles)
        return mx.concatenate(
            [x[..., :4] * cos - x[..., 4:] * sin, x[..., 4:] * cos + x[..., :4] * sin], axis=-1
        )

    def at(start):
        return call(normal(1, 4, 8), mx.arange(start, start + 4))

    return Made(fn, at(0), [at(5), at(2049), at(30001)], HALF)


@ranges
def rope_offset():
    """nn.RoPE with an offset that is an input"""
    rope = nn.RoPE(8)
    return Made(
        lambda x, offset: rope(x, offset=offset),
        call(normal(1, 2, 4, 8), mx.array(3)),
        [call(normal(1, 2, 4, 8), mx.array(n)) for n in (0, 2049, 9001)],
        HALF,
    )


@ranges
def large_ids():
    """Ids beyond 2,048 through arithmetic"""
    table = nn.Embedding(9000, 8)

    def fn(ids, shift):
        return table(mx.clip(ids * 2 + shift, 0, 8999)), ids * 2 + shift

    return Made(
        fn,
        call(whole(0, 10, 1, 6), mx.array([1])),
        [call(mx.array([[0, 1025, 2049, 3001, 4097, 4499]]), mx.array([s])) for s in (0, 1)],
        HALF,
    )


@ranges
def last_of_many():
    """The index of the largest of 5,000, near the end"""
    places = [mx.zeros((1, 5000)).at[0, i].add(3.0) for i in (17, 4999, 2049)]
    return Made(
        lambda x: (mx.argmax(x, axis=-1), x.max(-1)), call(places[0]), [call(p) for p in places[1:]], HALF
    )


@ranges
def counts():
    """Counts and cumulative sums beyond 2,048"""

    def fn(mask):
        places = mx.cumsum(mask.astype(mx.float32), axis=-1)
        return mask.astype(mx.float32).sum(-1), places[:, -3:] / 4096

    return Made(
        fn,
        call(whole(0, 2, 1, 4099)),
        [call(mx.ones((1, 4099), mx.int32)), call(mx.zeros((1, 4099), mx.int32))],
        HALF,
    )


@ranges
def sums_of_squares():
    """A sum of squares of large numbers"""

    def fn(x):
        return x / mx.sqrt((x * x).sum(-1, keepdims=True) + 1e-6), x.var(-1)  # the second is beyond fp16

    return Made(
        lambda x: fn(x)[0],
        call(normal(2, 64)),
        [call(900 * normal(2, 64)), call(mx.full((2, 64), 3000.0))],
        HALF,
    )


@ranges
def logsumexp():
    """A logarithm of a sum of exponentials of large numbers"""
    return Made(
        lambda x: (mx.logsumexp(x, axis=-1), mx.log(mx.exp(x - x.max(-1, keepdims=True)).sum(-1))),
        call(normal(2, 16)),
        [call(40 * normal(2, 16)), call(mx.zeros((2, 16)))],
        HALF,
    )


@ranges
def spectrum():
    """A logarithm of the power of a spectrum, of silence"""
    window = mx.array([0.5 - 0.5 * math.cos(2 * math.pi * i / 32) for i in range(32)])

    def fn(x):
        power = mx.abs(mx.fft.rfft(x * window)) ** 2
        return mx.log10(mx.maximum(power, 1e-10)) / 4 + 1

    return Made(fn, call(normal(2, 32)), [call(normal(2, 32)), call(mx.zeros((2, 32)))], HALF)
