"""What is folded into a convolution or linear layer, with which numbers, and what must not be."""

import numpy as np
import pytest
from conversion import converted, error_of, graph_of, normal

from twins.frameworks import mx

import mlx.nn as nn  # isort: skip

IMAGE, KERNEL = normal(2, 6, 5, 3), normal(4, 3, 3, 3)
CHANNELS = normal(4, seed=1)


def norm(channels: int = 4) -> nn.BatchNorm:
    """A BatchNorm in evaluation mode whose numbers all differ."""
    made = nn.BatchNorm(channels)
    made.weight, made.bias = normal(channels, seed=2), normal(channels, seed=3)
    made.running_mean, made.running_var = normal(channels, seed=4), mx.abs(normal(channels, seed=5)) + 0.1
    mx.eval(made.parameters())
    return made.eval()


def the(kind: str, graph):
    """The only node of a kind."""
    (node,) = [node for node in graph.nodes if node.kind == kind]
    return node


def test_batch_norm_is_folded_once_in_float64():
    layer, batch = nn.Conv2d(3, 4, 3), norm()
    node = the("conv", graph_of(nn.Sequential(layer, batch).eval(), IMAGE))
    kept = {name: np.array(value, np.float64) for name, value in batch.parameters().items()}
    scale = kept["weight"] * np.array(mx.rsqrt(batch.running_var + batch.eps), np.float64)
    weight = np.array(layer.weight, np.float64) * scale[:, None, None, None]
    bias = (np.array(layer.bias, np.float64) - kept["running_mean"]) * scale + kept["bias"]
    assert node.inputs[1].shape == (4, 3, 3, 3)
    np.testing.assert_array_equal(node.inputs[1].numpy(), weight.astype(np.float32).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(node.inputs[2].numpy(), bias.astype(np.float32))


FOLDED = {
    "bias": (lambda x: mx.conv2d(x, KERNEL) + CHANNELS, IMAGE),
    "scale": (lambda x: CHANNELS * mx.conv2d(x, KERNEL), IMAGE),
    "a number": (lambda x: 1 - mx.conv2d(x, KERNEL) / 3, IMAGE),
    "batch norm after a grouped one": (
        nn.Sequential(nn.Conv2d(6, 4, 3, groups=2, bias=False), norm()).eval(),
        normal(2, 6, 5, 6),
    ),
    "batch norm after a transposed one": (
        nn.Sequential(nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1), norm()).eval(),
        normal(2, 6, 5, 6),
    ),
    "padding": (lambda x: mx.conv2d(mx.pad(x, [(0, 0), (1, 0), (2, 1), (0, 0)]), KERNEL, padding=1), IMAGE),
    "padding of a dilated input": (
        lambda x: mx.conv_general(mx.pad(x, [(0, 0), (1, 0), (0, 0), (0, 0)]), KERNEL, input_dilation=(2, 3)),
        IMAGE,
    ),
}


@pytest.mark.parametrize("name", FOLDED)
def test_what_is_folded_leaves_one_convolution(name):
    fn, x = FOLDED[name]
    kinds, error = converted(fn, x)
    assert kinds.pop("conv", 0) + kinds.pop("conv_transpose", 0) == 1
    assert set(kinds) <= {"transpose", "mul"}
    assert error < 1e-6


def test_a_linear_layer_takes_batch_norm():
    kinds, error = converted(nn.Sequential(nn.Linear(3, 4), norm()).eval(), normal(5, 3))
    assert kinds == {"linear": 1}
    assert error < 1e-6


def test_one_number_after_a_linear_layer_leaves_its_weight_alone():
    table = nn.Embedding(7, 3)
    mx.eval(table.parameters())
    node = the("linear", graph_of(lambda x: mx.tanh(table.as_linear(x) / 30) * 30, normal(5, 3)))
    np.testing.assert_array_equal(node.inputs[1].numpy(), np.array(table.weight))


def of_both(x):
    y = mx.conv2d(x, KERNEL)
    return y, y * CHANNELS


KEPT = {
    "what is read elsewhere": (of_both, (IMAGE,), "mul"),
    "a scale per place": (lambda x: mx.conv2d(x, KERNEL) * mx.array([[1.0], [2], [3]]), (IMAGE,), "mul"),
    "a scale that is an input": (lambda x, s: mx.conv2d(x, KERNEL) * s, (IMAGE, CHANNELS), "mul"),
    "a kernel that is an input": (
        lambda x, w: mx.conv2d(x, w) + CHANNELS,
        (IMAGE, normal(4, 3, 3, 3, seed=9)),
        "add",
    ),
    "a reciprocal": (lambda x: CHANNELS / mx.conv2d(x, mx.abs(KERNEL)), (mx.abs(IMAGE),), "real_div"),
    "padding by ones": (
        lambda x: mx.conv2d(mx.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=1), KERNEL),
        (IMAGE,),
        "pad",
    ),
    "padding of channels": (
        lambda x: mx.conv2d(mx.pad(x, [(0, 0), (0, 0), (0, 0), (1, 0)]), normal(4, 3, 3, 4)),
        (IMAGE,),
        "pad",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_stays_an_operation(name):
    fn, arrays, operation = KEPT[name]
    kinds, error = converted(fn, *arrays)
    assert kinds[operation] == 1
    assert error < 1e-5


def test_batch_norm_on_its_own_is_one_operation_before_a_convolution():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), norm(), nn.ReLU(), nn.Conv2d(4, 4, 1)).eval()
    kinds, error = converted(model, IMAGE)
    assert kinds["batch_norm"] == 1
    assert not kinds["mul"] + kinds["add"]
    assert error < 1e-6


def test_batch_norm_of_channels_last_is_two():
    kinds, error = converted(norm(), normal(5, 4))
    assert kinds == {"mul": 1, "add": 1}
    assert error < 1e-6


def test_in_half_precision():
    assert (
        error_of(FOLDED["batch norm after a grouped one"][0], normal(2, 6, 5, 6), precision="float16") < 5e-3
    )
