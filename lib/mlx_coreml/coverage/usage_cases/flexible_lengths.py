"""Lengths and batches that vary: padding, frames, windows, resampling, pooling, several lengths."""

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal, whole

import mlx.nn as nn  # isort: skip

lengths = Kind("flexible length")


def of(fn, sizes=(8, 64), unseen=(9, 23, 50), width=4, example=10, **options) -> Made:
    """A function of x (1, T, C) whose length is in a range, at lengths that no conversion probes."""
    calls = [call(normal(1, n, width)) for n in unseen]
    return Made(fn, call(normal(1, example, width)), calls, {"flexible": {"x": {1: sizes}}, **options})


@lengths
def edge_padding():
    """Edge padding by mx.pad"""
    conv = nn.Conv1d(4, 4, 7)
    return of(lambda x: conv(mx.pad(x, [(0, 0), (3, 3), (0, 0)], mode="edge")))


@lengths
def clipped_take():
    """Edge padding by clipped indices"""
    return of(lambda x: mx.take(x, mx.clip(mx.arange(-3, x.shape[1] + 3), 0, x.shape[1] - 1), axis=1))


@lengths
def reflection():
    """Reflection by reversed slices"""
    return of(lambda x: mx.concatenate([x[:, 1:4][:, ::-1], x, x[:, -4:-1][:, ::-1]], axis=1))


@lengths
def framing():
    """Frames of a signal with hops, and their spectrum"""

    def fn(x):
        count = (x.shape[1] - 16) // 8 + 1
        places = mx.arange(count)[:, None] * 8 + mx.arange(16)[None]
        return mx.abs(mx.fft.rfft(x[:, :, 0][:, places], axis=-1))

    return of(fn, sizes=(32, 256), unseen=(33, 100, 255), width=1, example=40)


@lengths
def strided_convolutions():
    """Strided convolutions, a GRU, flattened after pooling"""
    a, b, gru = nn.Conv1d(4, 8, 5, stride=2, padding=2), nn.Conv1d(8, 8, 3, stride=3), nn.GRU(8, 6)
    sizes = {"sizes": (16, 96), "unseen": (17, 50, 95), "example": 20}
    return of(lambda x: gru(nn.relu(b(nn.relu(a(x))))).mean(1), **sizes, deployment_target="iOS18")


@lengths.refused(r"from iOS18")
def recurrent_on_old_system():
    """A GRU over a length on a system whose loops have a fixed size"""
    gru = nn.GRU(4, 6)
    return of(gru)


@lengths
def doubled():
    """Resampling by repeating, and by a transposed convolution"""
    up = nn.ConvTranspose1d(4, 4, 4, stride=2, padding=1)
    return of(lambda x: mx.repeat(x, 2, axis=1) + up(x))


@lengths
def three_halves():
    """Resampling by 3/2 with linear interpolation"""
    up = nn.Upsample(scale_factor=1.5, mode="linear", align_corners=False)
    return of(lambda x: up(x), unseen=(10, 24, 50))


@lengths
def averaged_by_length():
    """A length as a number in a formula"""
    return of(lambda x: (x.sum(1) / x.shape[1], x * (x.shape[1] ** -0.5)))


@lengths
def windows_with_padding():
    """Local attention in windows, padded to a multiple"""

    def fn(x):
        b, n, c = x.shape
        x = mx.pad(x, [(0, 0), (0, -n % 4), (0, 0)])
        w = x.reshape(b, -1, 4, c)
        w = mx.softmax(w @ w.swapaxes(2, 3), axis=-1) @ w
        return w.reshape(b, -1, c)[:, :n]

    return of(fn)


@lengths
def relative_shift():
    """Transformer-XL's relative shift"""

    def fn(x):
        n = x.shape[1]
        s = x @ x.swapaxes(1, 2)
        s = mx.pad(s, [(0, 0), (0, 0), (1, 0)]).reshape(1, n + 1, n)[:, 1:]
        return s.reshape(1, n, n) @ x

    return of(fn)


@lengths
def batch():
    """A batch that varies, with BatchNorm"""
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm(8), nn.ReLU(), nn.Linear(8, 2))
    calls = [call(normal(n, 4)) for n in (1, 3, 32)]
    return Made(net, call(normal(2, 4)), calls, {"flexible": {"x": {0: (1, 32)}}})


@lengths
def batch_and_length():
    """A batch and a length that vary apart"""
    table, gru = nn.Embedding(20, 8), nn.GRU(8, 6)

    def fn(ids, mask):
        m = mask[..., None].astype(mx.float32)
        return (gru(table(ids)) * m).sum(1) / mx.maximum(m.sum(1), 1)

    def at(b, n):
        return call(whole(0, 20, b, n), whole(0, 2, b, n))

    axes = {0: (1, 8), 1: (2, 40)}
    options = {"flexible": {"ids": axes, "mask": axes}, "deployment_target": "iOS18"}
    return Made(fn, at(2, 6), [at(1, 2), at(3, 17), at(8, 39)], options)


@lengths
def two_lengths():
    """Cross-attention of two lengths with ranges of their own"""
    q, kv = nn.Linear(4, 4), nn.Linear(4, 8)

    def fn(x, context):
        k, v = mx.split(kv(context), 2, axis=-1)
        return mx.softmax(q(x) @ k.swapaxes(1, 2), axis=-1) @ v

    calls = [call(normal(1, n, 4), normal(1, m, 4)) for n, m in ((1, 50), (17, 3), (30, 30))]
    options = {"flexible": {"x": {1: (1, 32)}, "context": {1: (2, 64)}}}
    return Made(fn, call(normal(1, 6, 4), normal(1, 9, 4)), calls, options)


@lengths
def enumerated():
    """Enumerated lengths for a formula that reads the length in Python"""
    tables = {n: normal(n, 4) for n in (8, 12, 20)}
    return of(lambda x: x * tables[x.shape[1]], sizes=[8, 12, 20], unseen=(8, 12, 20), example=12)


@lengths.refused(r"\[.*\]|enumerat")
def python_branch():
    """A length that chooses a table in Python, over a range"""
    tables = {n: normal(4) for n in range(200)}
    return of(lambda x: x * tables[x.shape[1]])
