"""Activations: each is one node and MIL's operation agrees with MLX; what is nearly one stays as it is."""

import numpy as np
import pytest
from agreement import assert_agree, results
from graphs import kinds, only, simplified

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as mnn  # isort: skip

X = mx.array(np.linspace(-9, 9, 60, dtype=np.float32).reshape(3, 20))
HALF_PI = (2 / np.pi) ** 0.5


def tanh_gelu(x):
    return 0.5 * x * (1 + mx.tanh(HALF_PI * (x + 0.044715 * x * x * x)))


ONE_NODE = {
    "gelu": (mnn.gelu, ("EXACT",)),
    "gelu, written out": (lambda x: 0.5 * x * (1 + mx.erf(x / 2**0.5)), ("EXACT",)),
    "gelu, with a product": (lambda x: x * (1 + mx.erf(x * 0.5**0.5)) * 0.5, ("EXACT",)),
    "gelu, gate halved": (lambda x: x * (0.5 * (1 + mx.erf(x / 2**0.5))), ("EXACT",)),
    "gelu tanh": (mnn.gelu_approx, ("TANH_APPROXIMATION",)),
    "gelu tanh, x * x * x": (tanh_gelu, ("TANH_APPROXIMATION",)),
    "gelu fast": (mnn.gelu_fast_approx, ("SIGMOID_APPROXIMATION",)),
    "silu": (mnn.silu, ()),
    "softsign": (mnn.softsign, ()),
    "softplus": (mnn.softplus, ()),
    "elu": (lambda x: mnn.elu(x, 0.7), (0.7,)),
    "leaky_relu": (lambda x: mnn.leaky_relu(x, 0.2), (0.2,)),
    "leaky_relu, PReLU": (mnn.PReLU(init=0.3), (0.3,)),
    "clip": (lambda x: mx.clip(x, -1, 2), (-1, 2)),
    "clip, relu6": (mnn.relu6, (0, 6)),
    "clip, far": (lambda x: mx.clip(x, -1e9, 2), (-1e9, 2)),
    "relu": (mnn.relu, ()),
}


@pytest.mark.parametrize("name", ONE_NODE)
def test_it_is_one_node(name):
    fn, arguments = ONE_NODE[name]
    (node,) = simplified(fn, X).nodes
    assert node.kind == name.split()[0].rstrip(",")
    assert node.arguments == pytest.approx(arguments)


def test_hard_swish_is_a_gate_and_a_product():
    assert kinds(mnn.hardswish, X) == {"hard_sigmoid": 1, "Multiply": 1}
    assert kinds(lambda x: x * (mx.minimum(mx.maximum(x + 3, 0), 6) / 6), X) == {
        "hard_sigmoid": 1,
        "Multiply": 1,
    }


def test_a_scaled_one_is_two_nodes():
    assert kinds(mnn.selu, X) == {"elu": 1, "Multiply": 1}


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_it_computes_what_mlx_computes(precision):
    cases = {name: (fn, (X,)) for name, (fn, _) in ONE_NODE.items()}
    cases |= {"hardswish": (mnn.hardswish, (X,)), "selu": (mnn.selu, (X,)), "mish": (mnn.mish, (X,))}
    cases["log_sigmoid"] = (mnn.log_sigmoid, (X,))
    for pairs in results(cases, precision=precision).values():
        assert_agree(pairs, {"float32": 1e-5, "float16": 4e-3}[precision])


NEAR_MISSES = {
    "gelu": lambda x: x * (1 + mx.erf(x / 1.5)) / 2,
    "gelu, not halved": lambda x: x * (1 + mx.erf(x / 2**0.5)),
    "gelu, of another": lambda x: (x + 1) * (1 + mx.erf(x / 2**0.5)) / 2,
    "gelu, other cube": lambda x: 0.5 * x * (1 + mx.tanh(HALF_PI * (x + 0.05 * x**3))),
    "gelu, other slope": lambda x: x * mx.sigmoid(1.6 * x),
    "silu": lambda x: x * mx.sigmoid(-x),
    "softsign": lambda x: x / (mx.abs(x) + 2),
    "softplus": lambda x: mx.logaddexp(x, mx.array(1.0)),
    "elu": lambda x: mx.where(x > 0.5, x, mx.exp(x) - 1),
    "elu, other branch": lambda x: mx.where(x > 0, mx.exp(x) - 1, x),
    "leaky_relu": lambda x: mx.maximum(2 * x, x),
    "relu": lambda x: mx.maximum(x, 1),
    "relu, of a row": lambda x: mx.maximum(x[:1], mx.zeros((3, 20))),
    "clip": lambda x: mx.minimum(mx.maximum(x, 2), -1),
    "hard_sigmoid": lambda x: mx.minimum(mx.maximum(x + 3, 0), 6) / 5,
    "hard_sigmoid, other gate": lambda x: x * mx.minimum(mx.maximum(x + 2, 0), 6) / 6,
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_what_is_nearly_one_is_left_alone(name):
    assert name.split()[0].rstrip(",") not in kinds(NEAR_MISSES[name], X)


def test_what_is_nearly_one_computes_what_mlx_computes():
    for pairs in results({name: (fn, (X,)) for name, fn in NEAR_MISSES.items()}).values():
        assert_agree(pairs)


def test_an_intermediate_that_is_read_elsewhere_stays():
    def fn(x):
        gate = mx.sigmoid(x)
        return x * gate, gate

    graph = simplified(fn, X)
    assert graph.kinds() == {"silu": 1, "Sigmoid": 1}
    assert only(graph, "Sigmoid").output is graph.outputs[1]


def test_whole_numbers_are_not_activated():
    assert kinds(lambda x: mx.maximum(x, 0), X.astype(mx.int32)) == {"Maximum": 1}
