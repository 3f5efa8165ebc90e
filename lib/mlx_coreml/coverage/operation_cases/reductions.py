"""Operations of mlx.core that reduce, scan, order and normalise along axes.

https://ml-explore.github.io/mlx/build/html/python/ops.html
"""

from collections.abc import Mapping

from mlx_coreml.coverage.cases.case import (
    Draw,
    ascending,
    booleans,
    distinct,
    integers,
    normal,
    special,
    uniform,
)

CUBE = normal(2, 3, 4)

REDUCTIONS = """
    mx.sum(x)
    mx.sum(x, axis=0)
    mx.sum(x, axis=-1, keepdims=True)
    mx.prod(x, axis=-1)
    mx.max(x)
    mx.max(x, axis=0)
    mx.max(x, axis=-1, keepdims=True)
    mx.min(x)
    mx.min(x, axis=-1)
    mx.mean(x)
    mx.mean(x, axis=0)
    mx.var(x, axis=-1)
    mx.std(x, axis=-1)
    mx.all(x, axis=-1)
    mx.any(x, axis=0)
    mx.argmax(x, axis=-1)
    mx.argmin(x, axis=0)
    mx.count_nonzero(x)
    mx.count_nonzero(x, axis=-1)
    mx.minmax(x)
    mx.minmax(x, axis=0)
    mx.cumsum(x, axis=-1)
"""
SCANS = """
    mx.cumsum(x)
    mx.cumsum(x, axis=0)
    mx.cumsum(x, axis=-1, reverse=True)
    mx.cumsum(x, axis=1, inclusive=False)
    mx.cumsum(x, axis=1, reverse=True, inclusive=False)
    mx.cumprod(x, axis=-1)
    mx.cumprod(x, axis=0, reverse=True)
    mx.cumprod(x, axis=-1, inclusive=False)
    mx.cummax(x, axis=-1)
    mx.cummax(x, axis=0, reverse=True)
    mx.cummin(x, axis=-1)
    mx.cummin(x, axis=1, reverse=True)
    mx.cumulative_sum(x, axis=1)
    mx.cumulative_prod(x, axis=1)
"""
# The order inside a partition is free, so a case sorts what it takes of one.
ORDER = """
    mx.sort(x)
    mx.sort(x, axis=0)
    mx.sort(x, axis=None)
    mx.argsort(x)
    mx.argsort(x, axis=0)
    mx.argsort(x, axis=None)
    mx.argsort(-x, axis=-1)
    mx.sort(mx.topk(x, 2))
    mx.topk(x, 1)
    mx.sort(mx.topk(x, 2, axis=0), axis=0)
    mx.topk(x, 3).sum(axis=-1)
    mx.sort(mx.partition(x, 2)[..., :3])
    mx.partition(x, 1, axis=-1)[..., 1]
    mx.sort(mx.argpartition(x, 2, axis=-1)[..., :2])
    mx.sort(mx.argpartition(-x, 2, axis=-1)[..., :3])
    mx.sort(mx.take_along_axis(x, mx.argpartition(x, 2, axis=0), axis=0), axis=0)
    mx.argmax(x)
    mx.argmax(x, axis=1)
    mx.argmin(x, axis=1, keepdims=True)
    mx.median(x)
    mx.median(x, axis=-1)
    mx.median(x, axis=0, keepdims=True)
    mx.max(x, axis=(0, 1))
    mx.sort(x)[..., ::-1]
"""

TABLES: list[tuple[Mapping[str, Draw], str]] = [
    ({"x": CUBE}, REDUCTIONS + SCANS + """
        mx.sum(x, axis=(0, 2))
        mx.sum(x, axis=[0, 1, 2])
        mx.sum(x, axis=())
        mx.sum(x, axis=(-1, -2), keepdims=True)
        mx.prod(x)
        mx.prod(x, axis=(0, 1), keepdims=True)
        mx.max(x, axis=(1, 2))
        mx.min(x, axis=(0, 2), keepdims=True)
        mx.mean(x, axis=(1, 2), keepdims=True)
        mx.mean(x, axis=-2)
        mx.var(x)
        mx.var(x, axis=(0, 1), ddof=1)
        mx.var(x, axis=-1, keepdims=True, ddof=1)
        mx.std(x)
        mx.std(x, axis=1, ddof=1)
        mx.all(x > -1)
        mx.all(x > -1, axis=(0, 1))
        mx.any(x > 1, axis=-1, keepdims=True)
        mx.any(x > 1)
        mx.minmax(x, axis=(0, 1), keepdims=True)
        mx.logsumexp(x)
        mx.logsumexp(x, axis=-1)
        mx.logsumexp(x, axis=0, keepdims=True)
        mx.logsumexp(x, axis=(0, 1))
        mx.logcumsumexp(x, axis=-1)
        mx.logcumsumexp(x, axis=0, reverse=True)
        mx.softmax(x)
        mx.softmax(x, axis=-1)
        mx.softmax(x, axis=0)
        mx.softmax(x, axis=1)
        mx.softmax(x, axis=(1, 2))
        mx.softmax(x, axis=-1, precise=True)
        mx.diff(x)
        mx.diff(x, axis=0)
        mx.diff(x, n=2, axis=-1)
        mx.linalg.norm(x)
        mx.linalg.norm(x, axis=-1)
        mx.linalg.norm(x, ord=1, axis=1, keepdims=True)
        mx.linalg.norm(x, ord=3, axis=-1)
        mx.linalg.norm(x, ord=float('inf'), axis=-1)
        mx.linalg.norm(x, ord=-float('inf'), axis=-1)
        mx.linalg.norm(x, ord=0, axis=-1)
        mx.linalg.norm(x, axis=(-2, -1))
        mx.linalg.norm(x, ord='fro', axis=(0, 1))
        mx.linalg.norm(x, ord=1, axis=(1, 2))
        mx.linalg.norm(x, ord=float('inf'), axis=(1, 2))
        mx.matrix_norm(x)
        x / mx.linalg.norm(x, axis=-1, keepdims=True)
        (x - x.mean(axis=-1, keepdims=True)) * mx.rsqrt(x.var(axis=-1, keepdims=True) + 1e-5)
        x.sum(axis=0).max() + x.mean()
        (x.sum(0), x.max(1), x.argmax(2))
    """),
    ({"x": distinct(3, 4, 5)}, ORDER),
    ({"x": integers(-6, 7, 2, 3, 4)}, REDUCTIONS + """
        mx.sort(x)
        mx.sort(x, axis=1)
        mx.sort(mx.topk(x, 2))
        mx.cumsum(x, axis=0)
        mx.cumprod(x % 3, axis=0)
        mx.cummax(x, axis=1)
        mx.cummin(x, axis=1)
        mx.argsort(x * 12 + mx.arange(12).reshape(3, 4), axis=-1)
        mx.median(x)
        mx.unique(x.flatten(), size=13, fill_value=99)
    """),
    ({"x": integers(-2, 3, 2, 3, 4)}, """
        mx.argmax(x, axis=-1)
        mx.argmin(x, axis=0)
        mx.argsort(x, axis=-1)
    """),
    ({"x": booleans(2, 3, 4)}, """
        mx.sum(x)
        mx.sum(x, axis=-1)
        mx.all(x, axis=0)
        mx.any(x)
        mx.max(x, axis=-1)
        mx.min(x, axis=0)
        mx.mean(x, axis=-1)
        mx.argmax(x, axis=-1)
        mx.cumsum(x, axis=-1)
        mx.count_nonzero(x, axis=(0, 2), keepdims=True)
    """),
    ({"x": distinct(7)}, """
        mx.sum(x)
        mx.max(x)
        mx.argmax(x)
        mx.sort(x)
        mx.argsort(x)
        mx.sort(mx.topk(x, 3))
        mx.median(x)
        mx.cumsum(x)
        mx.cumsum(x, reverse=True)
        mx.cummax(x)
        mx.softmax(x, axis=0)
        mx.searchsorted(mx.sort(x), mx.array([0.5, 2.0, 9.0]))
    """),
    ({"x": normal(2, 2, 3, 2, 4)}, """
        mx.sum(x, axis=2)
        mx.mean(x, axis=(1, 3))
        mx.max(x, axis=-2, keepdims=True)
        mx.softmax(x, axis=2)
        mx.cumsum(x, axis=2)
        mx.logsumexp(x, axis=(1, 2, 3))
        mx.argmax(x, axis=1)
    """),
    ({"x": normal()}, "mx.sum(x)\n mx.max(x, keepdims=True)\n mx.softmax(x.reshape(1), axis=0)"),
    ({"x": uniform(-200, 200, 3, 7)}, """
        mx.softmax(x, axis=-1)
        mx.softmax(x, axis=0)
        mx.logsumexp(x, axis=-1)
        mx.logsumexp(x)
        mx.logcumsumexp(x / 4, axis=1)
    """),
    ({"x": special(4, 6)}, "mx.argmax(mx.nan_to_num(x, posinf=9, neginf=-9), axis=-1)\n mx.any(x, axis=1)"),
    ({"x": ascending(9), "y": normal(2, 5)}, """
        mx.searchsorted(x, y)
        mx.searchsorted(x, y, side='right')
        mx.searchsorted(x, x, side='right')
    """),
]  # fmt: skip
