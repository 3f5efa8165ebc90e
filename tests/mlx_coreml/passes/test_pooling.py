"""Pools and means are fused from windows; what only looks like them stays, with MLX's numbers."""

import pytest
from conversion import converted, graph_of, normal

from twins.frameworks import mx

import mlx.nn as nn  # isort: skip

LINE, IMAGE, VOLUME = normal(2, 12, 4), normal(2, 9, 12, 4), normal(1, 6, 8, 5, 4)
POOLS = {
    LINE: [nn.MaxPool1d(2), nn.AvgPool1d(3, stride=2), nn.MaxPool1d(3, 1, 1), nn.AvgPool1d(5, 3, 2)],
    IMAGE: [
        nn.MaxPool2d(3),
        nn.AvgPool2d(3),
        nn.MaxPool2d((2, 3), stride=(1, 2), padding=(1, 0)),
        nn.AvgPool2d((2, 3), stride=(1, 2), padding=(1, 0)),
        nn.AvgPool2d(3, stride=1, padding=1),
        nn.MaxPool2d(2, stride=3),
        nn.AvgPool2d((9, 12)),
        nn.MaxPool2d((1, 3)),
    ],
    VOLUME: [nn.MaxPool3d(2, stride=1), nn.AvgPool3d(3, stride=2, padding=1), nn.AvgPool3d((1, 2, 1))],
}


@pytest.mark.parametrize(("pool", "x"), [(pool, x) for x, pools in POOLS.items() for pool in pools])
def test_a_pool_is_one_operation(pool, x):
    kinds, error = converted(pool, x)
    name = "max_pool" if "Max" in type(pool).__name__ else "avg_pool"
    assert kinds == {"transpose": 2, name: 1}
    assert error < 1e-6


def tiles(x):
    """(N, 9, 12, C) -> (N, 3, 3, 3, 4, C): places, then the elements of a tile."""
    return x.reshape(2, 3, 3, 3, 4, 4).transpose(0, 1, 3, 2, 4, 5)


def tiled(x, reduced):
    """Tiles reduced over their elements."""
    return reduced(tiles(x), axis=(3, 4))


OTHERS = {
    "the sum of windows": (lambda x: tiled(x, mx.sum), {"avg_pool": 1, "mul": 1}),
    "twice their mean": (lambda x: tiled(x, mx.mean) * 2, {"avg_pool": 1, "mul": 1}),
    "their minimum": (lambda x: tiled(x, mx.min), {"avg_pool": 0, "max_pool": 0}),
    "the maximum along one side": (
        lambda x: mx.max(tiles(x), axis=3),
        {"max_pool": 0, "reduce_max": 1},
    ),
    "tiles of all channels": (
        lambda x: mx.max(tiles(x), axis=(3, 4, 5), keepdims=True).squeeze((3, 4)),
        {"max_pool": 0, "reduce_max": 1},
    ),
    "tiles in another order": (
        lambda x: mx.max(x.reshape(2, 3, 3, 3, 4, 4).transpose(0, 3, 1, 2, 4, 5), axis=(3, 4)),
        {"max_pool": 0},
    ),
    "tiles whose axes follow each other": (
        lambda x: x.reshape(2, 3, 3, 3, 4, 4).max(axis=(2, 4)),
        {"reduce_max": 2},
    ),
    "windows of one element": (nn.MaxPool2d(1, stride=2), {"slice_by_index": 1}),
    "windows padded by zeros": (
        lambda x: nn.MaxPool2d(3, 2)(mx.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])),
        {"pad": 1, "max_pool": 1},
    ),
    "an average of windows padded by ones": (
        lambda x: nn.AvgPool2d(3, 2)(mx.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=1)),
        {"pad": 1, "avg_pool": 1},
    ),
    "windows padded by a window": (nn.AvgPool2d(2, stride=1, padding=2), {"pad": 1, "avg_pool": 1}),
    "fewer windows than fit": (
        lambda x: mx.max(mx.as_strided(x, (2, 3, 3, 2, 2, 4), (432, 96, 8, 48, 4, 1)), axis=(3, 4)),
        {"max_pool": 0, "gather": 1},
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_a_pool(name):
    fn, operations = OTHERS[name]
    kinds, error = converted(fn, IMAGE)
    assert {kind: kinds[kind] for kind in operations} == operations
    assert error < 1e-6


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3), nn.MaxPool2d(3, stride=2)])
def test_pools_of_whole_numbers(pool):
    kinds, error = converted(pool, (10 * IMAGE).astype(mx.int32))
    assert not kinds["max_pool"]
    assert error == 0


@pytest.mark.parametrize(
    ("fn", "arguments"),
    [
        (lambda x: x.mean(axis=(1, 2)), (False, [1, 2])),
        (lambda x: x.mean(axis=-1, keepdims=True), (True, [3])),
        (lambda x: x.sum(axis=1) / 9, None),  # a division, which is rounded in another way
        (lambda x: x.sum(axis=1) * 0.125, None),
    ],
)
def test_a_mean_is_a_sum_over_its_terms(fn, arguments):
    means = [node.arguments for node in graph_of(fn, IMAGE).nodes if node.kind == "mean"]
    assert means == ([] if arguments is None else [arguments])
    assert converted(fn, IMAGE)[1] < 1e-6


def test_a_reduction_drops_its_axes_unless_they_are_read():
    kinds, _ = converted(lambda x: x.max(axis=(1, 2)), IMAGE)
    assert kinds == {"reduce_max": 1}
    kinds, error = converted(lambda x: [y := x.max(axis=1, keepdims=True), y.squeeze(1)], IMAGE)
    assert kinds == {"reduce_max": 1, "squeeze": 1}
    assert error == 0


def test_in_half_precision():
    assert converted(nn.AvgPool2d(3, stride=1, padding=1), IMAGE, precision="float16")[1] < 2e-3
