"""Walks over everything that a callable can reach without being run: closures, globals, objects, containers.

A module may be held by a plain object, such as a pipeline, by a class, a slot, a weak reference or a
function that a decorator wraps. What belongs to Python, NumPy or MLX itself is not entered.
"""

import enum
import functools
import gc
import random
import sys
import types
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np

Child = tuple[str, Any, bool]  # name, value, and whether the path before it belongs to its path

ATOMS = (str, bytes, int, float, complex, type(None), type(Ellipsis), enum.Enum, mx.Dtype, np.generic)
METHODS = (types.MethodType, types.MethodWrapperType, types.BuiltinMethodType)
WRAPPERS = (property, staticmethod, classmethod, functools.cached_property, functools.partialmethod)
CONTAINERS = (list, tuple, set, frozenset, deque)
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
# Packages whose own state is not the user's: their globals are not searched, nor what they make.
FOREIGN = {
    *sys.stdlib_module_names,
    *("mlx", "numpy", "torch", "scipy", "coremltools", "transformers", "tokenizers", "sentencepiece", "PIL"),
    *("mlx_coreml", "coreml_runtime", "mlx_startup", "nanobind", "pytest", "_pytest", "IPython", "ipykernel"),
}
CASES = "mlx_coreml.coverage."  # which play the user's code
KNOWN_INSTANCES = {"mlx", "collections", "types", "functools", "weakref"}  # their instances are entered


def reachable(*roots: tuple[str, Any]) -> dict[int, tuple[str, Any]]:
    """Every object that roots (path, object) reach, by identity, with its shortest path; nearest first."""
    found: dict[int, tuple[str, Any]] = {}
    ahead = deque(roots)
    while ahead:
        path, value = ahead.popleft()
        if type(value) in weakref.ProxyTypes:  # which answers for its object
            value = getattr(value.__repr__, "__self__", None)
        if isinstance(value, ATOMS) or id(value) in found:
            continue
        found[id(value)] = (path, value)
        for name, child, inside in children(value):
            if not isinstance(child, ATOMS):
                ahead.append((f"{path}.{name}" if inside and path and name else name or path, child))
    return found


def children(value: Any) -> Iterator[Child]:
    """What an object refers to."""
    if is_kind(value, (mx.array, np.ndarray, *GENERATORS, types.ModuleType)):
        return
    if is_kind(value, types.FunctionType):
        yield from _of_function(value)
    elif is_kind(value, METHODS):
        yield "", value.__self__, True
        yield "", getattr(value, "__func__", None), False
    elif is_kind(value, functools.partial):
        yield "", value.func, False
        yield from ((f"argument_{i}", each, False) for i, each in enumerate(value.args))
        yield from ((name, each, False) for name, each in value.keywords.items())
    elif is_kind(value, weakref.ref):
        yield "", value(), True
    elif is_kind(value, WRAPPERS):
        kept = ("fget", "fset", "__func__", "func")
        yield from (("", getattr(value, name, None), False) for name in kept)
    elif is_kind(value, type):
        yield from _of_class(value)
    else:
        yield from _of_instance(value)


def is_kind(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """Whether an object is of a class itself: a function that MLX transforms answers for what it wraps."""
    return issubclass(type(value), kinds)


def is_foreign(thing: Any) -> bool:
    """Whether a class or function belongs to Python or to a package without state of the user."""
    module = str(getattr(thing, "__module__", ""))
    return module.partition(".")[0] in FOREIGN and not module.startswith(CASES)


def attributes(value: Any) -> dict[str, Any]:
    """The dictionary of an object's own attributes; an empty one for an object without."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def slots(value: Any) -> dict[str, Any]:
    """The values of an object's slots that are set."""
    found = {}
    for kind in type(value).__mro__:
        for member in vars(kind).values() if "__slots__" in vars(kind) else ():
            if isinstance(member, types.MemberDescriptorType):
                try:
                    found[member.__name__] = member.__get__(value)
                except AttributeError:  # not set
                    continue
    return found


def global_names(fn: types.FunctionType) -> Iterator[tuple[dict, str]]:
    """The places of the globals that a function names, and of what it names in Python modules among them."""
    if is_foreign(fn):
        return
    names, ahead = set(), [fn.__code__]
    while ahead:
        code = ahead.pop()
        names.update(code.co_names)
        ahead += [each for each in code.co_consts if isinstance(each, types.CodeType)]
    spaces, seen = [fn.__globals__], {id(fn.__globals__)}
    while spaces:
        space = spaces.pop()
        for name in names & space.keys():
            value = space[name]
            if not isinstance(value, types.ModuleType):
                yield space, name
            elif value.__name__.partition(".")[0] not in FOREIGN and id(value.__dict__) not in seen:
                seen.add(id(value.__dict__))
                spaces.append(value.__dict__)


def _of_function(fn: types.FunctionType) -> Iterator[Child]:
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        if cell != type(cell)():
            yield name, cell.cell_contents, False
    for space, name in sorted(global_names(fn), key=lambda place: place[1]):
        yield name, space[name], False
    yield from ((f"default_{i}", each, False) for i, each in enumerate(fn.__defaults__ or ()))
    yield from ((name, each, False) for name, each in (fn.__kwdefaults__ or {}).items())
    yield from ((name, each, False) for name, each in vars(fn).items())


def _of_class(kind: type) -> Iterator[Child]:
    for each in kind.__mro__:
        if not is_foreign(each):
            yield from ((name, value, True) for name, value in vars(each).items())


def _of_instance(value: Any) -> Iterator[Child]:
    if is_kind(value, dict):
        yield from ((str(key), each, True) for key, each in list(value.items()))
    elif is_kind(value, CONTAINERS):
        yield from ((str(i), each, True) for i, each in enumerate(value))
    kind = type(value)
    if is_foreign(kind) and kind.__module__.partition(".")[0] not in KNOWN_INSTANCES:
        return
    yield from ((name, each, True) for name, each in list(attributes(value).items()))
    yield from ((name, each, True) for name, each in slots(value).items())
    if kind.__module__ == "mlx.core":  # a function that MLX transforms or compiles
        yield from (("", each, False) for each in gc.get_referents(value) if not isinstance(each, type))
    elif not is_foreign(kind):
        yield "", kind, True
