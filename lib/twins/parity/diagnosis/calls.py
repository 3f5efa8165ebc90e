"""What every module of a half is given and gives in one forward pass, matched between the halves by path.

MLX has no hooks: Python looks `__call__` up on the class, so the classes of the model's modules are wrapped
while the pass lasts. PyTorch's modules have their `forward` wrapped in the same way, one by one.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from unittest import mock

import numpy as np

from twins.frameworks import MLX, told
from twins.models import name_map, user_model
from twins.parity.checks import Batch
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
    kind: str = ""

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


@dataclass(frozen=True)
class _Active:
    """A module that is being called: which, what it was given, and the how manieth call of its path it is."""

    module: object
    given: tuple[np.ndarray, ...]
    path: str
    index: int


class Recorder:
    """Collects the calls of one pass; `active` holds the modules that are being called, innermost last.

    `named` says of arrays of the half, by their id, which module gave or was given them; `held` keeps them.
    """

    def __init__(self, half: Half, keep: bool = True):
        self.half, self.keep = half, keep
        self.paths = {id(module): path for path, module in half.model.named_modules()}
        self.calls: list[Call] = []
        self.active: list[_Active] = []
        self.begun: Counter[str] = Counter()
        self.named: dict[int, str] = {}
        self.held: list[object] = []

    def inside(self) -> tuple[tuple[str, int], ...]:
        """The modules that are being called, outermost first: path and how manieth call of it."""
        return tuple((each.path, each.index) for each in self.active)

    def wrapped(self, function: Callable) -> Callable:
        """A module's `__call__` or `forward` that also records; its parent class's is no other call."""

        def call(module, *inputs, **options):
            known = id(module) in self.paths
            if not known or (self.active and self.active[-1].module is module):
                return function(module, *inputs, **options)
            path, begun = self.paths[id(module)], len(self.calls)
            arrays = [*inputs, *options.values()]
            self._name(f"the input of {self._told(path)}", arrays)
            given = _arrays(self.half, arrays) if self.keep else ()
            self.active.append(_Active(module, given, path, self.begun[path]))
            self.begun[path] += 1
            result = function(module, *inputs, **options)
            self.active.pop()  # kept when the call fails: the innermost is where
            self._name(f"the output of {self._told(path)}", result, newest=True)
            if self.keep:
                self._record(path, given, result, begun, type(module).__name__)
            return result

        return call

    def _told(self, path: str) -> str:
        mlx = self._mlx(path)
        return f"`{mlx}`" if mlx else "the whole model"

    def _mlx(self, path: str) -> str:
        if self.half.framework is MLX:
            return path
        return name_map.renamed(path, name_map.module_names(self.half.names))

    def _name(self, name: str, values: object, newest: bool = False) -> None:
        for each in values if isinstance(values, tuple | list) else [values]:
            if hasattr(each, "shape") and (id(each) not in self.named or newest):
                self.held.append(each)
                if id(each) not in self.named or not name.endswith("the whole model"):
                    self.named[id(each)] = name

    def _record(
        self, path: str, given: tuple[np.ndarray, ...], result: object, begun: int, kind: str
    ) -> None:
        listed = result if isinstance(result, tuple | list) else [result]
        made = _arrays(self.half, result)
        if made:
            dtype = str(listed[0].dtype).rpartition(".")[2]
            self.calls.append(Call(path, self._mlx(path), given, made[0], dtype, begun, kind))


def _callable(kind: type) -> bool:
    """Whether a class of modules defines a call; a mere container does not."""
    return any("__call__" in vars(each) for each in kind.__mro__)


def _calls_of(half: Half, modules: list, wrapped: Callable[[Callable], Callable]) -> ExitStack:
    """Wraps the call of every one of these modules until it is closed."""
    with ExitStack() as patches:
        if half.framework is MLX:
            for kind in {type(module) for module in modules if _callable(type(module))}:
                patches.enter_context(mock.patch.object(kind, "__call__", wrapped(kind.__call__)))
        else:
            for module in modules:
                call = wrapped(type(module).forward).__get__(module)
                patches.enter_context(mock.patch.object(module, "forward", call))
        return patches.pop_all()


@contextmanager
def watched(half: Half, keep: bool = True) -> Iterator[Recorder]:
    """Every call of a module of the half while it lasts; with `keep` false only which are active."""
    recorder = Recorder(half, keep)
    modules = [module for _, module in half.model.named_modules()]
    with _calls_of(half, modules, recorder.wrapped):
        yield recorder


def record(half: Half, batch: Batch) -> Trace:
    """The calls of one pass of the loss over a batch, in the mode the model is in."""
    with watched(half) as recorder, torch.no_grad():
        try:
            loss = half.loss(half.model, *half.batch(batch))
            if not _arrays(half, loss):
                raise TypeError(f"it gives a {type(loss).__name__}, not an array of {half.framework.name}'s")
            return Trace(tuple(recorder.calls), half.framework.numpy(loss))
        except user_model.FAULTS as error:
            where = recorder.active[-1] if recorder.active else _Active(half.model, (), LOSS, 0)
            why = told(error)
            return Trace(tuple(recorder.calls), None, where.path, where.given, why)


class _Reached(BaseException):
    """Ends a pass once the value that is asked for is made."""


def value(half: Half, batch: Batch, path: str, index: int, given: int | None) -> np.ndarray:
    """One value of one pass: an input or (None) the output of the n-th call of a path; the pass ends there.

    Errors: LookupError when the pass makes no such call, and whatever the half's own code raises.
    """
    module = dict(half.model.named_modules())[path]
    found: list[np.ndarray] = []
    begun = itertools.count()

    def wrapped(function: Callable) -> Callable:
        inner: list[object] = []

        def call(own, *inputs, **options):
            if own is not module or inner or next(begun) != index:
                return function(own, *inputs, **options)
            if given is not None:
                found.append(_arrays(half, [*inputs, *options.values()])[given])
                raise _Reached
            inner.append(own)  # its parent class's call is no other
            result = function(own, *inputs, **options)
            found.extend(_arrays(half, result)[:1])
            raise _Reached

        return call

    with _calls_of(half, [module], wrapped), torch.no_grad(), suppress(_Reached):
        half.loss(half.model, *half.batch(batch))
    if not found:
        raise LookupError(f"no array at call {index} of {path or 'the whole model'}")
    return found[0]


@contextmanager
def skipping(half: Half, path: str, index: int) -> Iterator[None]:
    """The n-th call of a module gives what it is given while it lasts."""
    module = dict(half.model.named_modules())[path]
    begun = itertools.count()

    def wrapped(function: Callable) -> Callable:
        def call(own, *inputs, **options):
            if own is module and next(begun) == index:
                return inputs[0]
            return function(own, *inputs, **options)

        return call

    with _calls_of(half, [module], wrapped):
        yield


def pairs(mlx: Trace, torch_trace: Trace) -> list[Pair]:
    """The calls that both halves make, in PyTorch's order: the n-th of a path with the n-th."""
    goals: dict[str, set[str]] = {}  # several of torch's modules that are one of MLX's have no counterpart
    for call in torch_trace.calls:
        goals.setdefault(call.mlx_path, set()).add(call.path)
    waiting: dict[str, list[Call]] = {}
    for call in mlx.calls:
        waiting.setdefault(call.path, []).append(call)
    found = []
    for call in torch_trace.calls:
        if waiting.get(call.mlx_path) and len(goals[call.mlx_path]) == 1:
            found.append(Pair(waiting[call.mlx_path].pop(0), call))
    return found
