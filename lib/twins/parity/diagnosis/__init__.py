"""What is wrong with a pair that fails the gate: where it diverges first, and the cause.

It may import twins.frameworks, twins.models, twins.parity and twins.training.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from twins.frameworks import TORCH
from twins.models import weights
from twins.parity.diagnosis import divergence, forward, optimizer, structure, training
from twins.parity.diagnosis.calls import record
from twins.parity.fairness_gate import Batch, Halves
from twins.training.train import Half

LIVELY = "with random weights of usual size, at which the difference is larger than rounding"


@dataclass(frozen=True)
class Diagnosis:
    """Where two halves first differ, the sentence that describes it, and the cause if one was shown."""

    where: str
    departs: str
    cause: str

    def __str__(self) -> str:
        cause = self.cause or "none that is known here fits"
        return f"First departure: {self.departs}. Likely cause: {cause}."


def diagnose(make: Halves, batch: Batch) -> Diagnosis | None:
    """The first departure of the pairs that `make` gives, on one batch; None when no stage finds one."""
    told = next(filter(None, _stages(make, batch)), None)
    return Diagnosis(*told) if told else None


def refused(make: Halves, batch: Batch) -> Diagnosis | None:
    """Why a half cannot be trained on a batch at all; None when both can."""
    told = next(filter(None, _refusals(make("float32"), batch)), None)
    return Diagnosis(*told) if told else None


def _refusals(halves: tuple[Half, Half], batch: Batch) -> Iterator[tuple[str, str, str] | None]:
    for half in halves:
        yield structure.refusal(half, record(half, batch))
        yield structure.output(half, batch)
        yield structure.cut(half, batch)


def _stages(make: Halves, batch: Batch) -> Iterator[tuple[str, str, str] | None]:
    yield structure.names(*make("float32"))
    yield structure.numbers(*make("float32"))
    yield _forward(make, batch)
    yield from _refusals(make("float32"), batch)
    traces = tuple(record(half, batch) for half in make("float32"))
    yield training.loss(make, traces, batch)
    yield training.statistics(make, traces, batch)
    yield _forward(lambda dtype: _lively(make(dtype)), batch, LIVELY)
    yield training.gradients(make, batch)
    yield optimizer.optimizer(make, batch)


def _forward(make: Halves, batch: Batch, how: str = "") -> tuple[str, str, str] | None:
    traces = tuple(record(half, batch) for half in make("float32"))
    found = divergence.departure(make, batch, traces)
    if found is None:
        return None
    return found.pair.where, ", ".join(filter(None, (str(found), how))), forward.cause(found)


def _lively(halves: tuple[Half, Half]) -> tuple[Half, Half]:
    """The halves with random weights added: a fresh network's small ones hide how its activations differ."""
    mlx, torch_half = halves
    rng = np.random.default_rng(0)
    for parameter in torch_half.model.parameters():
        scale = 1.0 / np.sqrt(max(1, parameter[0].numel())) if parameter.ndim > 1 else 0.3
        noise = scale * rng.standard_normal(tuple(parameter.shape))
        parameter.data += TORCH.array(noise, "float32")
    weights.copy_to_mlx(torch_half.model, mlx.model, mlx.names)
    return halves
