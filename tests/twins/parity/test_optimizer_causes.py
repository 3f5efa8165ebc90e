"""Of optimizers that differ the setting is named that, made equal, lets the halves move alike."""

import pytest

from twins.parity import diagnosis
from twins.parity.diagnosis import optimizer
from twins.timing.study import Study

PAIR = """
import mlx.core as mx
import mlx.nn as mnn
import mlx.optimizers as mo
import torch
from torch import nn as tnn
from torch.nn import functional as F

class M(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n, self.b = mnn.Linear(4, 16), mnn.LayerNorm(16), mnn.Linear(16, 1)
    def __call__(self, x): return self.b(mnn.relu(self.n(self.a(x))))
class T(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n, self.b = tnn.Linear(4, 16), tnn.LayerNorm(16), tnn.Linear(16, 1)
    def forward(self, x): return self.b(F.relu(self.n(self.a(x))))
def mlx_model(): return M()
def torch_model(): return T()
def batch(rng, size):
    return rng.standard_normal((size, 4)).astype("float32"), rng.standard_normal(size).astype("float32")
def mlx_loss(m, x, y): return mnn.losses.mse_loss(m(x).squeeze(-1), y, reduction="mean")
def torch_loss(m, x, y): return F.mse_loss(m(x).squeeze(-1), y)
class Mine(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]: p.data -= 0.5 * group["lr"] * p.grad.sign()
"""
LION = """
class Lion(torch.optim.Optimizer):
    def __init__(self, parameters, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * torch.sign(first * m + (1 - first) * p.grad))
                m.mul_(second).add_((1 - second) * p.grad)
torch.optim.Lion = Lion
"""
OPTIMIZERS = """
def mlx_optimizer(r): return {}
def torch_optimizer(r, model): return torch.optim.{}
"""
ADAMW = "mo.AdamW(1e-3, weight_decay={}, bias_correction=True)"
BIASES = f"mo.MultiOptimizer([{ADAMW.format(0.0)}, {ADAMW.format(0.1)}], [lambda k, w: 'bias' in k])"
SILENT = "settings of the halves differ, too little for a float32 number of one step to depart"

CASES = {
    "AMSGrad in PyTorch only": (
        ADAMW.format(0.0),
        "AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, amsgrad=True)",
        SILENT,
        "amsgrad is on in PyTorch and not available in MLX",
    ),
    "rho": (
        "mo.AdaDelta(1.0, rho=0.9)",
        "Adadelta(model.parameters(), lr=1.0, rho=0.95)",
        "",
        "rho is 0.9 in MLX and 0.95 in PyTorch",
    ),
    "no decay of biases": (
        BIASES,
        "AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)",
        SILENT,
        "biases decay by 0.1 in PyTorch and not in MLX",
    ),
    "Adamax": (
        "mo.Adamax(1e-3)",
        "Adamax(model.parameters(), lr=1e-3)",
        "the median change of a weight departs by",
        "MLX's Adamax has no bias correction, PyTorch's has",
    ),
    "the kind of momentum": (
        "mo.SGD(0.01, momentum=0.9)",
        "SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True)",
        "the median change of a weight departs by",
        "nesterov is off in MLX and on in PyTorch",
    ),
    "momentum with its kind": (
        "mo.SGD(0.01, momentum=0.9, nesterov=True)",
        "SGD(model.parameters(), 0.01)",
        "the median change of a weight departs by",
        "momentum is 0.9 in MLX and 0 in PyTorch",
    ),
    "rules": (
        "mo.Lion(1e-3)",
        "RAdam(model.parameters(), lr=1e-3)",
        "the median change of a weight departs by",
        "MLX's half has Lion and PyTorch's RAdam",
    ),
    "the decay and its kind": (
        ADAMW.format(0.1),
        "Adam(model.parameters(), lr=1e-3, weight_decay=0.1)",
        "the median change of a weight departs by",
        "MLX's half has AdamW and PyTorch's Adam: weight decay is decoupled from the gradient in MLX and "
        "added to the gradient (L2) in PyTorch",
    ),
    "two settings, and a third that does nothing": (
        "mo.AdamW(1e-3, weight_decay=0.1)",
        "AdamW(model.parameters(), lr=1e-3, weight_decay=0.5, eps=9.9e-9)",
        "the median change of a weight departs by",
        "bias correction is off in MLX (its default) and on in PyTorch; weight_decay is 0.1 in MLX and 0.5 "
        "in PyTorch",
    ),
    "a schedule": (
        "mo.SGD(mo.linear_schedule(0.01, 0.1, 9))",
        "SGD(model.parameters(), 0.1)\ndef torch_schedule(r, o):\n"
        "    return torch.optim.lr_scheduler.LambdaLR(o, lambda t: min(1.0, 0.1 * (t + 2)))",
        "the median change of a weight departs by",
        "the learning rate of step 0 is 0.01 in MLX and 0.02 in PyTorch: the schedule is off by one step",
    ),
    "a schedule that parts later": (
        "mo.SGD(mo.step_decay(0.1, 0.5, 100))",
        "SGD(model.parameters(), 0.1)\ndef torch_schedule(r, o):\n"
        "    return torch.optim.lr_scheduler.StepLR(o, 100, 0.1)",
        SILENT,
        "the learning rate parts at step 100: it is 0.05 in MLX and 0.01 in PyTorch",
    ),
}


@pytest.fixture
def written(tmp_path):
    """A function that writes the pair with two optimizers and gives its study."""

    def write(ours: str, theirs: str, *changes: tuple[str, str]) -> Study:
        text = PAIR
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "mine.py").write_text(text + OPTIMIZERS.format(ours, theirs))
        return Study(str(tmp_path / "mine.py"), {})

    return write


@pytest.mark.parametrize(("ours", "theirs", "departs", "cause"), CASES.values(), ids=CASES)
def test_the_setting_that_makes_the_halves_move_alike_is_named(written, ours, theirs, departs, cause):
    own = written(ours, theirs)
    found = diagnosis.diagnose(own.halves, own.example(8))
    assert found.where == ("the settings" if departs == SILENT else "the optimizer")
    assert found.departs.startswith(departs)
    assert found.cause == cause


def test_a_correct_pair_is_left_alone(written):
    own = written(ADAMW.format(0.1), "AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)")
    assert diagnosis.diagnose(own.halves, own.example(8)) is None


def test_of_an_unknown_optimizer_only_the_place_is_told(written):
    own = written("mo.SGD(1e-3)", "SGD(model.parameters(), 0.1) and Mine(model.parameters(), 0.1)")
    found = diagnosis.diagnose(own.halves, own.example(8))
    assert found.where == "the optimizer"
    assert not found.cause


@pytest.mark.parametrize(
    ("theirs", "cause"),
    [
        ("Lion(model.parameters(), 1e-3, weight_decay=0.1)", None),
        (
            "Lion(model.parameters(), 2e-3, weight_decay=0.1)",
            "learning_rate is 0.001 in MLX and 0.002 in PyTorch",
        ),
        ("Lion(model.parameters(), 1e-3)", "weight_decay is 0.1 in MLX and 0 in PyTorch"),
    ],
)
def test_an_optimizer_of_ones_own_that_is_shown_to_follow_mlxs_rule(written, theirs, cause):
    own = written("mo.Lion(1e-3, weight_decay=0.1)", theirs, ("class Mine", f"{LION}\nclass Mine"))
    found = diagnosis.diagnose(own.halves, own.example(8))
    assert (found and found.cause) == cause


def test_no_setting_is_named_where_making_it_equal_does_not_help(written):
    """The step is one of someone's own in MLX: epsilons that differ are not why it departs."""
    mine = "type('Slow', (mo.AdamW,), {'apply_single': lambda self, g, p, s: p - 0.1 * g})(1e-3, eps=1e-6)"
    own = written(mine, "AdamW(model.parameters(), lr=1e-3)")
    found = diagnosis.diagnose(own.halves, own.example(8))
    assert found.where == "the optimizer"
    assert not found.cause


def test_a_layer_that_differs_in_no_number_is_told(written):
    change = ("mnn.LayerNorm(16)", "mnn.LayerNorm(16, eps=1.0001e-5)")
    own = written("mo.SGD(1e-3)", "SGD(model.parameters(), 1e-3)", change)
    found = diagnosis.diagnose(own.halves, own.example(8))
    assert (found.where, found.departs) == ("the settings", SILENT)
    assert found.cause == "`n`: eps is 1.0001e-05 in MLX and 1e-05 in PyTorch"


def test_a_warm_up_from_zero_moves_nothing_first_and_is_left_alone(written):
    own = written(
        "mo.SGD(mo.linear_schedule(0.0, 0.1, 10))",
        "SGD(model.parameters(), 0.1)\ndef torch_schedule(r, o):\n"
        "    return torch.optim.lr_scheduler.LambdaLR(o, lambda t: min(1.0, 0.1 * t))",
    )
    assert diagnosis.diagnose(own.halves, own.example(8)) is None


def test_weights_frozen_in_both_halves_are_meant(written):
    own = written("mo.SGD(1e-3)", "SGD(model.parameters(), 1e-3)")

    def make(dtype: str = "float32"):
        mlx, torch_half = own.halves(dtype)
        mlx.model.a.freeze()
        torch_half.model.a.requires_grad_(False)
        return mlx, torch_half

    assert optimizer.optimizer(make, own.example(8)) is None
