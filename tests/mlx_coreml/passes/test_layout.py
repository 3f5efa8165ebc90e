"""Transposes between convolutions cancel, whatever lies between; what needs channels last gets them."""

import numpy as np
import pytest
from conversion import converted, graph_of, normal

from mlx_coreml.passes.layout.channels_first import inverse
from twins.frameworks import mx

import mlx.nn as nn  # isort: skip

IMAGE = normal(2, 6, 8, 4)
FIRST, SECOND = normal(4, 3, 3, 4, seed=1), normal(5, 1, 1, 4, seed=2)


def first(x):
    return mx.conv2d(x, FIRST, padding=1)


def second(x):
    return mx.conv2d(x, SECOND)


# Between two convolutions: two transposes are left, of the input and of the output.
BETWEEN = {
    "elementwise": lambda x: mx.sqrt(mx.abs(x)) - mx.exp(-x),
    "numbers per channel": lambda x: mx.maximum(x, mx.array([0.1, 0.2, 0.3, 0.4])),
    "numbers per place": lambda x: x * normal(6, 8, 1) + normal(8, 4),
    "a comparison": lambda x: mx.where(x > 0, x, mx.array([1.0, 2, 3, 4])),
    "a concatenation": lambda x: mx.concatenate([x[..., :2], nn.relu(x)[..., 2:]], axis=-1),
    "a split": lambda x: mx.concatenate(mx.split(x, 2, axis=-1)[::-1], axis=-1),
    "slices with strides": lambda x: x[:, ::-1, 1::2],
    "padding": lambda x: mx.pad(x, [(0, 0), (1, 0), (2, 3), (0, 0)], constant_values=2),
    "padding by edges": lambda x: mx.pad(x, [(0, 0), (1, 0), (2, 3), (0, 0)], mode="edge"),
    "a mean over space": lambda x: x - x.mean((1, 2), keepdims=True),
    "a maximum over channels": lambda x: x / (1 + mx.max(mx.abs(x), axis=-1, keepdims=True)),
    "pooling": nn.MaxPool2d(3, stride=2, padding=1),
    "upsampling": nn.Upsample(2),
    "interpolation": nn.Upsample(2, mode="linear"),
    "cubic interpolation": nn.Upsample(2, mode="cubic"),
    "instance norm": nn.InstanceNorm(4),
    "group norm": nn.GroupNorm(2, 4, pytorch_compatible=True),
    "a linear layer": nn.Linear(4, 4),
    "space to depth and back": lambda x: (
        (y := x.reshape(2, 3, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4, 5).reshape(2, 3, 4, 16))
        .reshape(2, 3, 4, 2, 2, 4).transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 8, 4) + y.sum()
    ),
    "nothing": lambda x: x,
}  # fmt: skip


@pytest.mark.parametrize("name", BETWEEN)
def test_between_convolutions_nothing_is_transposed(name):
    fn = BETWEEN[name]
    if isinstance(fn, nn.Module):
        mx.eval(fn.parameters())
    kinds, error = converted(lambda x: second(fn(first(x))), IMAGE)
    assert kinds["transpose"] == 2
    assert error < 1e-5


def squeezed(x):
    """Squeeze and excitation with the channels' weights as (N, C)."""
    gate = mx.sigmoid(x.mean((1, 2)) @ normal(4, 4))
    return x * gate[:, None, None]


LEFT = {
    "squeeze and excitation": (lambda x: second(squeezed(first(x))), 2),
    "a mean at the end": (lambda x: first(x).mean((1, 2)), 1),
    "everything reduced": (lambda x: first(x).max(), 1),
    "an input that a convolution reads as well": (lambda x: first(x) + x, 2),
    "a sum with what is channels-last": (lambda x: second(first(x) + mx.exp(x)), 4),
    "softmax at the end": (lambda x: mx.softmax(first(x), axis=-1), 2),
    "softmax over channels between": (lambda x: second(mx.softmax(first(x), axis=-1)), 4),
    "two that read one": (lambda x: (first(x), second(x)), 3),
    "two results of one": (lambda x: [y := first(x), nn.relu(y)], 3),
    "a result channels-first": (lambda x: first(x).transpose(0, 3, 1, 2), 1),
    "a result with the sides swapped": (lambda x: first(x).swapaxes(1, 2), 2),
    "a sequence of places": (lambda x: mx.conv1d(first(x).flatten(1, 2), normal(3, 5, 4)), 4),
    "no convolution": (lambda x: x + 1, 0),
}


@pytest.mark.parametrize("name", LEFT)
def test_transposes_left(name):
    fn, transposes = LEFT[name]
    kinds, error = converted(fn, IMAGE)
    assert kinds["transpose"] == transposes
    assert error < 1e-5


def test_a_channels_first_input_needs_none():
    kinds, error = converted(
        lambda x: first(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), IMAGE.transpose(0, 3, 1, 2)
    )
    assert not kinds["transpose"]
    assert error < 1e-5


def flat_head(x):
    return first(x).reshape(x.shape[0], -1) @ normal(6 * 8 * 4, 3)


def test_a_linear_layer_of_everything_permutes_its_weight():
    kinds, error = converted(flat_head, IMAGE)
    assert kinds == {"transpose": 1, "conv": 1, "reshape": 1, "linear": 1}
    assert error < 1e-5
    (linear,) = [node for node in graph_of(flat_head, IMAGE).nodes if node.kind == "linear"]
    weight = np.array(normal(6 * 8 * 4, 3)).reshape(6, 8, 4, 3).transpose(3, 2, 0, 1).reshape(3, -1)
    np.testing.assert_array_equal(linear.inputs[1].numpy(), weight)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: (y := first(x).reshape(2, -1)) @ normal(192, 3) + y.sum(),  # read elsewhere
        lambda x: first(x).reshape(4, -1) @ normal(96, 3),  # the batch is split
        lambda x: nn.relu(first(x).reshape(2, -1)) @ normal(192, 3),
    ],
)
def test_other_flattenings_keep_the_order(fn):
    _, error = converted(fn, IMAGE)
    assert error < 1e-5


def test_transposes_of_attention_stay_where_they_are():
    def split_heads(x):
        return mx.exp(x.reshape(2, 48, 2, 2).transpose(0, 2, 1, 3)) @ normal(2, 3)

    kinds = graph_of(split_heads, normal(2, 48, 4)).kinds()
    assert kinds["Transpose"] == 1


def test_an_order_is_undone_by_its_inverse():
    assert inverse((0, 3, 1, 2)) == (0, 2, 3, 1)
    assert inverse((2, 0, 1)) == (1, 2, 0)
