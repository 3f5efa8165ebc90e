"""What ranks exchange in a step, timed alone: a sum over all of them, and a copy from one to another.

https://ml-explore.github.io/mlx/build/html/python/distributed.html (all_sum, send, recv_like) and
https://docs.pytorch.org/docs/2.13/distributed.html (all_reduce, send, recv): the collectives with which
average_gradients and DistributedDataParallel share gradients, and messages on the same transport.
"""

import time
from collections.abc import Callable

import numpy as np

from twins.frameworks import MLX, TORCH, told
from twins.training.distributed.engines import Alone, LostError, MlxEngine, TorchEngine

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import torch.distributed as dist  # isort: skip

FLOAT = 4  # bytes


def mlx_calls(engine: MlxEngine, values: np.ndarray) -> tuple[Callable, Callable]:
    """A sum over all ranks in MLX, and a message from rank 0 to rank 1 and back."""
    array, group, rank = MLX.array(values), engine.group, engine.rank
    mx.eval(array)

    def there_and_back() -> None:
        for sender in (0, 1):
            if rank == sender:
                mx.eval(mx.distributed.send(array, 1 - sender, group=group))
            elif rank == 1 - sender:
                mx.eval(mx.distributed.recv_like(array, sender, group=group))

    return lambda: mx.eval(mx.distributed.all_sum(array, group=group)), there_and_back


def torch_calls(engine: TorchEngine, values: np.ndarray) -> tuple[Callable, Callable]:
    """The same in PyTorch; all_reduce writes its result over what was given."""
    tensor, group, rank = TORCH.array(values), engine.group, engine.rank

    def reduce() -> None:
        dist.all_reduce(tensor, group=group)
        TORCH.synchronize()

    def there_and_back() -> None:
        for sender in (0, 1):
            if rank == sender:
                dist.send(tensor, 1 - sender, group=group)
            elif rank == 1 - sender:
                dist.recv(tensor, sender, group=group)
        TORCH.synchronize()

    return reduce, there_and_back


def seconds(call: Callable[[], None], times: int) -> list[float]:
    """Seconds of each of so many calls, after one that is not counted."""
    found = []
    for _ in range(times + 1):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return found[1:]


def measured(engine: Alone, size: int, times: int) -> dict:
    """Seconds of all-reduces of `size` bytes, and of copies one way; `refused` says why there is no copy.

    Every rank calls it with the same arguments. Errors: LostError when a worker is gone.
    """
    calls = {MlxEngine: mlx_calls, TorchEngine: torch_calls}[type(engine)]  # type: ignore[index]
    reduce, there_and_back = calls(engine, np.zeros(size // FLOAT, np.float32))  # type: ignore[operator]
    try:
        reduced = seconds(reduce, times)
    except RuntimeError as error:
        raise LostError(told(error)) from None
    try:
        copied, refused = [both / 2 for both in seconds(there_and_back, times)], ""
    except (RuntimeError, ValueError) as error:  # a transport without messages between two ranks
        copied, refused = [], told(error)
    return {"size": size, "reduced": reduced, "copied": copied, "refused": refused}
