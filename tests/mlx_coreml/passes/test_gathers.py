"""Gathers: what MLX spells with several nodes is one, and what only looks like it stays."""

import numpy as np
import pytest

from mlx_coreml.capture.tracing import capture
from mlx_coreml.ir.graph import Graph
from mlx_coreml.passes.canonicalize.gathers import rewrite_gathers
from mlx_coreml.passes.simplify import simplify
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X, I, TABLE = mx.zeros((3, 4, 5)), mx.array([0, -1]), mx.zeros((2, 2), mx.int32)  # noqa: E741


def kinds(fn, *arrays) -> dict[str, int]:
    return dict(simplify(capture(fn, *arrays)).kinds())


@pytest.mark.parametrize(
    ("fn", "index", "arguments"),
    [
        (lambda x, i: x[i], I, ([0], [-1, 1, 2])),
        (lambda x, i: x[i], TABLE, ([0], [-2, -1, 1, 2])),
        (lambda x, i: x[i], mx.array(1), ([0], [1, 2])),
        (lambda x, i: mx.take(x, i, axis=1), I, ([1], [0, -1, 2])),
        (lambda x, i: x[:, i], I, ([1], [0, -1, 2])),
        (lambda x, i: x[:, i], TABLE, ([1], [0, -2, -1, 2])),
        (lambda x, i: x[..., i], I, ([2], [0, 1, -1])),
        (lambda x, i: x[i, i], I, ([0, 1], [-1, 2])),
        (lambda x, i: x[i, :, i], I, ([0, 1, 2], [-2, -1])),
    ],
)
def test_one_gather_is_left(fn, index, arguments):
    graph = simplify(capture(fn, X, index))
    (gather,) = [node for node in graph.nodes if node.kind == "gather"]
    assert gather.arguments == arguments
    assert set(graph.kinds()) <= {"gather", "Broadcast", "AsType", "Reshape", "ExpandDims"}


def test_an_index_that_varies_with_the_row_keeps_both_axes():
    rows = mx.zeros((3, 2), mx.int32)
    graph = simplify(capture(lambda x, i: x[mx.arange(3)[:, None], i], X, rows))
    (gather,) = [node for node in graph.nodes if node.kind == "gather"]
    assert gather.arguments == ([0, 1], [-2, -1, 2])


def test_rows_in_another_order_are_not_their_own_count():
    graph = simplify(capture(lambda x, i: x[mx.array([[2], [1], [0]]), i], X, I))
    (gather,) = [node for node in graph.nodes if node.kind == "gather"]
    assert gather.arguments[0] == [0, 1]


def test_a_fixed_table_that_repeats_becomes_its_row():
    graph = simplify(capture(lambda x: x[:, mx.array([2, -1])], X))
    (gather,) = graph.nodes
    assert gather.kind == "gather"
    np.testing.assert_array_equal(gather.inputs[1].numpy(), [2, -1])


@pytest.mark.parametrize("unsqueezed", [lambda x, i: mx.take(x, i[None], axis=0), lambda x, i: x[i][:, None]])
def test_a_gather_that_is_read_by_more_than_a_squeeze_still_agrees(unsqueezed):
    graph = simplify(capture(unsqueezed, X, I))
    assert graph.outputs[0].shape == unsqueezed(X, I).shape


def test_a_squeeze_of_another_axis_is_left_alone():
    graph = capture(lambda x, i: mx.take(x, i, axis=0), mx.zeros((3, 1, 5)), I)
    squeeze = graph.nodes[-1]
    assert squeeze.kind == "Squeeze"
    squeeze.arguments, squeeze.outputs[0].shape = ([2],), (2, 1, 5)
    rewrite_gathers(graph)
    assert [node.kind for node in graph.nodes] == ["Gather", "Squeeze"]


def test_a_gather_used_elsewhere_stays():
    graph: Graph = capture(lambda x, i: x[i], X, I)
    graph.outputs.append(graph.nodes[0].output)
    graph.output_names.append("raw")
    rewrite_gathers(graph)
    assert sorted(node.kind for node in graph.nodes) == ["Gather", "gather"]


def put(x, mask, update):
    made = mx.array(x)
    made[mask] = update
    return made


@pytest.mark.parametrize(("update", "kind"), [(mx.array(2.0), "Select"), (mx.zeros((60,)) + 1, "Select")])
def test_one_number_at_masked_places_is_a_choice(update, kind):
    assert kind in kinds(lambda x, m: put(x, m, update), X, X > 0)
    assert "MaskedScatter" not in kinds(lambda x, m: put(x, m, update), X, X > 0)


def test_different_numbers_at_masked_places_are_not():
    assert "MaskedScatter" in kinds(put, X, X > 0, mx.zeros((60,)))
    assert "MaskedScatter" in kinds(lambda x, m: put(x, m, mx.arange(60.0)), X, X > 0)
    assert "MaskedScatter" not in kinds(put, X, X > 0, mx.array(2.0))


def test_updates_of_six_axes_are_read_before_their_reshape():
    x, u = mx.zeros((2, 3, 2, 3, 4)), mx.zeros((2, 3, 2, 3, 4))
    assert "scatter" in kinds(lambda x, u, i: x.at[i].add(u), x, u, I)
    assert "scatter" in kinds(lambda x, i: x.at[i, :, i].add(mx.ones((2, 3, 3, 4))), x, I)
