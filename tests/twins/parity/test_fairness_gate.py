"""The fairness gate passes correct twins and names the check that catches each planted defect."""

import dataclasses
from functools import partial

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
import torch

from twins.models import transformer_lm as lm
from twins.parity import fairness_gate
from twins.parity.differences import Check, Verdict, worst
from twins.parity.limits import THRESHOLDS
from twins.training import train

STEPS = 20
CONFIG = lm.tiny()
RECIPE = train.Recipe()
mlx_step = train.mlx_step


def batches(seed: int = 0, size: int = 8):
    rng = np.random.default_rng(seed)
    return [lm.example(CONFIG, rng, size) for _ in range(STEPS)]


def correct(dtype: str, seed: int = 0):
    return train.halves(lm, CONFIG, RECIPE, seed, dtype)


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


@pytest.mark.parametrize("seed", range(20))
def test_correct_twins_pass(seed):
    verdict = fairness_gate.gate("lm", partial(correct, seed=seed), batches(seed))
    assert verdict.failures() == []
    assert verdict.notes == ()
    assert {len(losses) for losses in verdict.losses.values()} == {STEPS}


def no_optimizer_step(dtype):
    mlx, torch_half = correct(dtype)
    torch_half.optimizer.step = lambda: None
    return mlx, torch_half


def no_bias_correction(dtype):
    mlx, torch_half = correct(dtype)
    mlx.optimizer.bias_correction = False
    return mlx, torch_half


def zeroed_scale(dtype):
    mlx, torch_half = correct(dtype)
    mlx.model.blocks[0].norm1.weight = mx.zeros_like(mlx.model.blocks[0].norm1.weight)
    return mlx, torch_half


class MlxWithDropout(lm.MlxTransformerLM):
    def __init__(self, config):
        super().__init__(config)
        self.dropout = mnn.Dropout(0.1)

    def __call__(self, ids):
        return self.dropout(super().__call__(ids))


def dropout_on_one_side(dtype):
    mlx, torch_half = correct(dtype)
    dropped = MlxWithDropout(CONFIG)
    dropped.update(mlx.model.parameters())
    return dataclasses.replace(mlx, model=dropped), torch_half


def tanh_gelu(dtype, monkeypatch):
    monkeypatch.setattr(mnn, "gelu", mnn.gelu_approx)
    return correct(dtype)


def norm_eps(dtype):
    mlx, torch_half = correct(dtype)
    for module in torch_half.model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-6
    return mlx, torch_half


def weight_decay(dtype):
    mlx, torch_half = correct(dtype)
    mlx.optimizer.weight_decay = 0.01
    return mlx, torch_half


def clip_on_one_side(dtype):
    mlx, torch_half = correct(dtype)
    mlx.clip = None
    return mlx, torch_half


def frozen_parameter(dtype):
    mlx, torch_half = correct(dtype)
    mlx.model.blocks[1].down.freeze()
    return mlx, torch_half


def missing_bias(dtype):
    mlx, torch_half = correct(dtype)
    torch_half.model.blocks[0].proj = torch.nn.Linear(CONFIG.width, CONFIG.width, bias=False)
    return mlx, torch_half


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        (no_optimizer_step, "moved, PyTorch eager"),
        (no_bias_correction, "update"),
        (zeroed_scale, "weights"),
        (dropout_on_one_side, "outputs"),
        (norm_eps, "gradients"),
        (weight_decay, "update"),
        (clip_on_one_side, "clipping"),
        (frozen_parameter, "moved, MLX eager"),
        (missing_bias, "names"),
    ],
)
def test_planted_defect_is_caught(defect, check):
    verdict = fairness_gate.gate("lm", defect, batches())
    assert check in failed(verdict)
    assert any(check in sentence for sentence in verdict.failures())


def test_tanh_gelu_is_caught(monkeypatch):
    verdict = fairness_gate.gate("lm", partial(tanh_gelu, monkeypatch=monkeypatch), batches())
    assert "gradients" in failed(verdict)
    assert "float64 gradients" in failed(verdict)


def step_without_state(half, compiled=False):
    """mx.compile as it is often written: no inputs, no outputs, and only the loss evaluated."""
    if not compiled:
        return mlx_step(half)
    loss_and_gradients = mnn.value_and_grad(half.model, half.loss)

    @mx.compile
    def update(*batch):
        loss, gradients = loss_and_gradients(half.model, *batch)
        half.optimizer.update(half.model, gradients)
        return loss

    def step(*batch):
        before = half.model.parameters()
        loss = update(*batch)
        mx.eval(loss)
        half.model.update(before)  # what stands in the model now are tracers, not numbers
        return loss

    return step


def test_compiled_step_without_state_is_caught(monkeypatch):
    monkeypatch.setattr(train, "mlx_step", step_without_state)
    assert {"losses, MLX compiled", "moved, MLX compiled"} <= failed(
        fairness_gate.gate("lm", correct, batches())
    )


def test_compiled_torch_step_agrees():
    verdict = fairness_gate.gate("lm", correct, batches(), torch_compiled=True, in_float64=False)
    assert verdict.failures() == []
    assert "PyTorch compiled" in verdict.losses


def test_nan_never_passes():
    assert not Check("outputs", float("nan"), 1.0, "").passed
    assert worst("gradients", {"a": 1.0, "b": float("nan")}, 2.0).where == "b"


def test_every_threshold_lies_between_correct_and_defective():
    for name, threshold in THRESHOLDS.items():
        assert threshold.matched <= threshold.limit, name
