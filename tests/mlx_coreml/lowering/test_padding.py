"""Padding of every type by any value: what the converted model gives is what MLX gives."""

import pytest
from agreement import assert_agree, normal, results, truths, whole

from twins.frameworks import mx

X, WIDTHS = normal(2, 3, 4), [(1, 0), (0, 2), (3, 1)]
CASES = {
    "zeros": (lambda x: mx.pad(x, WIDTHS), (X,)),
    "a number": (lambda x: mx.pad(x, WIDTHS, constant_values=2.5), (X,)),
    "minus infinity": (lambda x: mx.pad(x, WIDTHS, constant_values=-mx.inf) > -1, (X,)),
    "the last axis": (lambda x: mx.pad(x, [(0, 0), (0, 0), (1, 2)], constant_values=-1), (X,)),
    "the first axis": (lambda x: mx.pad(x, [(2, 1), (0, 0), (0, 0)]), (X,)),
    "a value that is an input": (lambda x, v: mx.pad(x, WIDTHS, constant_values=v), (X, mx.array(1.5))),
    "whole numbers": (lambda x: mx.pad(x, WIDTHS, constant_values=7), (whole(0, 9, 2, 3, 4),)),
    "whole numbers by an input": (
        lambda x, v: mx.pad(x, WIDTHS, constant_values=v),
        (whole(0, 9, 2, 3, 4), mx.array(5)),
    ),
    "truth values": (lambda x: mx.pad(x, WIDTHS, constant_values=True), (truths(2, 3, 4),)),
    "nothing": (lambda x: mx.pad(x, [(0, 0)] * 3) + 1, (X,)),
    "edges": (lambda x: mx.pad(x, WIDTHS, mode="edge"), (X,)),
    "edges of whole numbers": (lambda x: mx.pad(x, WIDTHS, mode="edge"), (whole(0, 9, 2, 3, 4),)),
    "a roll": (lambda x: mx.roll(x, (1, -2), (1, 2)), (X,)),
    "a flip": (lambda x: x[::-1, :, ::-1], (X,)),
}


@pytest.fixture(scope="module")
def pairs():
    return results(CASES)


@pytest.mark.parametrize("name", CASES)
def test_as_mlx(pairs, name):
    assert_agree(pairs[name])
