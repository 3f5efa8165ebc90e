"""The frameworks' own collectives behind one small interface: who takes part, what they tell, a shared mean.

https://ml-explore.github.io/mlx/build/html/usage/distributed.html (average_gradients, all_sum, all_gather)
and https://docs.pytorch.org/docs/2.13/distributed.html with DistributedDataParallel. Both launchers tell a
process its rank in the environment.
"""

import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from twins.frameworks import MLX, TORCH, told
from twins.training import train
from twins.training.distributed.settings import Run
from twins.training.train import Half

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
import torch.distributed as dist  # isort: skip
from torch.nn.parallel import DistributedDataParallel  # isort: skip

START = timedelta(minutes=5)  # for all ranks to load their data; training itself waits `patience` seconds
BATCH_NORMS = (mnn.BatchNorm, torch.nn.modules.batchnorm._BatchNorm)


class LostError(RuntimeError):
    """Another worker no longer answers; its message is that of the framework."""


@contextmanager
def answered():
    """What a collective raises when a worker is gone, as LostError."""
    try:
        yield
    except torch.OutOfMemoryError:  # a RuntimeError, too
        raise
    except RuntimeError as error:  # both frameworks raise it, torch.distributed in classes of its own
        raise LostError(told(error)) from None


class Alone:
    """One process: nothing is exchanged."""

    rank, size = 0, 1
    backend = "none"  # of the collectives, as the framework calls it

    def gather(self, text: str) -> list[str]:
        """The text of every rank, in their order."""
        return [text]

    def from_rank(self, source: int, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of the rank `source`; every rank gives arrays of the same names, shapes and types."""
        return arrays

    def step(self, half: Half, stop: Callable[[], bool]) -> Callable[..., tuple[float, bool]]:
        """A function of a rank's part of a batch: the global mean loss, and whether any rank was to stop.

        Errors: LostError when a worker is gone; the half then is as it was before the step.
        """
        take = train.step(half)
        return lambda *batch: (number(half, take(*batch)), stop())

    def close(self) -> None:
        """Leave the others."""


def number(half: Half, loss: Any) -> float:
    """A loss as Python's float."""
    return float(half.framework.numpy(loss))


class MlxEngine(Alone):
    """mx.distributed in whichever of its back ends the launcher prepared: ring, mpi, nccl or jaccl."""

    def __init__(self, run: Run):
        self.group = mx.distributed.init(strict=True, backend=run.backend or "any")
        self.rank, self.size = self.group.rank(), self.group.size()
        self.backend = run.backend or ("nccl" if mx.cuda.is_available() else "ring")  # as mlx.launch chooses

    def gather(self, text: str) -> list[str]:
        content = text.encode()
        with answered():
            lengths = mx.distributed.all_gather(mx.array([len(content)]), group=self.group).tolist()
            padded = mx.array(list(content.ljust(max(lengths), b" ")), dtype=mx.uint8)
            rows = np.array(mx.distributed.all_gather(padded, group=self.group)).reshape(self.size, -1)
        return [bytes(row).decode() for row in rows]

    def from_rank(self, source: int, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        ours = {name: mx.array(value) for name, value in arrays.items()}
        if self.rank != source:
            ours = {name: mx.zeros_like(value) for name, value in ours.items()}
        with answered():  # MLX has no broadcast; a sum with zeros is one
            sent = {name: mx.distributed.all_sum(v, group=self.group) for name, v in sorted(ours.items())}
            mx.eval(sent)
        return {name: MLX.numpy(value) for name, value in sent.items()}

    def step(self, half: Half, stop: Callable[[], bool]) -> Callable[..., tuple[float, bool]]:
        stopping = [False]

        def average(loss, gradients):
            with answered():
                both = mx.distributed.all_sum(mx.stack([loss, mx.array(float(stop()))]), group=self.group)
                averaged = mnn.average_gradients(gradients, group=self.group)
                mx.eval(both, averaged)  # before any weight changes
            stopping[0] = both[1].item() > 0
            return both[0] / self.size, averaged

        take = train.step(replace(half, average=average))
        return lambda *batch: (number(half, take(*batch)), stopping[0])


class TorchEngine(Alone):
    """torch.distributed with DistributedDataParallel, on gloo for a CPU and nccl for CUDA."""

    def __init__(self, run: Run):
        if TORCH.device == "mps":
            raise ValueError(
                "torch.distributed has no collectives for an Apple GPU; TWINS_DEVICE=cpu trains on the CPU"
            )
        backend = run.backend or ("nccl" if TORCH.device == "cuda" else "gloo")
        if TORCH.device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group(backend, timeout=START)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.backend = backend
        self.group = dist.new_group(timeout=timedelta(seconds=run.patience))

    def gather(self, text: str) -> list[str]:
        content = text.encode()
        lengths = [TORCH.array(np.zeros(1, np.int64)) for _ in range(self.size)]
        with answered():
            dist.all_gather(lengths, TORCH.array(np.array([len(content)])))
            longest = max(int(length) for length in lengths)
            padded = torch.tensor(list(content.ljust(longest)), dtype=torch.uint8, device=TORCH.device)
            rows = [torch.empty_like(padded) for _ in range(self.size)]
            dist.all_gather(rows, padded)
        return [bytes(row.tolist()).decode() for row in rows]

    def from_rank(self, source: int, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = {}
        with answered():
            for name, value in sorted(arrays.items()):
                tensor = torch.tensor(value, device=TORCH.device)
                dist.broadcast(tensor, source)
                found[name] = TORCH.numpy(tensor)
        return found

    def step(self, half: Half, stop: Callable[[], bool]) -> Callable[..., tuple[float, bool]]:
        stopping = [False]

        def average(loss):
            both = torch.stack([loss.float(), torch.tensor(float(stop()), device=loss.device)])
            dist.all_reduce(both, group=self.group)
            stopping[0] = both[1].item() > 0
            return (both[0] / self.size,)

        with answered():
            together = DistributedDataParallel(half.model, process_group=self.group)
        take = train.step(replace(half, model=together, average=average))

        def step(*batch):
            with answered():  # gradients are averaged during backward
                return number(half, take(*batch)), stopping[0]

        return step

    def close(self) -> None:
        dist.destroy_process_group()


def start(run: Run) -> Alone:
    """The engine of a run's framework, joined.

    Errors: LostError when the others cannot be reached; ValueError when the launcher started another number
    of processes, or the device has no collectives.
    """
    if run.processes == 1:
        return Alone()
    with answered():
        engine = {"mlx": MlxEngine, "torch": TorchEngine}[run.framework](run)
    if engine.size != run.processes:
        raise ValueError(f"{engine.size} processes were started, and the run is for {run.processes}")
    return engine


def check_shareable(half: Half, engine: Alone) -> None:
    """Refuse a network whose parts of a batch do not compute what the whole does.

    Errors: ValueError, one sentence, for BatchNorm.
    """
    modules = half.model.modules() if engine.size > 1 else []
    if any(isinstance(module, BATCH_NORMS) for module in modules):
        raise ValueError(
            "this network has BatchNorm, which normalises over the batch: parts of it on several processes "
            "do not give the arithmetic of one; NPROC=1 trains it"
        )
