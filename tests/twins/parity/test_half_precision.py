"""Half types: the same arithmetic on both sides, and a gate that passes it and names what differs."""

from functools import partial

import mlx.core as mx
import numpy as np
import pytest
import torch

from twins.frameworks import MLX, TORCH
from twins.models import bert, vit
from twins.models import transformer_lm as lm
from twins.parity import half_precision_gate
from twins.parity.limits import THRESHOLDS
from twins.training import half_precision, train
from twins.training.half_precision import HALF_TYPES
from twins.training.train import Recipe

CONFIG = lm.tiny()
types = pytest.mark.parametrize("dtype", HALF_TYPES)


def batches(seed: int = 0, count: int = 20) -> list:
    rng = np.random.default_rng(seed)
    return [lm.example(CONFIG, rng, 8) for _ in range(count)]


def halves(_: str = "float32", seed: int = 0) -> tuple[train.Half, train.Half]:
    return train.halves(lm, CONFIG, Recipe(), seed)


# --- what is computed ------------------------------------------------------------------------------


@types
def test_the_network_computes_in_the_type_and_the_weights_stay(dtype):
    for half in halves():
        made = half_precision.outputs(half, dtype, batches()[0])
        assert made.dtype == half.framework.dtype(dtype)
        lower = half_precision.lowered(half, dtype)
        loss, gradients = train.gradients(lower, *lower.batch(batches()[0]))
        assert loss.dtype == half.framework.dtype("float32")
        assert {value.dtype for value in gradients.values()} == {half.framework.dtype("float32")}
    assert halves()[0].model.norm.weight.dtype == mx.float32
    assert halves()[1].model.norm.weight.dtype == torch.float32


def test_float32_is_left_as_it_is():
    for half in halves():
        assert half_precision.lowered(half, "float32") is half


@pytest.mark.parametrize(("dtype", "compiled"), [("float16", False), ("bfloat16", True)])
def test_training_moves_the_float32_weights(dtype, compiled):
    """By less than a half type could tell: one step of 1e-6 beside weights of about 1."""
    ours = train.halves(lm, CONFIG, Recipe(learning_rate=1e-6, weight_decay=0.0))[0]
    before = np.array(ours.model.norm.weight)
    train.fit(half_precision.lowered(ours, dtype), batches(count=1), compiled)
    moved = np.abs(np.array(ours.model.norm.weight) - before)
    assert ours.model.norm.weight.dtype == mx.float32
    assert 0 < moved.max() < 2e-6


def test_floating_inputs_are_cast_and_others_are_not():
    seen = []

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, *inputs):
            seen.extend(x.dtype for x in [*inputs, self.weight])
            return inputs[0]

    with half_precision.torch_running(Model(), torch.float16) as run:
        run(torch.ones(2), torch.ones(2, dtype=torch.int64))
    assert seen == [torch.float16, torch.int64, torch.float16]


# --- the gate --------------------------------------------------------------------------------------


@types
@pytest.mark.parametrize("seed", range(20))
def test_correct_twins_pass(dtype, seed):
    verdict = half_precision_gate.gate("lm", partial(halves, seed=seed), batches(seed), dtype)
    assert verdict.failures() == []
    assert [check.name for check in verdict.checks] == [
        f"{dtype} {name}" for name in ("type", "outputs", "gradients", "losses")
    ]


@types
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("model", [bert, vit])
def test_other_twins_pass_by_the_same_limits(model, dtype, seed):
    rng, config = np.random.default_rng(seed), model.tiny()
    given = [model.example(config, rng, 8) for _ in range(20)]
    verdict = half_precision_gate.gate(
        "twin", lambda _: train.halves(model, config, Recipe(), seed), given, dtype
    )
    assert verdict.failures() == []


def scale_off(_):
    ours, theirs = halves()
    ours.model.norm.weight = 0.98 * ours.model.norm.weight
    return ours, theirs


def slower(_):
    ours, theirs = halves()
    ours.optimizer.learning_rate = 0.9e-3
    return ours, theirs


class Widened(lm.MlxTransformerLM):
    """Leaves the half type before the end."""

    def __call__(self, ids):
        return super().__call__(ids).astype(mx.float32)


def widened(_):
    ours, theirs = halves()
    ours.model.__class__ = Widened
    return ours, theirs


@types
@pytest.mark.parametrize(
    ("make", "check"),
    [(scale_off, "outputs"), (scale_off, "gradients"), (slower, "losses"), (widened, "type")],
)
def test_a_planted_defect_is_caught(dtype, make, check):
    verdict = half_precision_gate.gate("lm", make, batches(), dtype)
    assert f"{dtype} {check}" in {c.name for c in verdict.checks if not c.passed}


def test_the_limits_are_in_the_one_table():
    for name in ("outputs", "gradients", "losses"):
        threshold = THRESHOLDS[f"half type {name}"]
        assert threshold.matched < threshold.limit
    assert {MLX.dtype(t).size for t in HALF_TYPES} == {TORCH.dtype(t).itemsize for t in HALF_TYPES} == {2}
