"""The k largest or smallest: slices at the ordered end of a partition, and slices that are not."""

import pytest

from mlx_coreml.capture.tracing import capture
from mlx_coreml.passes.simplify import simplify
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

X = mx.zeros((3, 7))


@pytest.mark.parametrize(
    ("fn", "arguments"),
    [
        (lambda x: mx.topk(x, 2), (2, 1, False, False)),
        (lambda x: mx.topk(x, 1, axis=0), (1, 0, False, False)),
        (lambda x: mx.partition(x, 2)[:, :2], (2, 1, True, False)),
        (lambda x: mx.argpartition(x, kth=2, axis=-1)[..., :3], (3, 1, True, True)),
        (lambda x: mx.argpartition(x, kth=3, axis=-1)[..., :3], (3, 1, True, True)),
        (lambda x: mx.argpartition(-x, kth=2, axis=-1)[..., :3], (3, 1, False, True)),
    ],
)
def test_fused(fn, arguments):
    graph = simplify(capture(fn, X))
    (node,) = graph.nodes
    assert (node.kind, node.arguments) == ("top_k", arguments)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: mx.argpartition(x, kth=-3, axis=-1)[..., -3:],  # among equals, MLX takes the last
        lambda x: mx.argpartition(x, kth=3, axis=-1)[..., 1:3],  # not from the start
        lambda x: mx.argpartition(x, kth=3, axis=-1)[..., 2:],  # not from the place of order
        lambda x: mx.argpartition(x, kth=3, axis=-1)[..., :3:2],  # every other one
        lambda x: mx.argpartition(x, kth=3, axis=-1)[:2, :3],  # of some rows
        lambda x: mx.argpartition(x, kth=3, axis=-1)[..., :6],  # past the place of order
        lambda x: mx.sort(x)[..., :3],  # an order is wanted
    ],
)
def test_left_alone(fn):
    assert "top_k" not in simplify(capture(fn, X)).kinds()
