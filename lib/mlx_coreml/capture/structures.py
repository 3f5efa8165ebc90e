"""Lays out nested values flat: the arrays in lists, dictionaries, tuples, dataclasses and objects, by place.

A leaf has a key, its places in the structure ("cache.0.keys"; a named tuple's are numbers), and a name, in
which a named tuple's places are its fields.
"""

import copy
import dataclasses
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_coreml.capture.reachable import (
    ATOMS,
    GENERATORS,
    KNOWN_INSTANCES,
    METHODS,
    attributes,
    is_foreign,
    slots,
)

import mlx.nn as mnn  # isort: skip

WHOLE = (type, types.FunctionType, types.ModuleType, *METHODS, mnn.Module, *GENERATORS)  # never entered


@dataclass(frozen=True)
class Spec:
    """The shape and type of an input, in place of an example array: Spec((1, 16), "int32").

    The conversion is checked on numbers of its own: standard normal ones, and 0 and 1 for whole numbers.
    """

    shape: tuple[int, ...]
    dtype: str | mx.Dtype = "float32"

    def example(self) -> mx.array:
        """Numbers of the shape and type. Errors: ValueError for what is no shape or type of MLX."""
        dtype = getattr(mx, self.dtype, None) if isinstance(self.dtype, str) else self.dtype
        sizes = self.shape if isinstance(self.shape, tuple | list) else (self.shape,)
        if not isinstance(dtype, mx.Dtype) or not all(isinstance(n, int) and n > 0 for n in sizes):
            raise ValueError(
                f"{self}; allowed are whole sizes above 0 and a type of MLX, as in float32 or int32"
            )
        rng = np.random.default_rng(list(sizes))
        is_float = mx.issubdtype(dtype, mx.floating)
        return mx.array(rng.standard_normal(sizes) if is_float else rng.integers(0, 2, sizes)).astype(dtype)


@dataclass(frozen=True)
class Leaf:
    """One value that is not entered, with its place."""

    key: str
    name: str
    value: Any
    plain: bool = False  # an attribute of an object that is no dataclass

    @property
    def is_array(self) -> bool:
        """Whether the value can be an input."""
        return isinstance(self.value, mx.array | np.ndarray | Spec)


def parts(value: Any) -> list[tuple[str, str, Any]] | None:
    """The keys, names and values inside a structure; None for a value that is a leaf."""
    if isinstance(value, (*ATOMS, *WHOLE, mx.array, np.ndarray, Spec)):
        return None
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(str(i), n, v) for i, (n, v) in enumerate(zip(value._fields, value, strict=True))]
    if isinstance(value, dict):
        return [(str(key), str(key), each) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [(str(i), str(i), each) for i, each in enumerate(value)]
    if is_foreign(type(value)) and type(value).__module__.partition(".")[0] not in KNOWN_INSTANCES:
        return None
    return [(name, name, each) for name, each in (attributes(value) | slots(value)).items()] or None


def leaves(value: Any, key: str = "", name: str = "", seen: set | None = None) -> Iterator[Leaf]:
    """The leaves of a nested value. What holds itself is entered once; with `seen`, what is shared too."""
    yield from _leaves(value, key, name, seen, ())


def _leaves(value: Any, key: str, name: str, seen: set | None, above: tuple) -> Iterator[Leaf]:
    inside = parts(value)
    if inside is None:
        yield Leaf(key, name, value)
        return
    shared = seen is not None and not isinstance(value, tuple)
    if id(value) in above or (shared and id(value) in seen):
        return
    if shared:
        seen.add(id(value))
    plain = not isinstance(value, list | tuple | dict) and not dataclasses.is_dataclass(value)
    for inner, called, each in inside:
        where = (f"{key}.{inner}" if key else inner, f"{name}.{called}" if name else called)
        for leaf in _leaves(each, *where, seen, (*above, id(value))):
            yield dataclasses.replace(leaf, plain=leaf.plain or plain)


def replaced(value: Any, array: Callable[[Any], Any], memo: dict[int, Any]) -> Any:
    """A copy of a nested value with its arrays replaced in order; leaves that are no arrays stay."""
    if isinstance(value, mx.array | np.ndarray | Spec):
        return array(value)
    if id(value) in memo:
        return memo[id(value)]
    inside = parts(value)
    if inside is None:
        return value
    if isinstance(value, tuple):
        made = [replaced(each, array, memo) for *_, each in inside]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    made = memo[id(value)] = _empty(value)
    if isinstance(value, dict):
        for key, each in value.items():
            dict.__setitem__(made, key, replaced(each, array, memo))
        return made
    if isinstance(value, list):
        made[:] = [replaced(each, array, memo) for *_, each in inside]
        return made
    for name, _, each in inside:
        object.__setattr__(made, name, replaced(each, array, memo))
    return made


def _empty(value: Any) -> Any:
    """A copy whose parts are about to be replaced, without a call of the class's own code."""
    if isinstance(value, list | dict):
        return copy.copy(value)
    try:
        return object.__new__(type(value))
    except TypeError:  # of a class that is not Python's own
        return copy.copy(value)
