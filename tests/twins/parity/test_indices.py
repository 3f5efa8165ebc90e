"""An index out of range is found before MLX indexes with it, which would end the process."""

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from twins.parity import indices
from twins.parity.interception.bounds import IndexOutOfRangeError

TABLE = mx.arange(12.0).reshape(3, 4)
WRONG = {
    "a number": lambda: TABLE[3],
    "a row": lambda: TABLE[mx.array([0, 3])],
    "a row from the end": lambda: TABLE[mx.array([-4])],
    "behind an ellipsis": lambda: TABLE[..., mx.array([4])],
    "behind a new axis": lambda: TABLE[None, mx.array([3])],
    "the second of two": lambda: TABLE[mx.array([0]), mx.array([4])],
    "take": lambda: mx.take(TABLE, mx.array([12])),
    "take along": lambda: mx.take_along_axis(TABLE, mx.array([[0], [4], [1]]), axis=-1),
    "an embedding": lambda: mnn.Embedding(3, 2)(mx.array([[1, 3]])),
    "a label": lambda: mnn.losses.cross_entropy(TABLE, mx.array([0, 4, 2])),
    "a label on an Apple GPU": lambda: mx.fast.cross_entropy(TABLE, mx.array([0, 4, 2])),
    "an ignored label": lambda: mnn.losses.cross_entropy(TABLE, mx.array([0, -100, 2])),
    "a compiled function": lambda: mx.compile(lambda x, i: x[i] * 2)(TABLE, mx.array([3])),
    "written to": lambda: TABLE.__setitem__(mx.array([3]), 0.0),
    "torch: an embedding": lambda: F.embedding(torch.tensor([3]), torch.ones(3, 2)),
    "torch: a label": lambda: F.cross_entropy(torch.ones(2, 4), torch.tensor([0, 4])),
    "torch: a negative label": lambda: F.nll_loss(torch.ones(2, 4), torch.tensor([-1, 0])),
}
RIGHT = {
    "rows": lambda: TABLE[mx.array([0, -3, 2])],
    "a mask": lambda: mx.where(TABLE > 3, TABLE, 0),
    "numbers and slices": lambda: TABLE[1, ::2],
    "take": lambda: mx.take(TABLE, mx.array([11, -12])),
    "torch: an ignored label": lambda: F.cross_entropy(torch.ones(2, 4), torch.tensor([0, -100])),
    "torch: another one": lambda: F.cross_entropy(torch.ones(2, 4), torch.tensor([0, 9]), ignore_index=9),
    "torch: probabilities": lambda: F.cross_entropy(torch.ones(2, 4), torch.ones(2, 4)),
    "traced": lambda: mx.vmap(lambda x, i: x[i])(TABLE, mx.array([0, 1, 2])),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_an_index_out_of_range_is_refused(call):
    with indices.guarded(), pytest.raises(IndexOutOfRangeError, match=r"^index -?\d+, .*is outside of "):
        call()


@pytest.mark.parametrize("call", RIGHT.values(), ids=RIGHT)
def test_an_index_in_range_is_left_alone(call):
    wanted = np.array(call())
    with indices.guarded():
        assert np.array_equal(np.array(call()), wanted)


def test_the_value_its_position_and_the_range_are_told():
    with indices.guarded(), pytest.raises(IndexOutOfRangeError) as raised:
        mx.take_along_axis(TABLE, mx.array([[0], [-100], [2]]), -1)
    assert str(raised.value) == "index -100, at [1, 0] of the array of indices, is outside of -4 to 3"


def test_nothing_stays_patched():
    before = mx.array.__getitem__, mx.take, mx.take_along_axis
    with indices.guarded():
        assert mx.array.__getitem__ is not before[0]
    assert (mx.array.__getitem__, mx.take, mx.take_along_axis) == before
