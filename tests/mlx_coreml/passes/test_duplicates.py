"""Equal constants and equal nodes are one; what differs in a bit, a type or an argument is two."""

import numpy as np
import pytest
from graphs import kinds, simplified

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.canonicalize.duplicates import merge_duplicates
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X = mx.zeros((2, 3))


def graph_of(*values) -> Graph:
    """One addition to an input per constant."""
    x = Tensor("x", (2, 3), "float32")
    made = [Tensor(f"y{i}", (2, 3), "float32") for i in range(len(values))]
    nodes = [Node("Add", [x, constant(value)], [y]) for value, y in zip(values, made, strict=True)]
    return Graph([x], made, nodes)


def merged(*values) -> Graph:
    graph = graph_of(*values)
    merge_duplicates(graph)
    return graph


A = np.arange(6, dtype=np.float32).reshape(2, 3)
NAN = np.array([np.nan, 1, 2], np.float32)


@pytest.mark.parametrize(
    "pair",
    [
        (A, A.copy()),
        (NAN, NAN.copy()),
        (np.float32(2), np.float32(2)),
        (mx.array(A).astype(mx.bfloat16), mx.array(A).astype(mx.bfloat16)),
        (mx.array(A.T.copy()).T, A),
        (np.zeros((500, 3), np.float32), np.zeros((500, 3), np.float32)),
    ],
)
def test_equal_constants_and_what_is_made_of_them_are_one(pair):
    graph = merged(*pair)
    assert len(graph.constants()) == len(graph.nodes) == 1
    assert graph.outputs[0] is graph.outputs[1]


def altered(place: int) -> np.ndarray:
    """A large constant of which one number is another."""
    value = np.zeros((500, 3), np.float32)
    value.reshape(-1)[place] = 1
    return value


@pytest.mark.parametrize(
    "pair",
    [
        (A, A + 1),
        (A, A.astype(np.float16)),
        (A, A.reshape(1, 2, 3)),
        (np.float32(0), np.float32(-0.0)),
        (np.zeros((500, 3), np.float32), altered(701)),
        (altered(700), altered(701)),
    ],
)
def test_constants_that_differ_are_two(pair):
    assert len(merged(*pair).constants()) == 2


def test_equal_expressions_are_one_and_their_readers_too():
    assert kinds(lambda x: (mx.exp(x + 1), mx.exp(x + 1)), X) == {"Add": 1, "Exp": 1}


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: (mx.sqrt(x), mx.rsqrt(x)),
        lambda x: (mx.sum(x, axis=0), mx.sum(x, axis=1)),
        lambda x: (x - 1, 1 - x),
        lambda x: (x[:, 0:1], x[:, 1:2]),
    ],
)
def test_arguments_and_order_make_a_difference(fn):
    graph = simplified(fn, X)
    assert graph.outputs[0] is not graph.outputs[1]
    assert len(graph.nodes) >= 2
