"""Linear layers: one node without reshapes, its weight without a copy; other products keep their form."""

import numpy as np
import pytest
from agreement import assert_agree, normal, results
from graphs import kinds, only, simplified

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as mnn  # isort: skip

W, B = normal(6, 8), normal(6)
SHAPES = [(8,), (5, 8), (2, 5, 8), (2, 3, 5, 8)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_one_node_for_any_number_of_axes(shape, bias):
    layer = mnn.Linear(8, 6, bias=bias)
    (node,) = simplified(layer, normal(*shape)).nodes
    assert (node.kind, len(node.inputs)) == ("linear", 2 + bias)
    assert node.inputs[1].shape == (6, 8)
    np.testing.assert_array_equal(node.inputs[1].numpy(), np.array(layer.weight))


def test_a_weight_is_the_parameter_itself_not_a_copy():
    layer = mnn.Linear(8, 6)
    node = only(simplified(layer, normal(2, 5, 8)), "linear")
    held, ours = (np.array(a, copy=False) for a in (layer.weight, node.inputs[1].value))
    assert np.shares_memory(held, ours)


FORMS = {
    "x @ w.T + b": lambda x: x @ W.T + B,
    "b + x @ w.T": lambda x: B + x @ W.T,
    "addmm": lambda x: mx.addmm(B, x, W.T),
    "addmm, one number": lambda x: mx.addmm(mx.array(2.0), x, W.T),
    "addmm, a row of one": lambda x: mx.addmm(B[None], x, W.T),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_constant_row_is_the_bias(name):
    (node,) = simplified(FORMS[name], normal(5, 8)).nodes
    assert (node.kind, len(node.inputs), node.inputs[2].shape) == ("linear", 3, (6,))


def test_tied_weights_are_one_constant():
    table = mnn.Embedding(10, 8)
    graph = simplified(lambda ids: table.as_linear(table(ids)), mx.zeros((2, 5), mx.int32))
    assert only(graph, "linear").inputs[1] is only(graph, "gather").inputs[0]
    assert len(graph.constants()) == 1


OTHERS = {
    "alpha": (lambda x: mx.addmm(B, x, W.T, alpha=2.0), {"AddMM": 1}),
    "beta": (lambda x: mx.addmm(B, x, W.T, beta=0.5), {"AddMM": 1}),
    "rows of their own": (lambda x: x @ W.T + normal(5, 6), {"linear": 1, "Add": 1}),
    "weight that is an input": (lambda x, y: x @ y.T, {"matmul": 1}),
    "constant on the left": (lambda x: W @ x.T, {"matmul": 1}),
    "both transposed": (lambda x, y: y.T @ x.T, {"matmul": 1}),
    "product read twice": (lambda x: (x @ W.T + B, x @ W.T), {"linear": 1, "Add": 1}),
}
OPERANDS = {
    "weight that is an input": (normal(5, 8), normal(6, 8)),
    "both transposed": (normal(5, 8), normal(8, 4)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_linear_layer_is_left_alone(name):
    fn, expected = OTHERS[name]
    assert kinds(fn, *OPERANDS.get(name, (normal(5, 8),))) == expected


def test_a_flattened_axis_that_is_multiplied_stays_flattened():
    layer = mnn.Linear(40, 6)
    assert kinds(lambda x: layer(x.reshape(2, 40)), normal(2, 5, 8)) == {"Reshape": 1, "linear": 1}


def test_a_rank_that_core_ml_has_no_linear_for_keeps_its_reshapes():
    graph = simplified(mnn.Linear(8, 6), normal(2, 2, 2, 3, 8))
    assert graph.kinds() == {"Reshape": 2, "linear": 1}


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_it_computes_what_mlx_computes(precision):
    layer = mnn.Linear(8, 6)
    cases = {f"rank {len(shape)}": (layer, (normal(*shape),)) for shape in [*SHAPES, (2, 2, 2, 3, 8)]}
    cases |= {name: (fn, (normal(5, 8),)) for name, fn in FORMS.items()}
    cases |= {name: (fn, OPERANDS.get(name, (normal(5, 8),))) for name, (fn, _) in OTHERS.items()}
    batched = (normal(2, 3, 4, 5), normal(2, 3, 6, 5))
    cases["batched"] = (lambda a, b: a @ b.swapaxes(-1, -2), batched)
    for pairs in results(cases, precision=precision).values():
        assert_agree(pairs, {"float32": 1e-5, "float16": 4e-3}[precision])
