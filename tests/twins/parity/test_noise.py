"""A limit knows the noise of the pair it judges, and an excuse is no larger than that noise."""

from dataclasses import replace

import mlx.nn as mnn
import numpy as np
import pytest
import torch
from torch import nn as tnn
from torch.nn import functional as F

from twins.frameworks import MLX, TORCH
from twins.models import weights
from twins.parity import checks, fairness_gate, noise
from twins.parity.differences import Check, compared
from twins.training import train
from twins.training.train import Half, Recipe


def halves_of(mlx: mnn.Module, torch_model: tnn.Module, layout=None) -> tuple[Half, Half]:
    torch_model = torch_model.to(TORCH.device)
    weights.copy_to_mlx(torch_model, mlx)
    losses = (
        lambda model, x, y: mnn.losses.cross_entropy(model(x), y, reduction="mean"),
        lambda model, x, y: F.cross_entropy(model(x), y),
    )
    ours = Half(MLX, mlx, losses[0], train.mlx_optimizer(Recipe()), 1.0)
    return ours, Half(
        TORCH, torch_model, losses[1], train.torch_optimizer(Recipe(), torch_model), 1.0, layout
    )


class MlxNormed(mnn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = mnn.Conv2d(3, 8, 3), mnn.BatchNorm(8), mnn.Linear(8, 5)

    def __call__(self, x):
        return self.head(mnn.relu(self.norm(self.conv(x))).mean(axis=(1, 2)))


class TorchNormed(tnn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = tnn.Conv2d(3, 8, 3), tnn.BatchNorm2d(8), tnn.Linear(8, 5)

    def forward(self, x):
        return self.head(F.relu(self.norm(self.conv(x))).mean(dim=(2, 3)))


def normed(dtype: str = "float32", seed: int = 0) -> tuple[Half, Half]:
    """A bias before BatchNorm: its true gradient is zero."""
    torch.manual_seed(seed)
    halves = halves_of(
        MlxNormed(), TorchNormed(), lambda x, y: (np.ascontiguousarray(x.transpose(0, 3, 1, 2)), y)
    )
    for half in halves:
        train.set_dtype(half.model, dtype)
    return tuple(replace(half, dtype=dtype) for half in halves)


def images(seed: int = 0, size: int = 16):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((16, size, size, 3)).astype("float32"), rng.integers(0, 5, 16, dtype="int32")


@pytest.mark.parametrize("seed", range(5))
def test_a_bias_before_batch_norm_has_noise_for_a_gradient_and_passes(seed):
    def make(dtype):
        return normed(dtype, seed)

    found = noise.gradients(make, images(seed))
    assert found.passed
    assert noise.gradients(make, images(seed), exact=False).passed


def test_gradients_that_differ_are_not_excused():
    def make(dtype="float32"):
        mlx, theirs = normed(dtype)
        inner = mlx.loss
        mlx.loss = lambda model, x, y: inner(model, x, y) + 1e-3 * model.head.weight.square().sum()
        return mlx, theirs

    found = noise.gradients(make, images())
    assert not found.passed
    assert found.where.startswith("head.weight")
    verdict = fairness_gate.gate("wrong", make, [images(seed) for seed in range(2)])
    assert {"gradients", "float64 gradients"} <= {check.name for check in verdict.checks if not check.passed}


def test_a_floor_excuses_up_to_its_factor_and_none_that_is_too_large():
    above = [
        Check("gradients", 0.004, 1e-5, "a"),
        Check("update", 0.5, 1e-4, "b"),
        Check("loss", 0.0, 1e-5, "c"),
    ]
    found = noise.relaxed(above, {"gradients": 0.001, "update": 0.001, "loss": 1.0})
    assert [check.passed for check in found] == [True, False, True]
    assert [check.limit for check in found] == [0.01, 0.01, 1e-5]
    assert found[0].where == "a, floor 0.001"
    assert noise.relaxed(above, {"gradients": 2 * noise.MOST}) == above
    assert noise.relaxed(above, {"gradients": float("nan")}) == above


def test_either_half_has_a_floor():
    names = {"outputs", "loss", "evaluation", "gradients", "update", "clipping"}
    for index in (0, 1):
        found = noise.floors(normed, images(), index)
        assert found.keys() == names
        assert all(0 < found[name] < 1e-3 for name in names - {"gradients", "update", "clipping"})


def test_what_is_no_row_of_the_batch_is_not_permuted():
    nodes, edges = np.arange(4.0), np.arange(6)
    ((rows, kept),) = noise.permuted([(nodes, edges)], seed=1)
    assert sorted(rows) == sorted(nodes)
    assert kept is edges


# --- outputs ---------------------------------------------------------------------------------------


def test_outputs_of_other_shapes_are_infinitely_far_apart():
    check = compared("evaluation", [np.ones((2, 3))], [np.ones((2, 4))])
    assert (check.value, check.where) == (float("inf"), "MLX (2, 3), PyTorch (2, 4)")
    check = compared("outputs", [np.ones(2)], [np.ones(2), np.ones(3)])
    assert (check.value, check.where) == (float("inf"), "MLX (2,), PyTorch (2,), (3,)")


def test_several_outputs_are_compared_each_in_its_arrangement():
    images_, labels = np.random.default_rng(0).standard_normal((2, 4, 5, 3)), np.ones(2)
    assert compared("outputs", [images_, labels], [np.moveaxis(images_, -1, 1), labels]).value == 0
    assert compared("outputs", [images_, labels], [np.moveaxis(images_, -1, 1), 2 * labels]).value == 0.5


# --- what trains -----------------------------------------------------------------------------------


def frozen(dtype="float32", ours=True, theirs=True):
    halves = normed(dtype)
    if ours:
        halves[0].model.head.freeze()
    if theirs:
        halves[1].model.head.requires_grad_(False)
    return halves


def test_a_layer_frozen_in_both_is_meant():
    verdict = fairness_gate.gate("frozen", frozen, [images(seed) for seed in range(5)])
    assert verdict.failures() == []


@pytest.mark.parametrize(("ours", "theirs", "side"), [(True, False, "MLX"), (False, True, "PyTorch")])
def test_a_layer_frozen_in_one_half_is_told(ours, theirs, side):
    found = checks.check_trained(*frozen(ours=ours, theirs=theirs))
    assert not found.passed
    assert found.value == 2
    assert f"frozen in {side}" in found.where
