"""Finds the modules and arrays that a captured function refers to, through closures and globals."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

import mlx.nn as mnn  # isort: skip
from mlx.utils import tree_flatten  # isort: skip


@dataclass
class Held:
    """Modules and arrays of a function by their path, such as encoder.layers.0.weight."""

    modules: dict[str, mnn.Module]
    arrays: dict[str, mx.array]

    def __post_init__(self):
        self._names = {_address(array): path for path, array in self.arrays.items() if array.size > 1}

    def name_of(self, array: mx.array) -> str | None:
        """The path of the parameter whose memory an array is."""
        return self._names.get(_address(array))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Modules in evaluation mode inside the block; their modes and arrays are put back after it.

        Otherwise BatchNorm, and any module that stores an array while it is called, would keep a tracer.
        """
        before = [(module, dict(vars(module)), dict(module)) for module in self.modules.values()]
        for module in self.modules.values():
            module._training = False
        try:
            yield
        finally:
            for module, attributes, entries in before:
                vars(module).clear()
                vars(module).update(attributes)
                dict.clear(module)
                dict.update(module, entries)


def _address(array: mx.array) -> tuple:
    """The address and shape of an array's memory, which identify it."""
    if array.dtype == mx.bfloat16:
        array = array.view(mx.uint16)
    return np.array(array, copy=False).__array_interface__["data"][0], tuple(array.shape)


def held(fn: Callable) -> Held:
    """The modules and arrays that a module or function can reach."""
    modules: dict[str, mnn.Module] = {}
    arrays: dict[str, mx.array] = {}
    for name, value in _variables(fn, set()):
        _collect(name, value, modules, arrays)
    mx.eval(arrays)
    return Held(modules, arrays)


def _collect(name: str, value: Any, modules: dict, arrays: dict) -> None:
    if isinstance(value, mnn.Module):
        if not any(known is value for known in modules.values()):
            named = sorted(value.named_modules(), key=lambda pair: pair[0])
            modules |= {".".join(filter(None, (name, path))): module for path, module in named}
            found = tree_flatten(value.parameters()) + _private(named)
            arrays |= {".".join(filter(None, (name, path))): array for path, array in found}
    elif isinstance(value, mx.array):
        arrays[name] = value


def _private(named: list[tuple[str, mnn.Module]]) -> list[tuple[str, mx.array]]:
    """Arrays that modules hold under a name with an underscore, which are no parameters."""
    leaves = [
        (".".join(filter(None, (path, key))), leaf)
        for path, module in named
        for key, leaf in tree_flatten({k: v for k, v in module.items() if k.startswith("_")})
    ]
    return [(path, leaf) for path, leaf in leaves if isinstance(leaf, mx.array)]


def _variables(fn: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Names and values of what a callable refers to, functions inside replaced by what they refer to."""
    if id(fn) in seen:
        return
    seen.add(id(fn))
    if isinstance(fn, mnn.Module):
        yield "", fn
        return
    for name, value in _direct(fn):
        yield from _leaves(name, value, seen)


def _leaves(name: str, value: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """A variable's modules and arrays, through containers and functions."""
    if isinstance(value, mnn.Module):  # a dictionary, too
        yield name, value
    elif isinstance(value, list | tuple | dict):
        if id(value) not in seen:
            seen.add(id(value))
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from _leaves(f"{name}.{key}" if name else str(key), item, seen)
    elif hasattr(value, "__code__") or hasattr(value, "__func__") or isinstance(value, functools.partial):
        yield from _variables(value, seen)
    else:
        yield name, value


def _direct(fn: Any) -> Iterator[tuple[str, Any]]:
    """What a function, partial, method or callable object holds itself."""
    if isinstance(fn, functools.partial):
        yield "", fn.func
        yield from [(f"argument_{i}", value) for i, value in enumerate(fn.args)]
        yield from fn.keywords.items()
    elif hasattr(fn, "__func__"):
        owner = fn.__self__
        yield "", owner if isinstance(owner, mnn.Module) else dict(getattr(owner, "__dict__", {}))
        yield "", fn.__func__
    elif hasattr(fn, "__code__"):
        yield from _referred(fn)
    elif callable(fn) and hasattr(fn, "__dict__"):
        yield from vars(fn).items()
        yield "", type(fn).__call__


def _referred(fn: Callable) -> Iterator[tuple[str, Any]]:
    """Closed-over variables, globals and defaults of a Python function."""
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        if cell != type(cell)():
            yield name, cell.cell_contents
    for name in fn.__code__.co_names:
        if name in fn.__globals__:
            yield name, fn.__globals__[name]
    for i, value in enumerate(fn.__defaults__ or ()):
        yield f"default_{i}", value
