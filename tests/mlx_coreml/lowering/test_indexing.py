"""Gathers and slices with computed starts: what the converted model gives is what MLX gives."""

import coremltools as ct
import pytest
from agreement import assert_agree, normal, results, truths, whole

from mlx_coreml.backends.mil.program import build
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Graph, Node, Tensor
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X, DEEP = normal(3, 4, 5), normal(2, 3, 4, 5)
PAIR = mx.array([0, -1])
UNSIGNED = mx.array([1, 0], mx.uint32)
TABLE = mx.array([[0, -1], [2, 1]])
CASES = {
    "rows": (lambda x, i: x[i], (X, PAIR)),
    "rows by unsigned": (lambda x, i: x[i], (X, UNSIGNED)),
    "rows by a table": (lambda x, i: x[i], (X, TABLE)),
    "rows by 8 bits": (lambda x, i: x[i], (X, mx.array([-1, 2], mx.int8))),
    "rows by 64 bits": (lambda x, i: x[i], (X, mx.array([-1, 2], mx.int64))),
    "one row": (lambda x, i: x[i], (X, mx.array(-2))),
    "rows of truths": (lambda x, i: x[i], (truths(3, 4, 5), PAIR)),
    "rows of numbers": (lambda x, i: x[i], (whole(-9, 9, 3, 4), PAIR)),
    "second axis": (lambda x, i: mx.take(x, i, axis=1), (X, PAIR)),
    "second axis by one": (lambda x, i: mx.take(x, i, axis=1), (X, mx.array(3))),
    "second axis by a table": (lambda x, i: x[:, i], (X, TABLE)),
    "last axis": (lambda x, i: x[..., i], (X, PAIR)),
    "last of four axes": (lambda x, i: x[..., i], (DEEP, PAIR)),
    "third of four axes": (lambda x, i: x[:, :, i], (DEEP, PAIR)),
    "flat": (lambda x, i: mx.take(x, i), (X, PAIR)),
    "two axes": (lambda x, i: x[i, i], (X, PAIR)),
    "two axes by tables": (lambda x, i: x[i, i], (DEEP, mx.array([[0, 1], [1, -1]]))),
    "two axes by one": (lambda x, i: x[i, i], (X, mx.array(1))),
    "first and last axis": (lambda x, i: x[i, :, i], (X, PAIR)),
    "a fixed row": (lambda x, i: x[1, i], (X, PAIR)),
    "a slice of rows": (lambda x, i: x[i, 1:3], (X, PAIR)),
    "fixed places": (lambda x: x[:, mx.array([2, -1, 0])], (X,)),
    "fixed coordinates": (lambda x: x[mx.array([0, -1]), mx.array([1, 2])], (X,)),
    "along first": (lambda x, i: mx.take_along_axis(x, i, axis=0), (X, whole(-3, 3, 2, 4, 5))),
    "along last": (lambda x, i: mx.take_along_axis(x, i, axis=-1), (X, whole(-5, 5, 3, 4, 2))),
    "along, truths": (
        lambda x, i: mx.take_along_axis(x, i, axis=1),
        (truths(3, 4, 5), whole(0, 4, 3, 2, 5)),
    ),
    "slice from an input": (lambda x, p: mx.slice(x, p, [1], (3, 2, 5)), (X, mx.array([1]))),
    "slice, axes in another order": (
        lambda x, p: mx.slice(x, p, [2, 1, 0], (1, 2, 2)),
        (X, mx.array([3, 1, 0])),
    ),
    "slice on two axes": (lambda x, p: mx.slice(x, p, [0, 2], (1, 4, 2)), (X, mx.array([2, 3]))),
}


@pytest.fixture(scope="module", params=["iOS15", "iOS17", "iOS18"])
def pairs(request):
    return results(CASES, request.param)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_mlx(name, pairs):
    assert_agree(pairs[name], tolerance=0)


def lowered(kind: str, index_type: str, output: tuple[int, ...], *arguments) -> list[str]:
    """The operations of one node on x (3, 4) and an index (2,)."""
    inputs = [Tensor("x", (3, 4), "float32"), Tensor("i", (2,), index_type)]
    node = Node(kind, inputs, [Tensor("y", output, "float32")], arguments)
    program = build(Graph(inputs, node.outputs, [node], ["y"]), "float32", ct.target.iOS17)
    return [op.op_type for op in program.functions["main"].operations if op.op_type != "const"]


def test_slices_shorter_than_an_axis_are_cut_from_its_start():
    assert "slice_by_size" in lowered("Gather", "uint32", (2, 1, 3), [0], (1, 3))


def test_longer_slices_on_an_indexed_axis_are_refused():
    with pytest.raises(ConversionError, match=r"slices \(2, 4\); allowed is 1 on axes \[0\]"):
        lowered("Gather", "int32", (2, 2, 4), [0], (2, 4))


@pytest.mark.parametrize(("index_type", "mods"), [("int32", 1), ("uint32", 0), ("uint8", 0), ("int64", 1)])
def test_indices_without_sign_cost_no_operation(index_type, mods):
    assert lowered("Gather", index_type, (2, 1, 4), [0], (1, 4)).count("mod") == mods
