"""Optimizers equal in meaning are left alone whatever they are called; what differs is one sentence each."""

import copy
from collections.abc import Callable
from dataclasses import replace

import mlx.core as mx
import mlx.nn as mnn
import mlx.optimizers as mo
import numpy as np
import pytest
import torch
from torch import nn as tnn
from torch.optim import lr_scheduler as schedules

from twins.frameworks import MLX, TORCH
from twins.models import weights
from twins.parity.optimizer_settings import differences
from twins.parity.optimizers import described, updates
from twins.parity.settings import check_settings
from twins.training.train import Half

to = torch.optim
RNG = np.random.default_rng(0)
STEPS = [{"a.weight": (6, 4), "a.bias": (6,), "b.weight": (2, 6), "b.bias": (2,)}] * 6
GRADIENTS = [{k: 0.3 * RNG.standard_normal(s).astype("f") for k, s in each.items()} for each in STEPS]


class MlxNet(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = mnn.Linear(4, 6), mnn.Linear(6, 2)


class TorchNet(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = tnn.Linear(4, 6), tnn.Linear(6, 2)


def halves(mlx_optimizer, torch_optimizer: Callable, schedule: Callable | None = None) -> tuple[Half, Half]:
    """Halves with these optimizers; torch's is made from the parameters."""
    torch.manual_seed(0)
    mlx, model = MlxNet(), TorchNet()
    weights.copy_to_mlx(model, mlx)
    optimizer = torch_optimizer(model)
    made = schedule(optimizer) if schedule else None
    ours = Half(MLX, mlx, None, copy.deepcopy(mlx_optimizer), None)  # its state is its own
    return ours, Half(TORCH, model, None, optimizer, None, schedule=made)


def told(*made) -> str:
    return "; ".join(found.sentence for found in differences(*halves(*made)))


def all_of(kind: type, *given, **settings) -> Callable:
    return lambda model: kind(model.parameters(), *given, **settings)


def decayed(**rest) -> Callable:
    """torch's AdamW whose biases are not decayed, in two groups."""

    def make(model):
        biases = [p for n, p in model.named_parameters() if n.endswith("bias")]
        others = [p for n, p in model.named_parameters() if not n.endswith("bias")]
        groups = [{"params": others, "weight_decay": 0.1}, {"params": biases, "weight_decay": 0.0} | rest]
        return to.AdamW(groups, lr=1e-3)

    return make


def multi(first: mo.Optimizer, second: mo.Optimizer) -> mo.Optimizer:
    """The first for biases, the second for the others."""
    return mo.MultiOptimizer([first, second], [lambda name, value: name.endswith("bias")])


def adamw(decay: float, **rest) -> mo.Optimizer:
    return mo.AdamW(1e-3, weight_decay=decay, bias_correction=True, **rest)


def mlx_moved(half: Half) -> dict[str, np.ndarray]:
    for gradients in GRADIENTS:
        tree = {m: {k: mx.array(gradients[f"{m}.{k}"]) for k in ("weight", "bias")} for m in ("a", "b")}
        half.optimizer.update(half.model, tree)
    return weights.mlx_weights(half.model)


def torch_moved(half: Half) -> dict[str, np.ndarray]:
    for gradients in GRADIENTS:
        for name, parameter in half.model.named_parameters():
            parameter.grad = torch.tensor(gradients[name])
        half.optimizer.step()
        if half.schedule:
            half.schedule.step()
    return weights.torch_weights(half.model)


def apart(one: dict, other: dict, start: dict) -> float:
    """The largest relative difference between two changes of the weights."""
    moved = {k: np.linalg.norm(other[k] - start[k]) for k in start}
    return max(float(np.linalg.norm(one[k] - other[k]) / moved[k]) for k in start)


# --- equal in meaning ------------------------------------------------------------------------------

EQUAL = {
    "AdamW": (adamw(0.1), all_of(to.AdamW, 1e-3, weight_decay=0.1)),
    "Adam": (mo.Adam(1e-3, bias_correction=True), all_of(to.Adam, 1e-3)),
    "Adam and AdamW without decay": (mo.Adam(1e-3, bias_correction=True), all_of(to.AdamW, weight_decay=0.0)),
    "AdamW without decay and Adam": (adamw(0.0), all_of(to.Adam, 1e-3)),
    "decoupled Adam": (adamw(0.1), all_of(to.Adam, weight_decay=0.1, decoupled_weight_decay=True)),
    "SGD": (mo.SGD(0.1), all_of(to.SGD, 0.1)),
    "momentum": (mo.SGD(0.1, momentum=0.9), all_of(to.SGD, 0.1, momentum=0.9)),
    "no momentum": (mo.SGD(0.1), all_of(to.SGD, 0.1, dampening=0.5)),
    "Nesterov and decay": (
        mo.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        all_of(to.SGD, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    "RMSprop": (mo.RMSprop(0.01, alpha=0.9, eps=1e-3), all_of(to.RMSprop, 0.01, alpha=0.9, eps=1e-3)),
    "Adam without a first moment": (mo.Adam(0.01, betas=[0, 0.99]), all_of(to.RMSprop, 0.01)),
    "Adagrad": (mo.Adagrad(0.01, eps=1e-10), all_of(to.Adagrad, 0.01)),
    "AdaDelta": (mo.AdaDelta(1.0, rho=0.9), all_of(to.Adadelta, 1.0, rho=0.9)),
    "Adafactor": (mo.Adafactor(), all_of(to.Adafactor)),
    "Adafactor at a rate": (mo.Adafactor(1e-3, relative_step=False), all_of(to.Adafactor, 1e-3)),
    "averaged SGD without decay": (mo.SGD(0.01), all_of(to.ASGD, 0.01, lambd=0)),
    "groups": (multi(adamw(0.0), adamw(0.1)), decayed()),
    "a subclass that adds nothing": (
        type("Mine", (mo.AdamW,), {})(1e-3, bias_correction=True),
        all_of(to.AdamW),
    ),
    "settings as tensors": (adamw(0.01), all_of(to.AdamW, torch.tensor(1e-3))),
    "a fused step": (adamw(0.01), all_of(to.AdamW, 1e-3, fused=True)),
    "a cosine that ends": (
        mo.SGD(mo.cosine_decay(0.1, 90)),
        all_of(to.SGD, 0.1),
        lambda o: schedules.CosineAnnealingLR(o, 90),
    ),
    "a warm-up and a decay": (
        mo.SGD(
            mo.join_schedules([mo.linear_schedule(0.01, 0.1, 10), mo.exponential_decay(0.1, 0.999)], [10])
        ),
        all_of(to.SGD, 0.1),
        lambda o: schedules.SequentialLR(
            o, [schedules.LinearLR(o, 0.1, 1.0, 10), schedules.ExponentialLR(o, 0.999)], [10]
        ),
    ),
    "steps": (
        mo.SGD(mo.step_decay(0.1, 0.5, 30)),
        all_of(to.SGD, 0.1),
        lambda o: schedules.StepLR(o, 30, 0.5),
    ),
}


@pytest.mark.parametrize("made", EQUAL.values(), ids=EQUAL)
def test_what_is_equal_in_meaning_is_left_alone_and_moves_alike(made):
    mlx, torch_half = halves(*made)
    assert [found.sentence for found in differences(mlx, torch_half)] == []
    assert check_settings(mlx, torch_half).passed
    start = weights.mlx_weights(mlx.model)
    assert apart(mlx_moved(mlx), torch_moved(torch_half), start) < 5e-5


# --- each rule, written once for both --------------------------------------------------------------

RULES = [
    *EQUAL.values(),
    (mo.Adam(0.01), all_of(to.Adam, 0.01, amsgrad=True, weight_decay=0.1)),
    (
        mo.SGD(0.1, momentum=0.9, dampening=0.5),
        all_of(to.SGD, 0.1, momentum=0.9, dampening=0.5, maximize=True),
    ),
    (mo.Adamax(0.01, eps=0.1), all_of(to.Adamax, 0.01, eps=0.1)),
    (
        mo.Lion(0.01, weight_decay=0.1),
        all_of(to.RMSprop, 0.01, momentum=0.9, centered=True, weight_decay=0.1),
    ),
    (mo.Muon(0.01, weight_decay=0.1), all_of(to.Adagrad, 0.01, lr_decay=0.1, initial_accumulator_value=0.1)),
    (
        mo.Adafactor(0.01, beta_1=0.9, weight_decay=0.1, scale_parameter=False, relative_step=False),
        all_of(to.Adafactor, weight_decay=0.1, d=2.0),
    ),
    (mo.Adafactor(warmup_init=True), all_of(to.Adadelta, weight_decay=0.1)),
]


@pytest.mark.parametrize("made", RULES)
@pytest.mark.parametrize("side", [0, 1], ids=["mlx", "torch"])
def test_a_description_computes_what_its_optimizer_does(made, side):
    pair = halves(*made)
    start = weights.mlx_weights(pair[0].model)
    told = described.of_mlx(pair[0]) if side == 0 else described.of_torch(*pair)
    parameters = described.torch_parameters(*pair)
    made_so = updates.Following([(parameters[name][0], told[name]) for name in parameters])
    known = mlx_moved(pair[0]) if side == 0 else torch_moved(halves(*made)[1])
    found = torch_moved(replace(pair[1], optimizer=made_so, schedule=None))
    assert apart(found, known, start) < 5e-5


def test_torchs_muon_is_computed_in_bfloat16():
    matrices = lambda model: to.Muon([model.a.weight, model.b.weight], 0.01, weight_decay=0.1)  # noqa: E731
    pair = halves(mo.Muon(0.01), matrices)
    told = described.of_torch(*pair)
    held = [(dict(pair[1].model.named_parameters())[name], each) for name, each in told.items()]
    start = {name: weights.mlx_weights(pair[0].model)[name] for name in told}
    known = torch_moved(halves(mo.Muon(0.01), matrices)[1])
    found = torch_moved(replace(pair[1], optimizer=updates.Following(held)))
    assert apart(found, known, start) < 5e-3  # roundings of 8 bits


# --- what differs ----------------------------------------------------------------------------------


def first_only(model):
    return to.AdamW([{"params": model.a.parameters(), "eps": 1e-6}, {"params": model.b.parameters()}], 1e-3)


DIFFERENT = {
    "bias correction": (mo.Adam(1e-3), all_of(to.Adam, 1e-3)),
    "amsgrad is on in PyTorch and not available in MLX": (
        mo.AdamW(1e-3, weight_decay=0.0, bias_correction=True),
        all_of(to.AdamW, 1e-3, weight_decay=0.0, amsgrad=True),
    ),
    "rho is 0.9 in MLX and 0.95 in PyTorch": (mo.AdaDelta(1.0, rho=0.9), all_of(to.Adadelta, 1.0, rho=0.95)),
    "biases decay by 0.1 in PyTorch and not in MLX": (
        multi(adamw(0.0), adamw(0.1)),
        all_of(to.AdamW, 1e-3, weight_decay=0.1),
    ),
    "biases decay by 0.1 in MLX and not in PyTorch": (adamw(0.1), decayed()),
    "for biases, learning_rate is 0.001 in MLX and 0.002 in PyTorch": (
        multi(adamw(0.0), adamw(0.1)),
        decayed(lr=2e-3),
    ),
    "for `a.weight`, `a.bias`, eps is 1e-08 in MLX and 1e-06 in PyTorch": (adamw(0.01), first_only),
    "MLX's Adamax has no bias correction, PyTorch's has; eps is added after the maximum in MLX and before it "
    "in PyTorch": (mo.Adamax(1e-3), all_of(to.Adamax, 1e-3)),
    "weight_decay is 0.01 in MLX and 0.1 in PyTorch": (adamw(0.01), all_of(to.AdamW, weight_decay=0.1)),
    "weight decay is decoupled from the gradient in MLX and added to the gradient (L2) in PyTorch": (
        adamw(0.1),
        all_of(to.Adam, 1e-3, weight_decay=0.1),
    ),
    "betas is (0.9, 0.999) in MLX and (0.9, 0.9999) in PyTorch": (
        adamw(0.01),
        all_of(to.AdamW, betas=(0.9, 0.9999)),
    ),
    "eps is 1e-08 in MLX and 1e-10 in PyTorch": (mo.Adagrad(0.01), all_of(to.Adagrad, 0.01)),
    "nesterov is off in MLX and on in PyTorch": (
        mo.SGD(0.1, momentum=0.9),
        all_of(to.SGD, 0.1, momentum=0.9, nesterov=True),
    ),
    "momentum is 0 in MLX and 0.9 in PyTorch": (mo.SGD(0.1), all_of(to.SGD, 0.1, momentum=0.9)),
    "the first step is dampened in MLX and not in PyTorch": (
        mo.SGD(0.1, momentum=0.9, dampening=0.5),
        all_of(to.SGD, 0.1, momentum=0.9, dampening=0.5),
    ),
    "alpha is 0.9 in MLX and 0.99 in PyTorch": (mo.RMSprop(0.01, alpha=0.9), all_of(to.RMSprop, 0.01)),
    "centered is on in PyTorch and not available in MLX": (
        mo.RMSprop(0.01),
        all_of(to.RMSprop, 0.01, centered=True),
    ),
    "maximize is on in PyTorch and not available in MLX": (mo.SGD(0.1), all_of(to.SGD, 0.1, maximize=True)),
    "clip_threshold is 1 in MLX and 2 in PyTorch": (mo.Adafactor(), all_of(to.Adafactor, d=2.0)),
    "the learning rate parts at step 0: it is 0.01 in MLX and 0.001 in PyTorch": (
        mo.Adafactor(),
        all_of(to.Adafactor, 1e-3),
    ),
    "MLX's half has AdamW and PyTorch's SGD": (adamw(0.1), all_of(to.SGD, 1e-3)),
    "MLX's half has Lion and PyTorch's RAdam": (mo.Lion(1e-3), all_of(to.RAdam, 1e-3)),
    "for biases, MLX's half has SGD and PyTorch's AdamW": (multi(mo.SGD(1e-3), adamw(0.1)), decayed()),
    "the learning rate of step 0 is 0.001 in MLX and 0.002 in PyTorch: the schedule is off by one step": (
        mo.SGD(mo.linear_schedule(1e-3, 1e-2, 9)),
        all_of(to.SGD, 1e-2),
        lambda o: schedules.LambdaLR(o, lambda step: min(1.0, 0.1 * (step + 2))),
    ),
    "the learning rate parts at step 100: it is 0.05 in MLX and 0.01 in PyTorch": (
        mo.SGD(mo.step_decay(0.1, 0.5, 100)),
        all_of(to.SGD, 0.1),
        lambda o: schedules.StepLR(o, 100, 0.1),
    ),
    "the learning rate parts at step 1: it is 0.1 in MLX and 0.09 in PyTorch": (
        mo.SGD(0.1),
        all_of(to.SGD, 0.1),
        lambda o: schedules.ExponentialLR(o, 0.9),
    ),
    "the learning rate parts at step 40: it is 0 in MLX and 0.1 in PyTorch": (
        mo.SGD(mo.cosine_decay(0.1, 40)),
        all_of(to.SGD, 0.1),
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 40),
    ),
}


@pytest.mark.parametrize(("sentence", "made"), DIFFERENT.items(), ids=range(len(DIFFERENT)))
def test_what_differs_in_meaning_is_one_sentence(sentence, made):
    if sentence == "bias correction":
        sentence = "bias correction is off in MLX (its default) and on in PyTorch"
    assert told(*made) == sentence
    assert not check_settings(*halves(*made)).passed


def test_muon_differs_by_construction():
    found = told(mo.Muon(0.01, weight_decay=0.1), lambda m: to.Muon([m.a.weight], 0.01, weight_decay=0.1))
    assert found == (
        "Newton-Schulz runs in the weight's type in MLX and in bfloat16 in PyTorch; "
        "weight decay is added to the gradient (L2) in MLX and decoupled from the gradient in PyTorch"
    )


def test_adafactor_factors_convolutions_over_other_axes():
    mlx, model = mnn.Conv2d(3, 4, 3), tnn.Conv2d(3, 4, 3)
    ours = Half(MLX, mlx, None, mo.Adafactor(), None)
    found = differences(ours, Half(TORCH, model, None, to.Adafactor(model.parameters()), None))
    assert [(each.names, each.sentence) for each in found] == [
        (
            ("weight",),
            "for weights other than biases, squares are factored over width and channels in MLX, height and "
            "width in PyTorch",
        )
    ]


def test_a_schedule_that_cycles_the_betas_is_told():
    found = told(adamw(0.01), all_of(to.AdamW, 1e-3), lambda o: schedules.OneCycleLR(o, 1e-3, 100))
    assert "betas is (0.9, 0.999) in MLX and (0.95, 0.999) in PyTorch" in found
    assert found.endswith("PyTorch's schedule changes betas too, MLX's only the learning rate")


def test_clipping_and_parts_of_a_batch_are_compared():
    mlx, torch_half = halves(adamw(0.01), all_of(to.AdamW, 1e-3))
    found = differences(mlx, replace(torch_half, clip=1.0, accumulate=2))
    assert [each.sentence for each in found] == [
        "gradients are not clipped in MLX and clipped at 1.0 in PyTorch",
        "gradients are averaged over 1 parts of a batch in MLX and over 2 in PyTorch",
    ]
    assert check_settings(mlx, torch_half).where == "no setting differs"


def test_reading_leaves_the_optimizers_as_they_are():
    made = adamw(0.01), all_of(to.AdamW, 1e-3), lambda o: schedules.ExponentialLR(o, 0.9)
    mlx, torch_half = halves(*made)
    differences(mlx, torch_half)
    assert torch_half.optimizer.param_groups[0]["lr"] == 1e-3
    assert torch_half.schedule.last_epoch == 0
    assert torch_half.schedule.optimizer is torch_half.optimizer
    assert mlx.optimizer.step.item() == 0


# --- what is not known -----------------------------------------------------------------------------


class TorchLion(to.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 1e-3})

    def step(self):
        return None


class MineOfTorch(to.SGD):
    def step(self, closure=None):
        return None


class MineOfMlx(mo.AdamW):
    def apply_single(self, gradient, parameter, state):
        return parameter


def hooked(model):
    optimizer = to.SGD(model.parameters(), 0.5)
    optimizer.register_step_pre_hook(lambda *_: None)
    return optimizer


def replaced(model):
    optimizer = to.SGD(model.parameters(), 0.5)
    optimizer.step = lambda: None
    return optimizer


UNKNOWN = {
    "a class of someone's own": (mo.Lion(1e-3), all_of(TorchLion)),
    "an overridden step": (mo.AdamW(1e-3), all_of(MineOfTorch, 0.5)),
    "an overridden rule": (MineOfMlx(1e-3), all_of(to.SGD, 0.5)),
    "a hook": (mo.AdamW(1e-3), hooked),
    "a step that was replaced": (mo.AdamW(1e-3), replaced),
    "one of several": (multi(MineOfMlx(1e-3), adamw(0.1)), decayed(lr=1.0)),
}


@pytest.mark.parametrize("made", UNKNOWN.values(), ids=UNKNOWN)
def test_of_an_unknown_optimizer_nothing_is_claimed(made):
    assert told(*made) == ""


def test_what_only_one_half_trains_is_not_compared():
    mlx, torch_half = halves(adamw(0.01), lambda model: to.AdamW(model.a.parameters(), 1e-3))
    mlx.model.a.freeze(keys="bias")
    assert sorted(described.of_mlx(mlx)) == ["a.weight", "b.bias", "b.weight"]
    assert list(described.of_torch(mlx, torch_half)) == ["a.weight", "a.bias"]
    assert differences(mlx, torch_half) == []
