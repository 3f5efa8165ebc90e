"""Reading and writing of elements: slices, indices that are arrays, gathers and scatters.

https://ml-explore.github.io/mlx/build/html/usage/indexing.html
"""

from collections.abc import Mapping

import mlx.core as mx

from mlx_coreml.coverage.cases.case import Draw, booleans, distinct, integers, normal

PLACES = integers(0, 3, 5)
FROM_THE_END = integers(-3, 3, 5)

SLICES = """
    x[0]
    x[-1]
    x[1:3]
    x[:-1]
    x[-2:]
    x[::2]
    x[1::2]
    x[::-1]
    x[::-2]
    x[2:0:-1]
    x[:, 1]
    x[:, ::-1]
    x[:, -1:]
    x[:, 1:4:2]
    x[..., 0]
    x[..., ::-1]
    x[..., None]
    x[None]
    x[:, None]
    x[:]
    x[1, 2]
    x[1:, ..., :2]
    x[1:2, 2:3]
    x[[0, 2, 1]]
    x[mx.array([0, 2])]
    x[mx.array([[0, 1], [2, 0]])]
    x[:, mx.array([1, 0, 3])]
    x[mx.array([0, 1]), mx.array([2, 3])]
    x[mx.array([0, 1])[:, None], mx.array([2, 3, 1])]
    x[mx.array([-1, -2])]
    x[1:, mx.array([0, 2])]
    x[..., mx.array([1, 1, 0])]
    x[:, 4:]
    mx.take(x, mx.array([2, 0]), axis=0)
    mx.take(x, mx.array([3, 1]), axis=1)
    mx.take(x, mx.array([5, 1, 7]))
    mx.take(x, 1, axis=1)
"""
WRITES = """
    mx.slice_update(x, y[:1, :2], mx.array([1, 1]), (0, 1))
    mx.slice_update(x, y[:, :1], mx.array([2]), (1,))
    x.at[0].add(y[0])
    x.at[1:].add(y[1:])
    x.at[:, 1].subtract(y[:, 0])
    x.at[:, ::2].multiply(y[:, ::2])
    x.at[mx.array([0, 2])].add(y[:2])
    x.at[mx.array([0, 0, 2])].add(y)
    x.at[mx.array([1, 1, 0])].maximum(y)
    x.at[mx.array([1, 1, 0])].minimum(y)
    x.at[mx.array([0, 2])].multiply(y[:2])
    x.at[:, mx.array([0, 3])].add(y[:, :2])
    x.at[mx.array([0, 1]), mx.array([3, 2])].add(y[0, :2])
    x.at[..., 1].add(1.0)
"""

TABLES: list[tuple[Mapping[str, Draw], str]] = [
    ({"x": normal(3, 5)}, SLICES),
    ({"x": normal(3, 5, 4)}, SLICES + """
        x[:, mx.array([1, 0]), :]
        x[mx.array([0, 1]), :, mx.array([2, 3])]
        x[:, mx.array([0, 4]), mx.array([3, 1])]
        x[::-1, ::-1, ::-1]
        x[:, 1:-1, 1:-1]
        x[0, :, -1]
        x[None, :, None, 0]
        x[:, :, None, :] - x[:, None]
    """),
    ({"x": integers(-9, 9, 3, 5)}, SLICES),
    ({"x": booleans(3, 5)}, """
        x[0]
        x[:, ::-1]
        x[1:, :3]
        x[mx.array([2, 0])]
        mx.take(x, mx.array([1]), axis=1)
    """),
    ({"x": normal(6)}, """
        x[2]
        x[::-1]
        x[1:-1]
        x[::3]
        x[mx.array([3, 0])]
        x[mx.array(2)]
        x[1:] - x[:-1]
        x[-3:]
    """),
    ({"x": normal(2, 3, 2, 3, 4)}, """
        x[:, 1]
        x[..., ::2, :]
        x[:, :, ::-1]
        x[:, :, 0, :, 1]
        x[:, mx.array([0, 2])]
        mx.take(x, mx.array([1, 0]), axis=-2)
    """),
    ({"x": normal(3, 5), "i": PLACES}, """
        x[i]
        mx.take(x, i, axis=0)
        mx.take(x, i, axis=1)
        mx.take(x, i)
        x[:, i]
        x[i, i]
        x[i][:, i]
        x[i[:, None], i[None]]
        x[i, 1]
        x[i, ::2]
        x[i.reshape(5, 1)]
        mx.take(x, i[0], axis=0)
        x[i[0]]
        mx.take(x.flatten(), i)
        (mx.arange(5) == i[:, None]).astype(mx.float32)
        mx.eye(3)[i] @ x
        x.at[i].add(1.0)
        x.at[i].add(x[i])
        x.at[:, i].add(2.0)
        x.at[i, i].add(1.0)
    """),
    ({"x": normal(3, 5), "i": FROM_THE_END}, "x[i]\n mx.take(x, i, axis=0)\n x[:, i]\n x.at[i].add(1.0)"),
    ({"x": normal(3, 5), "i": integers(0, 3, 5, dtype=mx.uint32)}, "x[i]\n mx.take(x, i, axis=1)"),
    ({"x": normal(3, 5), "i": integers(0, 3, 2, 2, dtype=mx.int64)}, "x[i]\n mx.take(x, i, axis=1)"),
    ({"x": normal(4, 3, 5), "i": integers(0, 3, 4, 2, 5)}, """
        mx.take_along_axis(x, i, axis=1)
        mx.take_along_axis(x, i, axis=-2)
        mx.take_along_axis(x[:, :2], i % 2, axis=1)
        mx.take_along_axis(x, i[:, :1], axis=1)
        mx.take_along_axis(x, i.flatten(), axis=None)
        mx.take_along_axis(x[0], i[0], axis=0)
        mx.put_along_axis(x, i[:, :1], mx.array(9.0), axis=1)
        mx.put_along_axis(x, i[:, :1], x[:, 1:2] * 2, axis=1)
    """),
    ({"x": normal(3, 5), "i": integers(-5, 5, 3, 1)}, """
        mx.take_along_axis(x, i, axis=-1)
        mx.put_along_axis(x, i, mx.array(0.0), axis=-1)
    """),
    ({"x": distinct(3, 5)}, """
        mx.take_along_axis(x, mx.argsort(x, axis=-1), axis=-1)
        mx.take_along_axis(x, mx.argmax(x, axis=-1, keepdims=True), axis=-1)
        mx.put_along_axis(mx.zeros_like(x), mx.argsort(x, axis=-1), x, axis=-1)
        mx.put_along_axis(x, mx.argpartition(x, 2, axis=-1)[:, :2], mx.array(-99.0), axis=-1)
        mx.where(x < mx.topk(x, 2, axis=-1).min(axis=-1, keepdims=True), -1e9, x)
        x[mx.argsort(x[:, 0])]
        mx.argsort(mx.argsort(x, axis=-1), axis=-1)
    """),
    ({"x": normal(3, 5), "y": normal(3, 5)}, WRITES + "x.at[mx.array([0, 2])].divide(mx.abs(y[:2]) + 1)"),
    ({"x": integers(-9, 9, 3, 5), "y": integers(-9, 9, 3, 5)}, WRITES),
    ({"x": normal(6), "y": normal(2)}, """
        x.at[2:4].add(y)
        x.at[mx.array([5, 0])].add(y)
        x.at[3].add(y[0])
    """),
    ({"x": normal(2, 6, 4), "y": normal(2, 1, 4), "i": integers(0, 6, 1)}, """
        mx.slice_update(x, y, i, (1,))
        mx.slice(x, i // 2, (1,), (2, 3, 4))
        mx.slice_update(mx.zeros_like(x), y, i, (1,)) + x
        x[:, i]
        mx.where(mx.arange(6)[:, None] <= i, x, 0)
    """),
    ({"x": normal(5, 6), "i": integers(0, 3, 2)}, """
        mx.slice(x, i, (0, 1), (2, 3))
        mx.slice_update(x, x[:2, :2], i, (0, 1))
    """),
    ({"x": normal(3, 4), "b": booleans(3, 4)}, """
        mx.where(b, x, 0.0)
        mx.where(b, x, -float('inf'))
        mx.softmax(mx.where(b | (mx.arange(4) == 0), x, -1e9), axis=-1)
        mx.sum(mx.where(b, x, 0), axis=-1) / mx.maximum(mx.sum(b, axis=-1), 1)
        x * b
    """),
]  # fmt: skip
