"""More than five axes on the way are rewritten within five, with MLX's numbers; at either end refused."""

import math

import numpy as np
import pytest
from conversion import converted, error_of, normal

from mlx_coreml.conversion.convert import convert
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.passes.layout.rank import merged
from twins.frameworks import mx

X = normal(2, 2, 3, 2, 3, 2, 2)
FLAT = X.reshape(-1)


def of_seven(fn):
    """A function of the seven axes, between flat arrays."""
    return lambda x: fn(x.reshape(X.shape)).reshape(-1)


CASES = {
    "a transpose of two blocks": lambda x: x.transpose(3, 4, 5, 6, 0, 1, 2),
    "all axes reversed": lambda x: x.transpose(6, 5, 4, 3, 2, 1, 0),
    "a shuffle": lambda x: x.transpose(0, 2, 4, 6, 1, 3, 5),
    "a broadcast": lambda x: mx.broadcast_to(x[:, :1, :, :1], X.shape) + 1,
    "a sum over far axes": lambda x: x.sum(axis=(0, 2, 5)),
    "a maximum that keeps its axes": lambda x: x.max(axis=(1, 3, 6), keepdims=True) * 2,
    "a mean": lambda x: x.mean(axis=(0, 3, 4)),
    "elementwise": lambda x: mx.maximum(mx.abs(x), 0.5) - mx.tanh(x),
    "operands that lack some axes": lambda x: x * x[:, :, :1, :, :, :1] + x[0, 0, 0, 0],
    "operands that lack every other axis": lambda x: x + x[:, :1, :, :1, :, :1] * x[:1, :, :1, :, :1, :, :1],
    "slices of three axes": lambda x: x[:, ::-1, 1:, :, ::2, :, 1],
    "a concatenation": lambda x: mx.concatenate([x, x * 2], axis=3),
    "a split": lambda x: mx.subtract(*mx.split(x, 2, axis=5)),
    "a product": lambda x: x @ x.swapaxes(-1, -2),
    "a product with shared batches": lambda x: x @ x[:, :1, :, :1, :, :1, :].swapaxes(-1, -2)[:1],
    "softmax": lambda x: mx.softmax(x, axis=-1),
    "a running sum": lambda x: mx.cumsum(x, axis=2),
    "an order": lambda x: mx.sort(x, axis=4),
    "the place of the maximum": lambda x: mx.argmax(x, axis=2),
    "a comparison": lambda x: mx.where(x > 0, x, x.transpose(0, 1, 4, 3, 2, 5, 6)),
}


@pytest.mark.parametrize("name", CASES)
def test_seven_axes_between(name):
    assert error_of(of_seven(CASES[name]), FLAT) < 1e-6


def test_a_gather_along_three_axes_of_four():
    rows, columns, channels = mx.array([[0, 1]]), mx.array([[2], [0]]), mx.array([1])
    assert error_of(lambda x: x[rows, columns, channels], normal(2, 3, 4, 5)) == 0


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_eight_axes(seed):
    rng = np.random.default_rng(seed)
    shape, order = rng.integers(1, 4, 8).tolist(), rng.permutation(8).tolist()
    kinds, error = converted(
        lambda x: x.reshape(shape).transpose(order).reshape(-1), normal(math.prod(shape))
    )
    assert error == 0
    assert kinds["transpose"] <= 4


def test_a_window_partition_is_one_transpose():
    kinds, error = converted(
        lambda x: x.reshape(2, 2, 3, 2, 3, 4).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 9, 4),
        normal(2, 6, 6, 4),
    )
    assert kinds == {"reshape": 2, "transpose": 1}
    assert error == 0


@pytest.mark.parametrize(
    ("fn", "x", "told"),
    [
        (lambda x: x.reshape(X.shape), FLAT, r"output .*\[2, 2, 3, 2, 3, 2, 2\] has rank 7"),
        (lambda x: x.sum(), X, r"input x .* has rank 7; Core ML allows rank 5 at most"),
        (of_seven(lambda x: mx.conj(x.astype(mx.complex64))), FLAT, "rank 7|complex"),
    ],
)
def test_what_cannot_be_rewritten_is_named(fn, x, told):
    with pytest.raises(ConversionError, match=told):
        convert(fn, x)


def test_neighbours_with_the_same_keys_are_merged():
    assert merged([True, True, False, True], [0, 0, 0, 1]) == [[0, 1], [2], [3]]
    assert merged([]) == []
