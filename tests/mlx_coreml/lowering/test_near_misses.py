"""What resembles a norm, attention, an activation or a layer but is none computes what it says."""

import re

import mlx.nn as nn
import pytest
from agreement import assert_agree, normal, results, whole

from twins.frameworks import mx

X, Y, ROW, COLUMN = normal(3, 8), normal(3, 8, seed=1), normal(8), normal(3, 1)
Q, K, SQUARE = normal(2, 5, 8), normal(2, 5, 8, seed=1), normal(5, 5)
ARRAYS = {"x": X, "y": Y, "row": ROW, "column": COLUMN, "q": Q, "k": K, "square": SQUARE}
ARRAYS |= {"small": mx.abs(ROW[:1]) + 0.1, "ends": whole(0, 5, 3), "picture": normal(1, 4, 4, 3)}
MEAN = "x.mean(-1, keepdims=True)"
TEXTS = f"""
    x * mx.rsqrt((x * x).mean(-1, keepdims=True) + small)
    y * mx.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    x * mx.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * column
    x * mx.rsqrt((x * y).mean(-1, keepdims=True) ** 2 + 1e-6)
    x * mx.rsqrt((x * x).sum(-1, keepdims=True) * 0.3 + 1e-6)
    x * mx.rsqrt((x * x).mean((0, -1), keepdims=True) + 1e-6)
    x / (mx.sqrt((x * x).mean(-1, keepdims=True)) + 1e-2)
    (x - {MEAN}) * mx.rsqrt(y.var(-1, keepdims=True) + 1e-5)
    (x - {MEAN}) * mx.rsqrt(x.var(-1, keepdims=True, ddof=1) + 1e-5)
    (x - {MEAN}) * mx.rsqrt(((x - 0.1) ** 2).mean(-1, keepdims=True) + 1e-5)
    (x - x.mean(0, keepdims=True)) * mx.rsqrt(x.var(-1, keepdims=True) + 1e-5)
    (x - x.max(-1, keepdims=True)) * mx.rsqrt(x.var(-1, keepdims=True) + 1e-5)
    mx.fast.layer_norm(x, row, row, 1e-5) * column + mx.fast.layer_norm(x, None, row, 1e-5)
    mx.softmax((q @ k.swapaxes(1, 2) + square) * 0.5, -1) @ k
    mx.softmax(q @ k.swapaxes(1, 2) * square, -1) @ k
    mx.softmax(q @ k.swapaxes(1, 2), -1) * square @ k
    mx.softmax(q @ k.swapaxes(1, 2), -2) @ k
    mx.softmax(mx.tanh(q @ k.swapaxes(1, 2) / 5) * 5, -1) @ k
    mx.softmax(mx.where(square > 0, q @ k.swapaxes(1, 2), 0.0), -1) @ k
    mx.softmax(q @ k.swapaxes(1, 2) + mx.triu(mx.full((5, 5), -3.0), 1), -1) @ k
    k.swapaxes(1, 2) @ mx.softmax(q @ k.swapaxes(1, 2) * 0.3, -1)
    mx.softmax(mx.where(mx.arange(5) < ends[0], -1e9, q @ k.swapaxes(1, 2)), -1) @ k
    0.5 * x * (1 + mx.tanh(0.79 * (x + 0.05 * x**3)))
    0.6 * x * (1 + mx.erf(x / 1.4142135))
    0.5 * x * (1 + mx.erf(x / 1.5))
    x * mx.sigmoid(y)
    mx.minimum(mx.maximum(x, 6), 0)
    mx.maximum(x, 1.5 * x)
    mx.where(x > 1, x, 0.1 * x)
    mx.where(x > 0, y, 0.1 * x)
    mx.where(x > 0, x, mx.exp(y) - 1)
    x * mx.tanh(nn.softplus(y))
    x @ mx.arange(64.0).reshape(8, 8) / 64 + y
    mx.arange(9.0).reshape(3, 3) / 9 @ x + row
    mx.stack([-x[..., 1::2], x[..., ::2]], -1).reshape(3, 8)
    mx.concatenate([x[..., 4:], -x[..., :4]], -1) * y + x
    mx.concatenate(mx.split(x, 4, 1)[::-1], 1)
    mx.sort(x, -1)[..., 1:3]
    mx.argsort(-x, -1)[..., 1:2]
    mx.conv2d(picture, mx.ones((2, 1, 1, 3))) * mx.arange(4.0)[:, None] + picture[..., :2]
    mx.conv2d(mx.pad(picture, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1), mx.ones((2, 3, 3, 3)))
    mx.conv2d(mx.pad(picture, ((0, 0), (1, 0), (2, 1), (0, 0))), mx.ones((2, 3, 3, 3)), padding=1)
    nn.MaxPool2d(2)(mx.pad(picture, ((0, 0), (1, 1), (1, 1), (0, 0))))
    picture.reshape(1, 2, 2, 2, 2, 3).max((1, 3))
    mx.as_strided(picture.reshape(-1), (4,), (-1,), offset=5)
"""


def _case(text: str):
    names = [name for name in ARRAYS if re.search(rf"\b{name}\b", text)]
    return eval(f"lambda {', '.join(names)}: {text}", {"mx": mx, "nn": nn}), tuple(ARRAYS[n] for n in names)


CASES = {text: _case(text) for text in filter(None, map(str.strip, TEXTS.splitlines()))}


@pytest.fixture(scope="module")
def pairs():
    return {target: results(CASES, target) for target in ("iOS17", "iOS18")}


@pytest.mark.parametrize("target", ["iOS17", "iOS18"])
@pytest.mark.parametrize("text", CASES)
def test_it_is_what_it_says(text, target, pairs):
    assert_agree(pairs[target][text])
