"""The gate of a half type: the halves lie no further apart than rounding to the type moves them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.frameworks import TORCH
from twins.models import weights
from twins.parity.checks import Batch, Halves
from twins.parity.differences import Check, Verdict, relative
from twins.parity.limits import limit as limit_of
from twins.training import train
from twins.training.half_precision import lowered, outputs


@dataclass(frozen=True)
class Seen:
    """What one half gives in one type: outputs and gradients of a batch, first losses, its type."""

    outputs: np.ndarray
    gradients: dict[str, np.ndarray]
    losses: list[float]
    dtype: str


def _seen(make: Halves, dtype: str, batches: Sequence[Batch]) -> list[Seen]:
    """Both halves in one type, MLX first; gradients under MLX's names."""
    halves, seen = make("float32"), []
    for half in halves:
        run, raw, numpy = lowered(half, dtype), outputs(half, dtype, batches[0]), half.framework.numpy
        gradients = {k: numpy(g) for k, g in train.gradients(run, *run.batch(batches[0]))[1].items()}
        if half.framework is TORCH:
            gradients = weights.as_mlx(gradients, half.model, halves[0].model, half.names, gradients=True)
        kind = str(raw.dtype).rpartition(".")[2]
        seen.append(Seen(numpy(raw), gradients, train.fit(run, batches), kind))
    return seen


def _distances(a: Seen, b: Seen) -> dict[str, float]:
    """How far apart: outputs in relative L2, gradients in its median over tensors, losses in nats at most."""
    names = a.gradients.keys() | b.gradients.keys()
    pairs = [(a.gradients.get(k, np.zeros(())), b.gradients.get(k, np.zeros(()))) for k in names]
    return {
        "outputs": relative(a.outputs, b.outputs),
        "gradients": float(np.median([relative(*pair) for pair in pairs])),
        "losses": float(np.abs(np.subtract(a.losses, b.losses)).max()),
    }


def gate(twin: str, make: Halves, batches: Sequence[Batch], dtype: str) -> Verdict:
    """The gate of a half type: the halves lie no further apart than rounding to the type moves them.

    Every distance is divided by the larger of what each half moves away from its own float32 result, which
    grows with the network as the distance does; so one limit holds for every size.
    """
    high, low = (_seen(make, t, batches) for t in ("float32", dtype))
    types = [seen.dtype for seen in low]
    where = f"MLX gives {types[0]}, PyTorch {types[1]}"
    checks = [Check(f"{dtype} type", float(sum(t != dtype for t in types)), 0.0, where)]
    apart = _distances(*low)
    moved = [_distances(*pair) for pair in zip(low, high, strict=True)]
    for name, distance in apart.items():
        rounding = max(each[name] for each in moved)
        times = distance / rounding if rounding else float("inf")
        where = f"{distance:.2g} apart, {rounding:.2g} by rounding"
        checks.append(Check(f"{dtype} {name}", times, limit_of(f"half type {name}"), where))
    return Verdict(twin, tuple(checks), {"MLX": low[0].losses, "PyTorch": low[1].losses})
