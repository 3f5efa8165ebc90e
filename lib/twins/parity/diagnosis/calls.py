"""What every module of a half is given and gives in one forward pass, matched between the halves by path.

MLX has no hooks: Python looks `__call__` up on the class, so the classes of the model's modules are wrapped
while the pass lasts. PyTorch's modules have their `forward` wrapped in the same way, one by one.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np

from twins.frameworks import MLX
from twins.models import name_map, user_model
from twins.parity.fairness_gate import Batch, relative
from twins.training.train import Half

import torch  # isort: skip  (after frameworks: the BLAS)

LOSS = "the loss"  # where a pass failed outside of every module


@dataclass(frozen=True)
class Call:
    """One call of a module: its own path, its path in MLX, arrays given and the first array returned.

    `begun` is how many calls of the pass had ended when it began.
    """

    path: str
    mlx_path: str
    inputs: tuple[np.ndarray, ...]
    output: np.ndarray
    dtype: str
    begun: int

    @property
    def told(self) -> str:
        """The module in words, under MLX's name."""
        return f"`{self.mlx_path}`" if self.mlx_path else "the whole model"


@dataclass(frozen=True)
class Trace:
    """The calls of one pass in the order they end, and the loss; or the module that failed, and why."""

    calls: tuple[Call, ...]
    loss: np.ndarray | None
    failed: str | None = None
    given: tuple[np.ndarray, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Pair:
    """The same call in both halves."""

    mlx: Call
    torch: Call

    @property
    def where(self) -> str:
        """The module's path, both where they differ."""
        if self.mlx.path == self.torch.path:
            return f"`{self.mlx.path}`" if self.mlx.path else "the whole model"
        return f"`{self.mlx.path}` (PyTorch: `{self.torch.path}`)"


def _arrays(half: Half, values: object) -> tuple[np.ndarray, ...]:
    kind = type(half.framework.array(np.zeros(1, np.float32)))
    listed = values if isinstance(values, tuple | list) else [values]
    return tuple(half.framework.numpy(value) for value in listed if isinstance(value, kind))


class Recorder:
    """Collects the calls of one pass; `active` holds the modules that are being called, innermost last."""

    def __init__(self, half: Half):
        self.half = half
        self.paths = {id(module): path for path, module in half.model.named_modules()}
        self.calls: list[Call] = []
        self.active: list[tuple[object, tuple[np.ndarray, ...]]] = []

    def wrapped(self, function: Callable) -> Callable:
        """A module's `__call__` or `forward` that also records; its parent class's is no other call."""

        def call(module, *inputs, **options):
            if id(module) not in self.paths or (self.active and self.active[-1][0] is module):
                return function(module, *inputs, **options)
            given, begun = _arrays(self.half, [*inputs, *options.values()]), len(self.calls)
            self.active.append((module, given))
            result = function(module, *inputs, **options)
            self.active.pop()  # kept when the call fails: the innermost is where
            self._record(self.paths[id(module)], given, result, begun)
            return result

        return call

    def _record(self, path: str, given: tuple[np.ndarray, ...], result: object, begun: int) -> None:
        listed = result if isinstance(result, tuple | list) else [result]
        made = _arrays(self.half, result)
        if made:
            mlx = (
                path
                if self.half.framework is MLX
                else name_map.renamed(path, name_map.module_names(self.half.names))
            )
            dtype = str(listed[0].dtype).rpartition(".")[2]
            self.calls.append(Call(path, mlx, given, made[0], dtype, begun))


def _callable(kind: type) -> bool:
    """Whether a class of modules defines a call; a mere container does not."""
    return any("__call__" in vars(each) for each in kind.__mro__)


@contextmanager
def _watched(half: Half) -> Iterator[Recorder]:
    recorder = Recorder(half)
    modules = [module for _, module in half.model.named_modules()]
    with ExitStack() as patches:
        if half.framework is MLX:
            for kind in {type(module) for module in modules if _callable(type(module))}:
                patches.enter_context(mock.patch.object(kind, "__call__", recorder.wrapped(kind.__call__)))
        else:
            for module in modules:
                call = recorder.wrapped(type(module).forward).__get__(module)
                patches.enter_context(mock.patch.object(module, "forward", call))
        yield recorder


def record(half: Half, batch: Batch) -> Trace:
    """The calls of one pass of the loss over a batch, in the mode the model is in."""
    with _watched(half) as recorder, torch.no_grad():
        try:
            loss = half.loss(half.model, *half.batch(batch))
            if not _arrays(half, loss):
                raise TypeError(f"it gives a {type(loss).__name__}, not an array of {half.framework.name}'s")
            return Trace(tuple(recorder.calls), half.framework.numpy(loss))
        except user_model.FAULTS as error:
            module, given = recorder.active[-1] if recorder.active else (half.model, ())
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            calls, where = tuple(recorder.calls), recorder.paths[id(module)]
            in_loss = not recorder.active
            return Trace(calls, None, LOSS if in_loss else where, given, why)


def pairs(mlx: Trace, torch_trace: Trace) -> list[Pair]:
    """The calls that both halves make, in PyTorch's order: the n-th of a path with the n-th."""
    waiting: dict[str, list[Call]] = {}
    for call in mlx.calls:
        waiting.setdefault(call.path, []).append(call)
    found = []
    for call in torch_trace.calls:
        if waiting.get(call.mlx_path):
            found.append(Pair(waiting[call.mlx_path].pop(0), call))
    return found


def arranged(value: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The arrangements of a torch array that have MLX's shape: as it is, and with channels last."""
    turned = [value, np.moveaxis(value, 1, -1)] if value.ndim > 2 else [value]
    return [each for each in turned if each.shape == shape]


def apart(mlx: np.ndarray, torch_value: np.ndarray) -> float:
    """Relative L2 between two values in the arrangement that fits best; infinite when no shape does."""
    return min((relative(mlx, each) for each in arranged(torch_value, mlx.shape)), default=float("inf"))
