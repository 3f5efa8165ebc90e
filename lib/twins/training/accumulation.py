"""Gradients averaged over equal parts of a batch before one update, as both frameworks' users write it.

https://docs.pytorch.org/docs/2.13/notes/amp_examples.html#gradient-accumulation (every part's loss divided by
the number of parts) and https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.utils.tree_map.html
(gradients added by tree_map and evaluated after every part, so that only one part's graph is held).
"""

from collections.abc import Callable, Sequence

import twins.frameworks  # noqa: F401  (before mlx: the BLAS)

import mlx.core as mx  # isort: skip
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from mlx.utils import tree_map  # isort: skip


def split(batch: Sequence, count: int) -> list[tuple]:
    """A batch in equal parts along the first axis of every array of as many rows as the last one, the target.

    Other arrays, such as class weights, go whole into every part. Errors: ValueError when it does not divide.
    """
    if count == 1:
        return [tuple(batch)]
    size = batch[-1].shape[0] if batch[-1].ndim else 0
    if not size or size % count:
        raise ValueError(
            f"ACCUMULATE is {count}, and a batch of {size} examples cannot be split into {count} equal parts"
        )
    rows, split_up = size // count, [array.ndim and array.shape[0] == size for array in batch]
    return [
        tuple(
            array[part * rows : (part + 1) * rows] if cut else array
            for array, cut in zip(batch, split_up, strict=True)
        )
        for part in range(count)
    ]


def mlx_loss_and_gradients(model: mnn.Module, loss: Callable, count: int, compiled: bool = False) -> Callable:
    """A function of a batch that gives loss and gradients, both averaged over `count` parts.

    While a step is traced, as by mx.compile, nothing can be evaluated in it: `compiled` leaves that out.
    """
    alone = mnn.value_and_grad(model, loss)
    if count == 1:
        return lambda *batch: alone(model, *batch)

    def averaged(*batch):
        parts = split(batch, count)
        total = tree_map(lambda x: x / count, alone(model, *parts[0]))
        for part in parts[1:]:
            total = tree_map(lambda sum_, x: sum_ + x / count, total, alone(model, *part))
            if not compiled:
                mx.eval(total, model.state)
        return total

    return averaged


def torch_backward(model: torch.nn.Module, loss: Callable, count: int) -> Callable:
    """A function of a batch that gives the loss, and adds to gradients, both averaged over `count` parts."""

    def whole(*batch):
        value = loss(model, *batch)
        value.backward()
        return value.detach()

    def averaged(*batch):
        total = 0.0
        for part in split(batch, count):
            value = loss(model, *part) / count
            value.backward()
            total = total + value.detach()
        return total

    return whole if count == 1 else averaged
