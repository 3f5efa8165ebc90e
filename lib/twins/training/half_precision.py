"""Training in a half type with equal arithmetic on both sides, and the gate that shows it.

The weights, gradients and optimizer stay in float32; every trainable weight and every floating-point input is
cast, the whole network runs in the half type, and its outputs are widened to float32 before the loss.
Autocast is not used: it keeps norms, softmax and sums in float32 by a list of its own, which MLX has not
(https://docs.pytorch.org/docs/2.13/amp.html). Nor are losses scaled, as float16 may need in long training.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from twins import parity, train, weights
from twins.frameworks import TORCH
from twins.parity import Batch, Check, Halves, Verdict
from twins.thresholds import limit as limit_of
from twins.train import Half

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip
from mlx.utils import tree_map  # isort: skip

HALF_TYPES = ("float16", "bfloat16")


def lowered(half: Half, dtype: str) -> Half:
    """The half with its network computing in `dtype`; its loss may do nothing with the model but call it."""
    if dtype == "float32":
        return half
    return replace(half, loss=partial(_loss, RUNNING[half.framework.key], half, dtype))


def _loss(running: Callable, half: Half, dtype: str, model, *batch):
    """The half's loss of outputs computed in `dtype` and widened to float32."""
    with running(model, half.framework.dtype(dtype)) as run:
        widened = {"mlx": lambda *x: run(*x).astype(mx.float32), "torch": lambda *x: run(*x).float()}
        return half.loss(widened[half.framework.key], *batch)


@contextmanager
def mlx_running(model, dtype: mx.Dtype) -> Iterator[Callable]:
    """The model with its trainable weights cast for a while."""
    master = model.trainable_parameters()
    model.update(tree_map(lambda weight: weight.astype(dtype), master))

    def run(*inputs):
        return model(*[x.astype(dtype) if mx.issubdtype(x.dtype, mx.floating) else x for x in inputs])

    try:
        yield run
    finally:
        model.update(master)


@contextmanager
def torch_running(model, dtype: torch.dtype) -> Iterator[Callable]:
    """The model with its trainable weights cast for a while."""
    cast = {name: weight.to(dtype) for name, weight in model.named_parameters() if weight.requires_grad}

    def run(*inputs):
        lower = tuple(x.to(dtype) if x.is_floating_point() else x for x in inputs)
        return torch.func.functional_call(model, cast, lower)

    yield run


RUNNING = {"mlx": mlx_running, "torch": torch_running}


def outputs(half: Half, dtype: str, batch: Batch):
    """What the network gives in `dtype`, not widened."""
    with RUNNING[half.framework.key](half.model, half.framework.dtype(dtype)) as run:
        return run(*half.batch(batch)[:-1])


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
            gradients = weights.as_mlx(gradients, halves[0].model, half.names)
        kind = str(raw.dtype).rpartition(".")[2]
        seen.append(Seen(numpy(raw), gradients, train.fit(run, batches), kind))
    return seen


def _distances(a: Seen, b: Seen) -> dict[str, float]:
    """How far apart: outputs in relative L2, gradients in its median over tensors, losses in nats at most."""
    names = a.gradients.keys() | b.gradients.keys()
    pairs = [(a.gradients.get(k, np.zeros(())), b.gradients.get(k, np.zeros(()))) for k in names]
    return {
        "outputs": parity.relative(a.outputs, b.outputs),
        "gradients": float(np.median([parity.relative(*pair) for pair in pairs])),
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
