"""Training in a half type with equal arithmetic on both sides, and the gate that shows it.

The weights, gradients and optimizer stay in float32; every trainable weight and every floating-point input is
cast, the whole network runs in the half type, and its outputs are widened to float32 before the loss.
Autocast is not used: it keeps norms, softmax and sums in float32 by a list of its own, which MLX has not
(https://docs.pytorch.org/docs/2.13/amp.html). Nor are losses scaled, as float16 may need in long training.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np

from twins.training.train import Half

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


def outputs(half: Half, dtype: str, batch: Sequence[np.ndarray]):
    """What the network gives in `dtype`, not widened."""
    with RUNNING[half.framework.key](half.model, half.framework.dtype(dtype)) as run:
        return run(*half.batch(batch)[:-1])
