"""What two optimizers have gathered agrees in correct twins, and parts where their rules do."""

import numpy as np
import pytest
import torch
from torch import nn as tnn

from twins.frameworks import MLX, TORCH
from twins.models import weights
from twins.parity import noise
from twins.parity import optimizer_state as state
from twins.training import train
from twins.training.train import Half, Recipe

import mlx.core as mx  # isort: skip
import mlx.nn as mnn  # isort: skip
import mlx.optimizers as mo  # isort: skip

to = torch.optim


def trained(name: str, change=None, seed: int = 0) -> tuple[Half, Half]:
    """Halves of a tiny twin after 20 steps, changed before these."""
    model = train.named(name)
    rng = np.random.default_rng(seed)
    batches = [model.example(model.tiny(), rng, 4) for _ in range(20)]
    halves = train.halves(model, model.tiny(), Recipe(), seed)
    if change:
        change(*halves)
    for half in halves:
        train.fit(half, batches)
    return halves


@pytest.mark.parametrize("name", ["transformer_lm", "bert", "resnet", "vit"])
def test_states_of_twins_agree(name):
    check = state.check_state(*trained(name))
    assert check.passed
    assert check.value < 1e-4
    assert check.where in ("the first moment", "the second moment")


def test_a_floor_widens_the_limit():
    model = train.named("transformer_lm")
    floor = noise.shaken(train.halves(model, model.tiny(), Recipe())[1], 0)
    rng = np.random.default_rng(0)
    train.fit(floor, [model.example(model.tiny(), rng, 4) for _ in range(20)])
    check = state.check_state(*trained("transformer_lm"), floor)
    assert check.passed
    assert "floor" in check.where


@pytest.mark.parametrize("betas", [(0.9, 0.9999), (0.9, 0.998), (0.89, 0.999)])
def test_a_state_that_parts_is_found(betas):
    def change(_, torch_half):
        torch_half.optimizer.param_groups[0]["betas"] = betas

    check = state.check_state(*trained("transformer_lm", change))
    assert check.value > 10 * check.limit


PAIRS = {
    "velocity": (mo.SGD(0.1, momentum=0.9), lambda p: to.SGD(p, 0.1, momentum=0.9)),
    "second moment": (mo.RMSprop(0.01), lambda p: to.RMSprop(p, 0.01)),
    "sum of squares": (mo.Adagrad(0.01), lambda p: to.Adagrad(p, 0.01, eps=1e-8)),
    "squares of changes": (mo.AdaDelta(1.0), lambda p: to.Adadelta(p, 1.0)),
    "largest gradient": (mo.Adamax(0.01), lambda p: to.Adamax(p, 0.01)),
    "first moment": (
        mo.MultiOptimizer(
            [mo.Adam(0.01, bias_correction=True), mo.Adam(0.02, bias_correction=True)],
            [lambda name, value: name == "bias"],
        ),
        lambda p: to.Adam(p, 0.01),
    ),
}


@pytest.mark.parametrize(("what", "made"), PAIRS.items(), ids=PAIRS)
def test_what_is_gathered_is_mapped_by_meaning(what, made):
    mlx, model = mnn.Conv2d(3, 4, 2), tnn.Conv2d(3, 4, 2)
    weights.copy_to_mlx(model, mlx)
    ours = Half(MLX, mlx, None, made[0], None)
    theirs = Half(TORCH, model, None, made[1](model.parameters()), None)
    rng = np.random.default_rng(0)
    for _ in range(3):
        gradients = {k: rng.standard_normal(p.shape).astype("f") for k, p in model.named_parameters()}
        for name, parameter in model.named_parameters():
            parameter.grad = torch.tensor(gradients[name])
        theirs.optimizer.step()
        turned = gradients["weight"].transpose(0, 2, 3, 1)
        ours.optimizer.update(mlx, {"weight": mx.array(turned), "bias": mx.array(gradients["bias"])})
    found = state.of_mlx(ours)[what], state.of_torch(ours, theirs)[what]
    assert sorted(found[0]) == sorted(found[1]) == ["bias", "weight"]
    for name, value in found[0].items():
        assert np.allclose(value, found[1][name], rtol=1e-4), name


def test_optimizers_that_gather_nothing_pass():
    mlx, model = mnn.Linear(2, 2), tnn.Linear(2, 2)
    ours = Half(MLX, mlx, None, mo.SGD(0.1), None)
    check = state.check_state(ours, Half(TORCH, model, None, to.SGD(model.parameters(), 0.1), None))
    assert check.passed
    assert check.where == "the optimizers gather nothing that both have"
