"""Shuffles between channels and space are one operation each; other reshapes are left alone."""

import pytest
from conversion import converted, normal

from twins.frameworks import mx

import mlx.nn as nn  # isort: skip

WIDE, TALL = normal(2, 3, 4, 12), normal(2, 6, 8, 3)
KERNEL = normal(12, 1, 1, 12)


def rearranged(split, order, shape):
    return lambda x: nn.relu(x).reshape(split).transpose(order).reshape(shape)


def up(split, order):
    return rearranged(split, order, (2, 6, 8, 3))


def down(order):
    return rearranged((2, 3, 2, 4, 2, 3), order, (2, 3, 4, 12))


@pytest.mark.parametrize(
    ("fn", "x", "operation"),
    [
        (up((2, 3, 4, 3, 2, 2), (0, 1, 4, 2, 5, 3)), WIDE, "pixel_shuffle"),
        (up((2, 3, 4, 2, 2, 3), (0, 1, 3, 2, 4, 5)), WIDE, "depth_to_space"),
        (down((0, 1, 3, 5, 2, 4)), TALL, "pixel_unshuffle"),
        (down((0, 1, 3, 2, 4, 5)), TALL, "space_to_depth"),
    ],
)
def test_a_shuffle_is_one_operation(fn, x, operation):
    kinds, error = converted(fn, x)
    assert kinds == {"relu": 1, "transpose": 2, operation: 1}
    assert error == 0


@pytest.mark.parametrize(
    ("fn", "x"),
    [
        (up((2, 3, 4, 3, 2, 2), (0, 1, 5, 2, 4, 3)), WIDE),  # rows and columns exchanged
        (up((2, 3, 4, 2, 3, 2), (0, 1, 3, 2, 5, 4)), WIDE),  # channels in the middle
        (down((0, 1, 3, 4, 2, 5)), TALL),
        (rearranged((2, 3, 2, 2, 4, 3), (0, 1, 3, 2, 4, 5), (2, 3, 4, 12)), TALL),  # factors 2 and 4
        (rearranged((2, 3, 2, 4, 2, 3), (0, 1, 3, 2, 4, 5), (2, 12, 12)), TALL),  # patches in a row
    ],
)
def test_other_rearrangements(fn, x):
    kinds, error = converted(fn, x)
    assert set(kinds) == {"relu", "reshape", "transpose"}
    assert error == 0


def test_a_super_resolution_head_has_two_transposes():
    shuffle = up((2, 3, 4, 3, 2, 2), (0, 1, 4, 2, 5, 3))
    kinds, error = converted(lambda x: shuffle(mx.conv2d(x, KERNEL)), WIDE)
    assert kinds == {"transpose": 2, "conv": 1, "relu": 1, "pixel_shuffle": 1}
    assert error < 1e-6
