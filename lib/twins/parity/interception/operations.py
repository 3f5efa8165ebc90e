"""Every operation of one pass of a half, what it is given and gives; and the pass again with one changed.

PyTorch offers a mode that sees every function and method of tensors
(https://docs.pytorch.org/docs/stable/torch.overrides.html). In MLX the functions of `mlx.core`, the
activations and losses of `mlx.nn` and the methods of arrays are wrapped while it lasts, without compilation.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any
from unittest import mock

from twins.frameworks import TORCH, uncompiled
from twins.parity.interception import bounds
from twins.training.train import Half

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import mlx.nn.layers.activations as activations  # isort: skip
import torch  # isort: skip
from torch.overrides import TorchFunctionMode, resolve_name  # isort: skip

LIBRARIES = tuple(
    str(Path(each).parents[up])
    for each, up in ((torch.__file__, 0), (activations.__file__, 2), (functools.__file__, 0), (__file__, 1))
)
PLAIN = {  # names of one operation, as this package calls it
    **dict.fromkeys(("multiply", "__mul__", "__rmul__", "__imul__", "mul_"), "mul"),
    **dict.fromkeys(("__truediv__", "__itruediv__", "__div__", "divide", "true_divide", "div_"), "div"),
    **dict.fromkeys(("__rtruediv__", "__rdiv__"), "rdiv"),
    **dict.fromkeys(("__add__", "__radd__", "__iadd__", "add_"), "add"),
    **dict.fromkeys(("__sub__", "__isub__", "subtract", "sub_"), "sub"),
    **dict.fromkeys(("__rsub__", "rsub"), "rsub"),
    **dict.fromkeys(("__matmul__", "bmm", "mm"), "matmul"),
    **dict.fromkeys(("__pow__", "power", "float_power"), "pow"),
    **dict.fromkeys(("concatenate", "concat"), "cat"),
    **dict.fromkeys(("addmm",), "linear"),
    **dict.fromkeys(("__invert__", "bitwise_not"), "logical_not"),
    **dict.fromkeys(("view",), "reshape"),
    **dict.fromkeys(("stop_gradient", "detach_"), "detach"),
    **dict.fromkeys(("clip", "clamp_"), "clamp"),
    **dict.fromkeys(("masked_fill_",), "masked_fill"),
    "__and__": "logical_and",
    "__or__": "logical_or",
    "__neg__": "neg",
    "absolute": "abs",
    "__getitem__": "getitem",
    "relu_": "relu",
    "scaled_dot_product_attention": "attention",
}
UNSEEN = {"eval", "async_eval", "compile", "array_equal", "allclose", "item", "tolist", "size", "dim"}
GRAPH = "grad_mode"  # a part with or without a graph begins
METHODS_UNSEEN = {
    "__new__",
    "__init__",
    "__bool__",
    "__repr__",
    "__int__",
    "__float__",
    "__index__",
    "__array__",
}


@dataclass(frozen=True)
class Operation:
    """The n-th operation of a pass; `site` is where it is called, `inside` the modules around it."""

    place: int
    name: str
    args: tuple
    options: dict[str, Any]
    result: Any
    site: tuple
    inside: tuple[tuple[str, int], ...]
    half: Half

    @property
    def torch(self) -> bool:
        """Whether it is PyTorch's."""
        return self.half.framework is TORCH


Instead = Callable[..., Any]  # (function, args, options, operations of the pass unchanged) -> result
Changes = Mapping[int, Instead]


def arrays(value: object) -> list:
    """The arrays of either framework in a result or an argument, one level deep."""
    listed = value if isinstance(value, tuple | list) else [value]
    return [each for each in listed if isinstance(each, mx.array | torch.Tensor)]


class _Pass:
    """Counts the operations of a pass; keeps them, or gives some another result."""

    def __init__(self, half: Half, changes: Changes, seen: list[Operation] | None, inside: Callable):
        self.half, self.changes, self.seen, self.inside = half, changes, seen or [], inside
        self.kept: list[Operation] | None = None if changes else []
        self.count, self.depth, self.graphs = 0, 0, 0

    def call(self, name: str, function: Callable, args: tuple, options: dict) -> Any:
        """What an operation gives; what it calls itself is not counted."""
        if self.changes and self.half.framework is not TORCH:
            self.depth += 1  # what the check computes is not counted
            try:
                bounds.check(name, args, options)
            finally:
                self.depth -= 1
        if self.depth:
            return function(*args, **options)
        self.depth += 1
        if name == GRAPH:
            self.graphs -= 1
            place = self.graphs  # counted apart: a pass that fails leaves a part without a graph early
        else:
            place, self.count = self.count, self.count + 1
        try:
            if place in self.changes:
                return self.changes[place](function, args, options, self.seen)
            result = function(*args, **options)
        finally:
            self.depth -= 1
        if self.kept is not None:
            site = _site(sys._getframe(2)) if arrays(result) or name in ("__setitem__", GRAPH) else ()
            if site:
                self.kept.append(
                    Operation(place, name, args, dict(options), result, site, self.inside(), self.half)
                )
        return result


def _site(frame: FrameType | None) -> tuple:
    """The calls that lead to an operation, from the innermost to the reader's own."""
    found = []
    while frame is not None:
        code = frame.f_code
        found.append((code, frame.f_lasti))
        if not code.co_filename.startswith(LIBRARIES) and not code.co_filename.startswith("<"):
            break
        frame = frame.f_back
    return tuple(found)


class _TorchMode(TorchFunctionMode):
    def __init__(self, own: _Pass):
        super().__init__()
        self.own = own

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = _torch_name(function)
        if not name:
            return function(*args, **(kwargs or {}))
        return self.own.call(name, function, args, kwargs or {})


@functools.cache
def _torch_name(function: Callable) -> str:
    """How this package calls a function of torch; empty for what makes no array."""
    full = resolve_name(function) or getattr(function, "__name__", "")
    if full == "_set_grad_enabled":
        return GRAPH
    parts = full.split(".")
    if parts[-1] == "__get__":
        return "transpose" if parts[-2] in ("T", "mT") else ""
    return "" if parts[-1] in UNSEEN | {"__set__"} else PLAIN.get(parts[-1], parts[-1])


def _wrapped(holder: dict, name: str, function: Callable) -> Callable:
    def call(*args, **options):
        own = holder.get("pass")
        return own.call(name, function, args, options) if own else function(*args, **options)

    return call


def _functions(module: ModuleType) -> Iterator[tuple[str, Callable]]:
    """The functions of a module that are MLX's own, and not what it imports, such as types."""
    for name, each in vars(module).items():
        kind = type(each).__module__.split(".")[0]
        own = kind in ("nanobind", "mlx") or (
            isinstance(each, FunctionType) and each.__module__.startswith("mlx")
        )
        hidden = name.startswith(("_", "set_", "get_", "save", "load")) or name in UNSEEN
        if own and not hidden and callable(each) and not isinstance(each, type):
            yield name, each


@contextmanager
def intercepted() -> Iterator[dict]:
    """While it lasts MLX's operations can be seen; the dictionary's "pass" is who sees them."""
    holder: dict = {}
    modules = [mx, mx.fast, mx.linalg, mx.fft, mnn.losses, activations, mnn]
    with ExitStack() as patches:
        patches.enter_context(uncompiled())
        for module in modules:
            for name, function in list(_functions(module)):
                if module is mx and name in ("grad", "value_and_grad", "vmap", "vjp", "jvp", "checkpoint"):
                    continue
                wrapped = _wrapped(holder, PLAIN.get(name, name), function)
                patches.enter_context(mock.patch.object(module, name, wrapped))
        for name, method in list(vars(mx.array).items()):
            _method(patches, holder, name, method)
        yield holder


def _method(patches: ExitStack, holder: dict, name: str, method: object) -> None:
    """Wrap a method of MLX's arrays, or the property that transposes."""
    if name in ("T", "mT"):
        turned = property(_wrapped(holder, "transpose", method.fget))
    elif callable(method) and name not in UNSEEN | METHODS_UNSEEN and not isinstance(method, type):
        turned = _wrapped(holder, PLAIN.get(name, name), method)
    else:
        return
    setattr(mx.array, name, turned)
    patches.callback(setattr, mx.array, name, method)


@contextmanager
def passing(
    holder: dict,
    half: Half,
    changes: Changes | None = None,
    seen: list[Operation] | None = None,
    inside: Callable[[], tuple] = tuple,
) -> Iterator[list[Operation]]:
    """Operations of the pass made while it lasts; with changes, it is changed and none is kept."""
    own = _Pass(half, changes or {}, seen, inside)
    torch_half = half.framework is TORCH
    holder["pass"] = None if torch_half else own
    graph = torch.is_grad_enabled()
    try:
        with _TorchMode(own) if torch_half else nullcontext():
            yield own.kept if own.kept is not None else []
    finally:
        holder["pass"] = None
        torch.set_grad_enabled(graph)
