"""Gives a source back as it was: its tensors, attributes, containers and the states of random numbers.

A comparison calls the source, and a call may change it: statistics of a batch normalization, caches,
counters. So everything that the source reaches by closures, attributes and containers is kept before and
put back after, also when the call raises.
"""

from __future__ import annotations

import functools
import inspect
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

CONTAINERS = (dict, list, set, deque)
# What holds no state of the source: the walk does not enter it.
CLOSED = (
    type,
    types.ModuleType,
    types.BuiltinFunctionType,
    str,
    bytes,
    int,
    float,
    complex,
    bool,
    type(None),
)


def reachable(source: Any) -> list[Any]:
    """Every object that a source holds, each once: by closures, globals that it names, attributes, items."""
    found: dict[int, Any] = {}
    waiting = [source]
    while waiting:
        each = waiting.pop()
        if id(each) in found or isinstance(each, CLOSED) or _is_transformed(each):
            continue
        found[id(each)] = each
        waiting += reversed(_held(each))
    return list(found.values())


def _held(each: Any) -> list[Any]:
    if isinstance(each, functools.partial):
        return [each.func, *each.args, *each.keywords.values()]
    if isinstance(each, types.MethodType):
        return [each.__func__, each.__self__]
    if isinstance(each, types.FunctionType):
        return _named(each)
    held = []
    if isinstance(each, dict):
        held += list(each.values())
    elif isinstance(each, (list, tuple, set, frozenset, deque)):
        held += list(each)
    if hasattr(each, "__dict__") and not _is_array(each):
        held += list(vars(each).values())
    return held


def _named(function: types.FunctionType) -> list[Any]:
    """What a function refers to. Of its globals only what has state: another function or plain objects."""
    try:
        named = inspect.getclosurevars(function)
    except ValueError:  # a cell that is still empty
        return []
    library = sys.modules.get(function.__module__ or "")
    foreign = library is not None and "site-packages" in str(getattr(library, "__file__", ""))
    return [*named.nonlocals.values(), *(() if foreign else named.globals.values())]


def _is_array(each: Any) -> bool:
    return isinstance(each, (np.ndarray, np.generic)) or _is_mlx(each) or _is_torch(each)


def _is_torch(each: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(each, torch.Tensor)


def _is_mlx(each: Any) -> bool:
    return type(each).__module__ == "mlx.core" and type(each).__name__ == "array"


def _is_transformed(each: Any) -> bool:
    """Whether a value is a function that MLX maps or compiles: it answers for the class of what it wraps."""
    return type(each).__module__ == "mlx.core" and not _is_mlx(each)


@contextmanager
def unchanged(source: Callable[..., Any]) -> Iterator[None]:
    """A block after which `source`, what it holds, and all generators of random numbers are as before."""
    with ExitStack() as stack:
        _keep_random_numbers(stack)
        held = reachable(source)
        for each in held:
            _keep(each, stack)
        if arrays := [each for each in held if _is_mlx(each)]:
            stack.enter_context(_mlx_arrays_kept(arrays))
        yield


def _keep(each: Any, stack: ExitStack) -> None:
    """Put back later the items and attributes of an object, and the numbers of an array."""
    if isinstance(each, np.ndarray):
        if each.flags.writeable and each.dtype != object:
            stack.callback(np.copyto, each, each.copy())
    elif _is_torch(each):
        stack.callback(_put_back, each, _kept_tensor(each))
    else:
        if issubclass(type(each), CONTAINERS):  # MLX's wrappers claim to be of the class that they wrap
            stack.callback(_refill, each, _items(each))
        if hasattr(each, "__dict__") and not _is_mlx(each):
            stack.callback(_refill, vars(each), dict(vars(each)))


def _items(container: Any) -> Any:
    return dict(container.items()) if isinstance(container, dict) else list(container)


def _refill(container: Any, kept: Any) -> None:
    """Give a container its items again, unless they are still the same objects."""
    if isinstance(container, dict):
        if list(container) == list(kept) and all(container[key] is value for key, value in kept.items()):
            return
        for key in [key for key in dict.keys(container) if key not in kept]:
            dict.__delitem__(container, key)
        for key, value in kept.items():
            dict.__setitem__(container, key, value)
    elif len(container) != len(kept) or any(a is not b for a, b in zip(container, kept, strict=True)):
        container.clear()
        (container.update if isinstance(container, set) else container.extend)(kept)


def _kept_tensor(tensor: Any) -> Any:
    """A copy of a torch tensor that shares its memory until one of the two is written, where torch can."""
    import torch

    with torch.no_grad():
        try:
            return torch._lazy_clone(tensor.detach())
        except RuntimeError:  # memory that torch did not allocate
            return tensor.detach().clone()


def _put_back(tensor: Any, kept: Any) -> None:
    """Write the kept numbers back if others are there; a batch normalization does not count its writes."""
    import torch

    with torch.no_grad():
        if not torch.equal(tensor.detach(), kept):
            tensor.detach().copy_(kept)


def _keep_random_numbers(stack: ExitStack) -> None:
    stack.callback(random.setstate, random.getstate())
    stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002
    if torch := sys.modules.get("torch"):
        stack.enter_context(torch.random.fork_rng(device_type=_torch_device(torch)))
    if (mx := sys.modules.get("mlx.core")) is not None:
        high, low = mx.random.state[0].tolist()  # the state is a key, and a key is the two halves of a seed
        stack.callback(mx.random.seed, (high << 32) | low)


def _torch_device(torch: Any) -> str:
    return "mps" if torch.backends.mps.is_available() else "cuda"


# what Python calls for operators of two operands, without underscores
ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
WRITES = [f"__i{name}__" for name in (*ARITHMETIC, "and", "or", "xor", "lshift", "rshift")]


@contextmanager
def _mlx_arrays_kept(arrays: list[Any]) -> Iterator[None]:
    """Put back the numbers of MLX arrays that are written; a handle of the old ones costs no copy."""
    mx = sys.modules["mlx.core"]
    watched = {id(array) for array in arrays}
    written: dict[int, tuple[Any, Any]] = {}

    def noting(write: Callable) -> Callable:
        def wrapper(array: Any, *rest: Any) -> Any:
            if id(array) in watched and id(array) not in written:
                written[id(array)] = (array, mx.array(array))
            return write(array, *rest)

        return wrapper

    names = [name for name in ("__setitem__", *WRITES) if hasattr(mx.array, name)]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(mock.patch.object(mx.array, name, noting(getattr(mx.array, name))))
        yield
    for array, kept in written.values():
        array[...] = kept
