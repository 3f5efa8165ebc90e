"""A convolution by its definition is MLX's own, and right in float64 where MLX's is not."""

import mlx.core as mx
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from twins.frameworks import on
from twins.parity import float64_stand_ins
from twins.parity.fairness_gate import relative

# dimensions -> (shape of x, shape of the weight) for groups of 2
SHAPES = {1: ((2, 11, 4), (6, 3, 2)), 2: ((2, 9, 11, 4), (6, 3, 2, 2)), 3: ((2, 5, 6, 7, 4), (6, 2, 3, 2, 2))}
OPTIONS = {
    "plain": {},
    "stride and padding": {"stride": 2, "padding": 1},
    "dilation": {"dilation": 2},
    "all": {"stride": 2, "padding": 2, "dilation": 2},
}


def first(array: np.ndarray) -> torch.Tensor:
    """Channels last to channels first."""
    return torch.from_numpy(np.moveaxis(array, -1, 1).copy()).requires_grad_()


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dimensions", SHAPES)
def test_outputs_and_gradients_are_torchs_in_float64(dimensions, groups, options):
    rng = np.random.default_rng(0)
    shape, kernel = SHAPES[dimensions]
    x = rng.standard_normal((*shape[:-1], 2 * groups))
    weight = rng.standard_normal(kernel)
    function = getattr(F, f"conv{dimensions}d")
    theirs = [first(x), first(weight)]
    wanted = function(*theirs, groups=groups, **options)
    (wanted**2).sum().backward()
    with on("cpu"), float64_stand_ins.convolutions():
        ours = [mx.array(a, dtype=mx.float64) for a in (x, weight)]
        convolve = getattr(mx, f"conv{dimensions}d")
        made = convolve(*ours, groups=groups, **options)
        gradients = mx.grad(lambda *a: (convolve(*a, groups=groups, **options) ** 2).sum(), (0, 1))(*ours)
        found = [np.moveaxis(np.array(each), -1, 1) for each in (made, *gradients)]
    for each, other in zip(found, [wanted, *(t.grad for t in theirs)], strict=True):
        assert relative(each, other.detach().numpy()) < 1e-14


def test_sizes_may_differ_by_axis_and_come_by_place():
    rng = np.random.default_rng(0)
    x, weight = (mx.array(rng.standard_normal(s), dtype=mx.float32) for s in ((1, 9, 8, 3), (4, 3, 2, 3)))
    for sizes in (((2, 1), (1, 0)), ((1, 2), (0, 1), (2, 1))):
        assert (
            relative(
                np.array(float64_stand_ins.convolve(x, weight, *sizes)),
                np.array(mx.conv2d(x, weight, *sizes)),
            )
            < 1e-6
        )


def test_only_float64_is_replaced_and_only_for_a_while(monkeypatch):
    own = mx.conv2d
    monkeypatch.setattr(float64_stand_ins, "convolve", lambda *a, **k: "by definition")
    x, weight = mx.ones((1, 4, 4, 1)), mx.ones((1, 3, 3, 1))
    with on("cpu"):
        with float64_stand_ins.convolutions():
            assert mx.conv2d(x, weight).shape == (1, 2, 2, 1)
            assert mx.conv2d(x.astype(mx.float64), weight.astype(mx.float64)) == "by definition"
        assert mx.conv2d is own
        with pytest.raises(RuntimeError, match="here"), float64_stand_ins.convolutions():
            raise RuntimeError("here")
    assert mx.conv2d is own
