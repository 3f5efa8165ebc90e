"""What a user's objects hold, seen without the converter: to tell whether a conversion changed them."""

import functools
import hashlib
import types
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

import mlx.nn as nn  # isort: skip
from mlx.utils import tree_map  # isort: skip

HALF = (mx.float16, mx.bfloat16)
LOCAL = "<locals>"  # in the name of a class that a usage defines


def walk(value: Any, path: str = "", seen: dict | None = None) -> Iterator[tuple[str, Any]]:
    """Everything a value reaches, each once, with a path: closures, attributes, items, methods' owners."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return
    seen[id(value)] = value  # kept alive: an id is not used twice
    yield path, value
    for name, part in _parts(value):
        yield from walk(part, f"{path}.{name}", seen)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if _is(value, mx.array | np.ndarray | types.ModuleType | str | bytes):
        return
    if _is(value, type):
        yield from vars(value).items() if LOCAL in value.__qualname__ else ()
        return
    if LOCAL in type(value).__qualname__:
        yield "class", type(value)
    if _is(value, types.FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield name, cell.cell_contents
        yield "defaults", (value.__defaults__, value.__kwdefaults__)
    elif _is(value, types.MethodType):
        yield "self", value.__self__
        yield "function", value.__func__
    elif _is(value, functools.partial):
        yield "function", value.func
        yield "bound", (value.args, value.keywords)
    if _is(value, dict):
        yield from ((str(key), each) for key, each in value.items())
    elif _is(value, list | tuple | set | frozenset):
        yield from ((str(i), each) for i, each in enumerate(value))
    for name in getattr(type(value), "__slots__", ()):
        if hasattr(value, name):
            yield name, getattr(value, name)
    yield from vars(value).items() if hasattr(value, "__dict__") else ()


def pictured(*values: Any) -> dict[str, str]:
    """Every value that is reached, as text by path: arrays by their numbers, containers by their keys."""
    found = {path: _told(value) for path, value in walk(values)}
    return found | {"mx.random.state": _told(mx.random.state[0]), "device": str(mx.default_device())}


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What differs between two pictures, one text per path."""
    paths = dict.fromkeys([*before, *after])
    return [
        f"{path} was {before.get(path)} and is {after.get(path)}"
        for path in paths
        if before.get(path) != after.get(path)
    ]


def _told(value: Any) -> str:
    if _is(value, mx.array):
        try:
            mx.eval(value)
            numbers = np.array(value.astype(mx.float32) if value.dtype in HALF else value)
        except (RuntimeError, ValueError) as error:
            return f"an array that cannot be evaluated: {str(error)[:60]}"
        return f"{value.dtype} {value.shape} {hashlib.sha256(numbers.tobytes()).hexdigest()[:12]}"
    if _is(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()[:12]}"
    if _is(value, bool | int | float | str | bytes | types.NoneType):
        return repr(value)[:80]
    keys = list(map(str, value)) if _is(value, dict) else ""
    size = len(value) if _is(value, list | tuple | dict) else ""
    return f"{type(value).__module__}.{type(value).__qualname__} {size} {keys}"


def _is(value: Any, kinds: Any) -> bool:
    """Whether a value is of a type, which MLX's wrappers of functions claim for what they wrap."""
    return issubclass(type(value), kinds)


def evaluated(value: Any) -> None:
    """Put every module that a value reaches in evaluation mode and its half-precision numbers in float32."""
    for module in [each for _, each in walk(value) if _is(each, nn.Module)]:
        module.eval()
        module.update(tree_map(widened, module.parameters()))


def widened(value: Any) -> Any:
    """A half-precision array in float32; anything else as it is."""
    return value.astype(mx.float32) if _is(value, mx.array) and value.dtype in HALF else value
