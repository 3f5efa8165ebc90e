"""Normalisations: one node with its parameters; other statistics stay as they are; fp16 does not overflow."""

import numpy as np
import pytest
from agreement import assert_agree, normal, results
from graphs import kinds, only, simplified

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as mnn  # isort: skip

X, IMAGE = normal(2, 5, 8) * 3 + 1, normal(2, 4, 5, 8) * 2 - 1
W, B = normal(8), normal(8, seed=1)


def standardized(x, epsilon=1e-5, axis=-1, count=None):
    centred = x - mx.mean(x, axis=axis, keepdims=True)
    count = count or x.shape[axis]
    return centred * mx.rsqrt(mx.sum(centred * centred, axis=axis, keepdims=True) / count + epsilon)


def affine(layer):
    """A layer with random parameters: ones and zeros would hide a mistake."""
    layer.weight = W
    if "bias" in layer:
        layer.bias = B
    return layer


LAST = {
    "layer_norm": (affine(mnn.LayerNorm(8, eps=1e-4)), 3),
    "layer_norm, no bias": (affine(mnn.LayerNorm(8, bias=False)), 2),
    "layer_norm, no parameters": (mnn.LayerNorm(8, affine=False), 1),
    "layer_norm, written out": (lambda x: standardized(x) * W + B, 3),
    "layer_norm, mx.var": (
        lambda x: W * ((x - x.mean(-1, keepdims=True)) / mx.sqrt(x.var(-1, keepdims=True) + 1e-3)),
        2,
    ),
    "layer_norm, bias only": (lambda x: standardized(x) + B, 3),
    "rms_norm": (affine(mnn.RMSNorm(8)), 2),
    "rms_norm, no weight": (lambda x: mx.fast.rms_norm(x, None, 1e-6), 1),
    "rms_norm, one more": (lambda x: mx.fast.rms_norm(x, 1 + W, 1e-6), 2),
    "rms_norm, x * x": (lambda x: x * mx.rsqrt(mx.mean(x * x, -1, keepdims=True) + 1e-5) * W, 2),
    "rms_norm, divided": (lambda x: x / mx.sqrt(mx.mean(x**2, -1, keepdims=True) + 1e-5), 1),
}


@pytest.mark.parametrize("name", LAST)
def test_a_norm_over_the_last_axis_is_one_node(name):
    fn, inputs = LAST[name]
    (node,) = simplified(fn, X).nodes
    assert (node.kind, node.arguments[0], len(node.inputs)) == (name.split(",")[0], (2,), inputs)


@pytest.mark.parametrize("half", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("layer", [mnn.LayerNorm, mnn.RMSNorm])
def test_half_types_are_one_node_although_mlx_computes_them_in_float32(layer, half):
    norm = layer(8)
    norm.set_dtype(half)
    assert set(kinds(norm, X.astype(half))) <= {"layer_norm", "rms_norm", "AsType"}


def test_epsilon_is_kept():
    assert only(simplified(LAST["layer_norm"][0], X), "layer_norm").arguments[1] == pytest.approx(1e-4)


def test_channels_are_normalized_channels_first_between_transposes():
    assert kinds(affine(mnn.InstanceNorm(8, affine=True)), IMAGE) == {"Transpose": 2, "instance_norm": 1}
    assert kinds(affine(mnn.GroupNorm(2, 8, pytorch_compatible=True)), IMAGE) == {
        "Transpose": 2,
        "group_norm": 1,
    }
    group = only(simplified(affine(mnn.GroupNorm(2, 8, pytorch_compatible=True)), IMAGE), "group_norm")
    assert (group.arguments[0], len(group.inputs), group.output.shape) == (2, 3, (2, 8, 4, 5))


def test_interleaved_groups_are_a_layer_norm_over_the_middle_axis():
    graph = simplified(mnn.GroupNorm(2, 8, affine=False), IMAGE)
    assert graph.kinds() == {"Reshape": 2, "layer_norm": 1}
    assert only(graph, "layer_norm").arguments[0] == (1,)


NEAR_MISSES = {
    "layer_norm, of seven": lambda x: standardized(x, count=7),
    "layer_norm, other mean": lambda x: (
        (x - x.mean(1, keepdims=True)) * mx.rsqrt(x.var(-1, keepdims=True) + 1e-5)
    ),
    "layer_norm, no root": lambda x: (x - x.mean(-1, keepdims=True)) * (x.var(-1, keepdims=True) + 1e-5),
    "rms_norm, sum": lambda x: x * mx.rsqrt(mx.sum(x * x, -1, keepdims=True) + 1e-5),
    "rms_norm, of another": lambda x: (x + 1) * mx.rsqrt(mx.mean(x * x, -1, keepdims=True) + 1e-5),
    "rms_norm, root above": lambda x: x * mx.sqrt(mx.mean(x * x, -1, keepdims=True) + 1e-5),
    "rms_norm, of two": lambda x: x * mx.rsqrt(mx.mean(x * (x + 1), -1, keepdims=True) ** 2 + 1e-5),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_what_is_nearly_a_norm_is_left_alone(name):
    assert name.split(",")[0] not in kinds(NEAR_MISSES[name], X)


def test_a_parameter_that_varies_with_the_row_stays_a_product():
    rows = normal(5, 8)
    assert kinds(lambda x: standardized(x) * rows, X) == {"layer_norm": 1, "Multiply": 1}
    assert kinds(lambda x: mx.fast.rms_norm(x, None, 1e-5) + B, X) == {"rms_norm": 1, "Add": 1}


def test_a_norm_that_is_read_twice_keeps_its_weight_apart():
    def fn(x):
        y = mx.fast.rms_norm(x, None, 1e-5)
        return y * W, y

    assert kinds(fn, X) == {"rms_norm": 1, "Multiply": 1}


def everything() -> dict:
    cases = {name: (fn, (X,)) for name, (fn, _) in LAST.items()} | {
        n: (f, (X,)) for n, f in NEAR_MISSES.items()
    }
    for name, layer in {
        "instance": affine(mnn.InstanceNorm(8, affine=True)),
        "group": affine(mnn.GroupNorm(2, 8, pytorch_compatible=True)),
        "interleaved": affine(mnn.GroupNorm(2, 8)),
    }.items():
        cases |= {f"{name}, image": (layer, (IMAGE,)), f"{name}, sequence": (layer, (X,))}
    cases["two axes"] = (lambda x: standardized(x.reshape(2, 40)).reshape(x.shape), (X,))
    cases["first axis"] = (lambda x: standardized(x, axis=0), (X,))
    return cases


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_it_computes_what_mlx_computes(precision):
    for pairs in results(everything(), precision=precision).values():
        assert_agree(pairs, {"float32": 2e-5, "float16": 1e-2}[precision])


@pytest.mark.parametrize("scale", [1e3, 2e4])
def test_squares_beyond_fp16_do_not_overflow(scale):
    norm = affine(mnn.RMSNorm(8))
    cases = {"rms": (norm, (X * scale / mx.abs(X).max(),))}
    assert_agree(results(cases, precision="float16")["rms"], 4e-3)


def test_an_epsilon_that_fp16_lacks_does_not_divide_by_zero():
    cases = {"constant rows": (mnn.LayerNorm(8, eps=1e-12, affine=False), (mx.ones((2, 8)),))}
    ((found, _),) = results(cases, precision="float16")["constant rows"]
    np.testing.assert_array_equal(found, np.zeros((2, 8)))
