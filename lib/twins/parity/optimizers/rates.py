"""Learning rates as functions of the step: a constant, a callable of MLX, or an LRScheduler of torch.

MLX calls a schedule with the number of updates made before (mlx/optimizers/optimizers.py, apply_gradients);
torch's is stepped after every update, so that its initial rate is that of step 0
(https://docs.pytorch.org/docs/2.13/optim.html#how-to-adjust-learning-rate).
"""

import copy
import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import twins.frameworks  # noqa: F401  (before mlx: the BLAS)

import mlx.core as mx  # isort: skip
import torch  # isort: skip

SAMPLED = (*range(51), 100, 200, 500, 1000, 2000, 5000, 10000)
RATE, ROUNDING = 1e-5, 6e-8  # relative; in MLX's float32, decay ** step errs by as many roundings
ZERO = 1e-6  # of the largest rate: torch's warm-ups cannot start at zero
CYCLED = ("betas", "momentum")  # what OneCycleLR and CyclicLR change beside the rate


@dataclass(frozen=True)
class Rate:
    """The learning rate of each step, from 0; None where the schedule has no such step."""

    at: Callable[[int], float | None]
    constant: bool

    def __str__(self) -> str:
        return f"{self.at(0):.6g}"


def fixed(value: Any) -> Rate:
    """A rate that does not change."""
    number = float(value)
    return Rate(lambda step: number, True)


def of_mlx(optimizer: Any, value: Any) -> Rate:
    """The rate of an MLX optimizer; `value` is what it has now, None when it has none (Adafactor)."""
    schedule = optimizer._schedulers.get("learning_rate")
    if schedule is None:
        return fixed(value.item() if value is not None else 0.0)
    return Rate(functools.cache(lambda step: float(schedule(mx.array(step, mx.uint64)).item())), False)


def of_torch(optimizer: torch.optim.Optimizer, schedule: Any) -> list[tuple[Rate, tuple[str, ...]]]:
    """Per group of a fresh optimizer: its rate, and what else the schedule changes (OneCycleLR: the betas).

    A copy of the schedule is stepped on a copy of the groups; the optimizer stays as it is.
    """
    if schedule is None:
        return [(fixed(group["lr"]), ()) for group in optimizer.param_groups]
    groups = [_copied(group) for group in optimizer.param_groups]
    stand_in = torch.optim.SGD([torch.zeros(1)])
    stand_in.param_groups, stand_in.defaults = groups, optimizer.defaults
    stepped = copy.deepcopy(schedule, {id(optimizer): stand_in})
    start = [{key: group.get(key) for key in CYCLED} for group in groups]
    rates: list[list[float]] = [[] for _ in groups]
    changed: list[set[str]] = [set() for _ in groups]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch asks for optimizer.step() before the schedule's
        for _ in range(SAMPLED[-1] + 2):
            for group, before, found, other in zip(groups, start, rates, changed, strict=True):
                found.append(float(group["lr"]))
                other |= {key for key in CYCLED if group.get(key) != before[key]}
            try:
                stepped.step()
            except (ValueError, LookupError):  # no step after the last of OneCycleLR or of a table
                break
    return [
        (Rate(functools.partial(_listed, found), len(set(found)) == 1), tuple(sorted(other)))
        for found, other in zip(rates, changed, strict=True)
    ]


def _listed(rates: list[float], step: int) -> float | None:
    return rates[step] if 0 <= step < len(rates) else None


def _copied(group: dict) -> dict:
    """A group whose numbers can be changed without changing the optimizer's; its parameters are shared."""
    return {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in group.items()}


def parting(ours: Rate, theirs: Rate) -> str:
    """How two rates differ, in one sentence; empty when they agree."""
    parted = _parted(ours, theirs)
    if not parted:
        return ""
    first = parted[0]
    values = f"{ours.at(first):.6g} in MLX and {theirs.at(first):.6g} in PyTorch"
    if ours.constant and theirs.constant:
        return f"learning_rate is {values}"
    if not (_parted(ours, _shifted(theirs, 1)) and _parted(ours, _shifted(theirs, -1))):
        return f"the learning rate of step {first} is {values}: the schedule is off by one step"
    return f"the learning rate parts at step {first}: it is {values}"


def _shifted(rate: Rate, steps: int) -> Rate:
    return Rate(lambda step: rate.at(step + steps) if step + steps >= 0 else None, rate.constant)


def _parted(ours: Rate, theirs: Rate) -> list[int]:
    """The steps at which two rates differ, up to the end of either.

    A decay at its lowest value stays there, or rises again as torch's CosineAnnealingLR does when
    it is stepped further than it was made for: nobody trains there, and nothing is compared.
    """
    scale = max(abs(rate.at(step) or 0.0) for rate in (ours, theirs) for step in SAMPLED)
    last = SAMPLED[-1]
    for one, other in ((ours, theirs), (theirs, ours)):
        end = _end(one, scale)
        if end and _same(end, one.at(end), other.at(end), scale):
            after = [other.at(step) for step in SAMPLED if step > end]
            if all(rate is None or rate >= one.at(end) - ZERO * scale for rate in after):
                last = min(last, end)
    return [t for t in SAMPLED if t <= last and not _same(t, ours.at(t), theirs.at(t), scale)]


def _end(rate: Rate, scale: float) -> int:
    """The first step from which a rate stays at its lowest value; 0 when it does not come down to one."""
    values = {step: value for step in SAMPLED if (value := rate.at(step)) is not None}
    final = values[max(values)]
    moving = [step for step, value in values.items() if abs(value - final) > ZERO * scale]
    if not moving or final > min(values.values()) + ZERO * scale or moving[-1] == max(values):
        return 0
    low, high = moving[-1], min(step for step in values if step > moving[-1])
    while high - low > 1:
        middle = (low + high) // 2
        value = rate.at(middle)
        low, high = (middle, high) if value is None or abs(value - final) > ZERO * scale else (low, middle)
    return high


def _same(step: int, ours: float | None, theirs: float | None, scale: float) -> bool:
    """Whether two rates are equal but for rounding; a schedule that has ended agrees with any."""
    if ours is None or theirs is None:
        return True
    allowed = (RATE + ROUNDING * step) * max(abs(ours), abs(theirs)) + ZERO * scale
    return abs(ours - theirs) <= allowed
