"""What MLX's releases export differently comes out as the newest exports it."""

import pytest

from mlx_coreml.capture.releases import divmod_truncates, settled
from mlx_coreml.ir.graph import Node, Tensor
from mlx_coreml.passes.fold.evaluate import EVALUATE
from twins.frameworks import mx

ROWS = Tensor("x", (3, 5), "float32")


@pytest.mark.parametrize(
    "given, size, end",
    [
        (((1, 0), (3, 5), (1, 1)), 1, 2),  # x[1::2], as MLX 0.31 exports it
        (((1, 0), (3, 5), (1, 1)), 2, 3),
        (((0, 0), (3, 5), (2, 1)), 2, 3),
        (((2, 0), (-4, 5), (-2, 1)), 2, -4),  # through index 0
        (((1, 0), (-4, 5), (1, 1)), 1, 2),  # x[1::-2]
    ],
)
def test_the_end_of_a_slice_follows_from_its_size(given, size, end):
    cut = Tensor("y", (size, 5), "float32")
    wanted = (given[0], (end, 5), given[2])
    assert settled("Slice", given, [ROWS], [cut]) == wanted
    assert settled("SliceUpdate", (4, *given), [ROWS, cut], [ROWS]) == (4, *wanted)


def test_other_arguments_stay():
    assert settled("Sort", [1], [ROWS], [ROWS]) == (1,) and settled("Sin", [], [ROWS], [ROWS]) == ()


def test_a_division_of_whole_constants_keeps_its_type():
    """Up to MLX 0.31, Divide of whole numbers is one of their own."""
    node = Node("Divide", [], [Tensor("q", (2,), "int32")])
    assert EVALUATE["Divide"](node, mx.array([9, 8]), mx.array([2, 4])).tolist() == [4, 2]


def test_this_release_says_how_it_rounds():
    assert divmod_truncates() == (mx.divmod(mx.array([-7.0]), mx.array([2.0]))[0].item() == -3)
