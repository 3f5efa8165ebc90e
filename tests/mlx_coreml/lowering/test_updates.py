"""Scatters and replaced slices: what the converted model gives is what MLX gives."""

import coremltools as ct
import pytest
from agreement import assert_agree, normal, results, truths, whole

from mlx_coreml.backends.mil.program import build
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Graph, Node, Tensor
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X, PAIR = normal(3, 4, 5), mx.array([0, -1])
TWICE = mx.array([1, 1])


def put(index):
    """Assigns an update at a fixed index to a copy of x."""

    def assigned(x, update):
        made = mx.array(x)
        made[index] = update
        return made

    return assigned


def put_at(x, i, update):
    made = mx.array(x)
    made[i, 1:3] = update
    return made


def masked(x, mask, update):
    made = mx.array(x)
    made[mask] = update
    return made


every, tail = slice(None), slice(1, None)
CASES = {
    f"{how} at rows": (lambda x, i, u, how=how: getattr(x.at[i], how)(u), (X, PAIR, normal(2, 4, 5)))
    for how in ("add", "multiply", "maximum", "minimum")
}
CASES |= {
    f"{how} at columns, one twice": (
        lambda x, i, u, how=how: getattr(x.at[:, i], how)(u),
        (X, TWICE, normal(3, 2, 5)),
    )
    for how in ("add", "multiply", "maximum", "minimum")
}
CASES |= {
    f"{how} in slices": (
        lambda x, u, how=how: getattr(x.at[:, 1:3, ::2], how)(u),
        (X, normal(3, 2, 3)),
    )
    for how in ("add", "multiply", "maximum", "minimum")
}
CASES |= {
    "add in a slice backwards": (lambda x, u: x.at[::-1].add(u), (X, normal(3, 4, 5))),
    "add at two axes": (lambda x, i, u: x.at[i, i].add(u), (X, TWICE, normal(2, 5))),
    "add to whole numbers": (
        lambda x, i, u: x.at[i].add(u),
        (whole(-9, 9, 3, 4), TWICE, whole(-9, 9, 2, 4)),
    ),
    "put rows": (lambda x, i, u: put_at(x, i, u), (X, PAIR, normal(2, 2, 5))),
    "put truths": (put(tail), (truths(3, 4), truths(2, 4, seed=1))),
    "put one column": (put((every, 2)), (X, normal(3, 5))),
    "put columns": (put((every, slice(1, 3))), (X, normal(3, 2, 5))),
    "put with strides": (put((slice(0, 2), slice(1, 4, 2))), (X, normal(2, 2, 5))),
    "put backwards": (put((slice(None, None, -1), slice(1, 4, 2), slice(3, 4))), (X, normal(3, 2, 1))),
    "put a corner": (put((slice(1, 3), slice(0, 2), slice(2, 4))), (X, normal(2, 2, 2))),
    "put everything": (put(every), (X, normal(3, 4, 5, seed=1))),
    "put along an axis": (
        lambda x, i, u: mx.put_along_axis(x, i, u, axis=-1),
        (X, mx.broadcast_to(PAIR, (3, 4, 2)), normal(3, 4, 2)),
    ),
    "put truths along an axis": (
        lambda x, i, u: mx.put_along_axis(x, i, u, axis=0),
        (truths(3, 4), mx.array([[0, 1, 2, -1]]), truths(1, 4, seed=1)),
    ),
    "one masked number": (masked, (X, truths(3, 4, 5), mx.array(1.5))),
    "masked numbers in order": (masked, (X, truths(3, 4, 5), normal(60))),
    "masked rows in order": (masked, (X, truths(3, 4), normal(12, 5))),
    "masked whole numbers": (masked, (whole(0, 9, 3, 4), truths(3, 4), whole(0, 9, 12, seed=1))),
    "masked truths": (masked, (truths(3, 4), truths(3, 4, seed=2), truths(12, seed=1))),
    "diagonal": (mx.diag, (normal(4),)),
    "diagonal above": (lambda x: mx.diag(x, 1), (normal(4),)),
    "slice from an input": (
        lambda x, u, p: mx.slice_update(x, u, p, [1]),
        (X, normal(3, 1, 5), mx.array([2])),
    ),
    "slice from an input, two axes": (
        lambda x, u, p: mx.slice_update(x, u, p, [1, 0]),
        (X, normal(2, 3, 5), mx.array([1, 1])),
    ),
    "slice from a constant": (
        lambda x, u: mx.slice_update(x, u, mx.array([1]), [0]),
        (X, normal(2, 4, 5)),
    ),
    "slice of truths from an input": (
        lambda x, u, p: mx.slice_update(x, u, p, [0]),
        (truths(3, 4), truths(1, 4, seed=1), mx.array([2])),
    ),
}


@pytest.fixture(scope="module", params=["iOS15", "iOS17", "iOS18"])
def pairs(request):
    return results(CASES, request.param)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_mlx(name, pairs):
    assert_agree(pairs[name], tolerance=1e-6)


def lowered(target: ct.target, kind: str, shapes: list[tuple[int, ...]], *arguments) -> list[str]:
    """The operations of one node of x, indices or nothing, and an update."""
    tensors = [
        Tensor(f"t{i}", shape, "int32" if len(shapes) == 3 and i == 1 else "float32")
        for i, shape in enumerate(shapes)
    ]
    node = Node(kind, tensors, [Tensor("y", shapes[0], "float32")], arguments)
    program = build(Graph(tensors, node.outputs, [node], ["y"]), "float32", target)
    return [op.op_type for op in program.functions["main"].operations if op.op_type != "const"]


@pytest.mark.parametrize(
    ("target", "kind"), [(ct.target.iOS17, "scatter"), (ct.target.iOS18, "slice_update")]
)
def test_a_cache_is_written_by_one_operation(target, kind):
    cache, update = (1, 2, 8, 4), (1, 2, 1, 4)
    start, end, strides = (0, 0, 3, 0), (1, 2, 4, 4), (1, 1, 1, 1)
    assert kind in lowered(target, "SliceUpdate", [cache, update], 4, start, end, strides)
    assert kind in lowered(target, "SliceUpdate", [cache, update], start, end, strides)  # MLX 0.30


def test_slices_that_are_not_whole_are_refused():
    with pytest.raises(ConversionError, match=r"updates slices of \[1, 2\] on axes \[0\]; allowed are whole"):
        lowered(ct.target.iOS17, "Scatter", [(3, 4), (2,), (2, 1, 2)], 4, [0])
