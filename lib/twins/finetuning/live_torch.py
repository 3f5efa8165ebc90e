"""The most bytes that PyTorch holds at once in a training step, counted on tensors that hold no numbers.

FakeTensorMode runs every operation of the step on shapes alone, as the device would choose them, and each
tensor's bytes are counted from when it is made until it is freed. What a kernel allocates inside itself is
not seen. https://docs.pytorch.org/docs/2.13/torch.compiler_fake_tensor.html
"""

import contextlib
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary


class Live(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is entered: those held now, and the most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._hold, made)
        return made

    def _hold(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self.known:
            return
        size = storage.nbytes()
        self.known[storage] = size
        weakref.finalize(storage, self._release, size)
        self.now += size
        self.most = max(self.most, self.now)

    def _release(self, size: int) -> None:
        self.now -= size


@contextlib.contextmanager
def fake() -> Iterator[Live]:
    """Tensors made inside hold no numbers, and their bytes are counted."""
    with FakeTensorMode(), Live() as live:
        yield live


def faked(model: torch.nn.Module) -> torch.nn.Module:
    """A model on "meta" with tensors of the same sizes, made inside `fake`; shared ones stay shared."""
    made: dict[int, torch.Tensor] = {}

    def as_made(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            new = torch.empty(tensor.shape, dtype=tensor.dtype)
            trained = isinstance(tensor, torch.nn.Parameter)
            made[id(tensor)] = torch.nn.Parameter(new, tensor.requires_grad) if trained else new
        return made[id(tensor)]

    kept = [*model.parameters(), *model.buffers()]  # so that no two have one id
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    held[name] = as_made(tensor)
    del kept
    return model


def peak(make: Callable[[], Callable[[], object]], fused_attention: bool = True) -> int:
    """The most bytes held in the step that `make` gives, with all that is made for it.

    `fused_attention`: False where a device has no attention that keeps no scores for its gradient, as MPS.
    """
    attention = contextlib.nullcontext() if fused_attention else sdpa_kernel(SDPBackend.MATH)
    with fake() as live, attention:
        make()()
        return live.most


def with_state(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """An optimizer that holds its moments already, as in every step but the first."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return optimizer


def profiled(work: Callable[[], None]) -> int:
    """The most bytes that PyTorch's CPU allocator gives out during `work`, above what it held before.

    The profiler's table leaves out what happens inside an operation; its raw events hold every allocation.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    events = [each for each in found.profiler.kineto_results.events() if each.name() == "[memory]"]
    sizes = [each.nbytes() for each in sorted(events, key=lambda each: each.start_ns())]
    return int(np.cumsum(sizes).max()) if sizes else 0
