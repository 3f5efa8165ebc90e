"""Upsampling of every mode is fused; sums and repeats that are none stay, with MLX's numbers."""

import numpy as np
import pytest
from conversion import converted, graph_of, normal

from mlx_coreml.passes.fuse.upsampling import linear
from twins.frameworks import mx

import mlx.nn as nn  # isort: skip

LINE, IMAGE, VOLUME = normal(2, 7, 4), normal(2, 5, 6, 4), normal(1, 4, 3, 5, 2)
ALIGNED = {"mode": "linear", "align_corners": True}
# What is left of each, beside transposes and reshapes.
MODES = {
    LINE: [
        (nn.Upsample(3), {"upsample_nearest_neighbor": 1}),
        (nn.Upsample(1.5), {"gather": 1}),
        (nn.Upsample(2, mode="linear"), {"matmul": 1}),
        (nn.Upsample(2, **ALIGNED), {"matmul": 1}),
        (nn.Upsample(2, mode="cubic"), {"matmul": 1}),
    ],
    IMAGE: [
        (nn.Upsample((2, 3)), {"upsample_nearest_neighbor": 1}),
        (nn.Upsample((1, 2)), {"upsample_nearest_neighbor": 1}),
        (nn.Upsample((2.5, 0.6)), {"gather": 2}),
        (nn.Upsample(2, mode="linear"), {"resize_bilinear": 1}),
        (nn.Upsample((3, 2), **ALIGNED), {"resize_bilinear": 1}),
        (nn.Upsample(0.5, mode="linear"), {"matmul": 2}),
        (nn.Upsample((2, 1.4), mode="linear"), {"matmul": 2}),
        (nn.Upsample(0.4, mode="linear", antialias=True), {"matmul": 2}),
        (nn.Upsample(2, mode="cubic"), {"matmul": 2}),
        (nn.Upsample(2, mode="cubic", align_corners=True), {"matmul": 2}),
        (nn.Upsample(0.5, mode="cubic", antialias=True), {"matmul": 2}),
    ],
    VOLUME: [
        (nn.Upsample((2, 1, 3)), {"upsample_nearest_neighbor": 2}),
        (nn.Upsample(2, mode="linear"), {"matmul": 3}),
        (nn.Upsample(2, **ALIGNED), {"matmul": 3}),
        (nn.Upsample((1, 2, 2), mode="cubic"), {"matmul": 2}),
    ],
}


@pytest.mark.parametrize(("module", "x", "left"), [(m, x, n) for x, each in MODES.items() for m, n in each])
def test_each_mode(module, x, left):
    kinds, error = converted(module, x)
    assert {kind: n for kind, n in kinds.items() if kind not in ("transpose", "reshape")} == left
    assert error < 1e-5


def test_an_axis_of_one_place():
    for mode in ("nearest", "linear", "cubic"):
        assert converted(nn.Upsample(2, mode=mode), normal(1, 1, 3, 2))[1] < 1e-6
    assert converted(nn.Upsample((0.34, 1), **ALIGNED), normal(1, 3, 3, 2))[1] < 1e-6


def bent(x):
    """Weights that are no product of one per axis."""
    rows, columns = mx.array([0, 2, 1])[:, None], mx.array([3, 0])[None]
    y = x[:, rows, columns] * mx.array([[1.0, 2], [3, 4], [5, 7]])[..., None]
    return y + x[:, rows + 1, columns] * mx.array([[1.0, 0], [0, 1], [1, 1]])[..., None]


OTHERS = {
    "weights that do not factor": bent,
    "samples of two tensors": lambda x: (
        mx.take(x, mx.array([0, 2]), axis=1) * mx.array([[[0.5]], [[2]]])
        + mx.take(mx.exp(x), mx.array([1, 2]), axis=1) * mx.array([[[0.5]], [[1]]])
    ),
    "weights per channel": lambda x: (
        mx.take(x, mx.array([0, 2]), axis=1) * mx.array([1.0, 2, 3, 4])
        + mx.take(x, mx.array([1, 2]), axis=1) * mx.array([1.0, 2, 3, 4])
    ),
    "one sample for two": lambda x: (
        mx.take(x, mx.array([0, 2]), axis=1) * mx.array([[[0.5]], [[2]]])
        + mx.take(x, mx.array([1]), axis=1) * mx.array([[[0.5]]])
    ),
    "samples with an offset": lambda x: (
        mx.take(x, mx.array([0, 2]), axis=1) * mx.array([[[0.5]], [[2]]]) + mx.array([1.0, 2, 3, 4])
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_sums_of_samples_stay(name):
    graph = graph_of(OTHERS[name], IMAGE)
    assert not {"resample", "resize_linear"} & set(graph.kinds())
    assert converted(OTHERS[name], IMAGE)[1] < 1e-6


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: mx.repeat(x, 3, axis=1),
        lambda x: mx.repeat(mx.repeat(x, 2, axis=1), 3, axis=2),
        lambda x: mx.tile(x, (1, 2, 3, 1)),
        lambda x: mx.tile(x, (2, 2, 3, 2)),
        lambda x: mx.broadcast_to(x[:, :, None, :, None], (2, 5, 2, 6, 3, 4)).reshape(2, 10, 3, 6, 4),
    ],
)
def test_repeats_that_are_no_upsampling(fn):
    kinds, error = converted(fn, IMAGE)
    assert not kinds["upsample_nearest_neighbor"]
    assert error == 0


def test_whole_numbers_are_repeated():
    kinds, error = converted(nn.Upsample(2), (10 * IMAGE).astype(mx.int32))
    assert kinds["tile"] == 2
    assert error == 0


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("UNALIGN_CORNERS", [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]),
        ("STRICT_ALIGN_CORNERS", [[1, 0], [2 / 3, 1 / 3], [1 / 3, 2 / 3], [0, 1]]),
    ],
)
def test_the_matrix_of_linear_interpolation(mode, wanted):
    np.testing.assert_allclose(linear(4, 2, mode), wanted, atol=1e-12)
