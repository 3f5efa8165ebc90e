"""Keeps the state of objects while a function runs, and puts back in place what was changed.

A call may append to a list, count, fill a cache, store an array in a module, or draw random numbers. Objects
stay the same objects; their contents become what they were.
"""

import random
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.core import eval as evaluate  # not its stand-in

from mlx_coreml.capture.reachable import attributes, global_names, is_foreign, is_kind, reachable, slots

READ, WRITE = mx.array.__getitem__, mx.array.__setitem__  # not what replaces them while the truth is computed
COPIED = 2**24  # bytes; a larger NumPy array is taken to be data that no call changes


@dataclass(frozen=True)
class Place:
    """One place that may change: how it is read, compared and written."""

    path: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    same: Callable[[Any, Any], bool]
    is_array: bool = False


@dataclass(frozen=True)
class Change:
    """A place that was changed, its contents before, and whether arrays are new in it."""

    place: Place
    before: Any
    has_new_arrays: bool

    def is_there(self) -> bool:
        """Whether the place still differs from what it was."""
        return not self.place.same(self.before, self.place.read())


class Snapshot:
    """The contents of objects at one time."""

    def __init__(self, things: Iterable[tuple[str, Any]]):
        self.kept: list[tuple[Place, Any]] = [(place, place.read()) for place in _random_sources()]
        self.add(things)

    def add(self, things: Iterable[tuple[str, Any]]) -> None:
        """Keep more objects, as they are now."""
        self.kept += [(place, place.read()) for path, value in things for place in _places(path, value)]

    def changes(self) -> list[Change]:
        """What is not as it was."""
        found = []
        for place, before in self.kept:
            now = place.read()
            if not place.same(before, now):
                found.append(Change(place, before, _has_new_arrays(place, before, now)))
        return found

    def restore(self) -> None:
        """Put back what is not as it was."""
        for place, before in reversed(self.kept):
            if not place.same(before, place.read()):
                place.write(before)


def address(array: mx.array) -> tuple:
    """The address, shape and type of an array's memory, which identify it."""
    kind = str(array.dtype)
    if array.dtype == mx.bfloat16:
        array = array.view(mx.uint16)
    return np.array(array, copy=False).__array_interface__["data"][0], tuple(array.shape), kind


def _identical(before: Any, now: Any) -> bool:
    """Whether two lists of pairs hold the very same values."""
    return len(before) == len(now) and all(
        a is c and b is d for (a, b), (c, d) in zip(before, now, strict=True)
    )


def _has_new_arrays(place: Place, before: Any, now: Any) -> bool:
    """Whether contents hold, at any depth, arrays that they did not hold before."""
    if place.same is not _identical:
        return place.is_array or (isinstance(now, set) and any(isinstance(each, mx.array) for each in now))
    old = {id(value) for _, value in before}
    new = [("", value) for _, value in now if id(value) not in old]
    return any(isinstance(value, mx.array) for _, value in reachable(*new).values())


def _places(path: str, value: Any) -> Iterator[Place]:
    """Where an object may change."""
    if is_kind(value, mx.array):
        yield _array(path, value)
    elif is_kind(value, np.ndarray):
        if value.nbytes <= COPIED and value.flags.writeable and not value.dtype.hasobject:
            same = lambda a, b: a.tobytes() == b.tobytes()  # noqa: E731
            yield Place(path, value.copy, lambda kept: np.copyto(value, kept), same)
    elif is_kind(value, np.random.Generator):
        yield from _places(path, value.bit_generator)
    elif is_kind(value, np.random.BitGenerator):
        yield _generator(path, lambda: value.state, lambda kept: setattr(value, "state", kept))
    elif is_kind(value, np.random.RandomState):
        yield _generator(path, value.get_state, value.set_state)
    elif is_kind(value, random.Random):
        yield _generator(path, value.getstate, value.setstate)
    elif is_kind(value, types.FunctionType):
        yield from _of_function(path, value)
    elif hasattr(value, "cache_info") and hasattr(value, "cache_clear"):
        yield Place(path, value.cache_info, lambda kept: value.cache_clear(), lambda a, b: a[1] == b[1])
    elif is_kind(value, type):
        if not is_foreign(value):
            yield _class(path, value)
    else:
        yield from _of_instance(path, value)


def _array(path: str, array: mx.array) -> Place:
    """An array, which `a[0] = 1` and `a += 1` change in place. The slice shares its memory."""
    kept = READ(array, ...)

    def read() -> Any:
        try:
            return address(array)
        except (RuntimeError, ValueError, TypeError):  # holds a tracer, or a type that NumPy lacks
            return None

    def write(_: Any) -> None:
        WRITE(array, ..., kept)
        evaluate(array)

    return Place(path, read, write, lambda a, b: a == b, is_array=True)


def _generator(path: str, read: Callable, write: Callable) -> Place:
    return Place(path, read, write, _same_state)


def _same_state(before: Any, now: Any) -> bool:
    """Whether two states of a generator are the same: nested numbers, texts and arrays."""
    if isinstance(before, dict):
        return before.keys() == now.keys() and all(_same_state(before[key], now[key]) for key in before)
    if isinstance(before, np.ndarray):
        return np.array_equal(before, now)
    if isinstance(before, tuple) and any(isinstance(each, np.ndarray) for each in before):
        return all(map(_same_state, before, now))
    return bool(before == now)


def _entries(path: str, found: dict) -> Place:
    kind = OrderedDict if isinstance(found, OrderedDict) else dict

    def write(kept: list) -> None:
        kind.clear(found)
        for key, value in kept:
            kind.__setitem__(found, key, value)

    return Place(path, lambda: list(kind.items(found)), write, _identical)


def _items(path: str, found: list | deque) -> Place:
    def write(kept: list) -> None:
        found.clear()
        found.extend(value for _, value in kept)

    return Place(path, lambda: [(None, value) for value in found], write, _identical)


def _members(path: str, found: set) -> Place:
    def write(kept: set) -> None:
        found.clear()
        found.update(kept)

    return Place(path, lambda: set(found), write, lambda a, b: a == b)


def _of_function(path: str, fn: types.FunctionType) -> Iterator[Place]:
    """A function's closed-over variables, its globals, and its attributes."""
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        yield _cell(name, cell)
    for space, name in global_names(fn):
        yield _global(name, space)
    if vars(fn):
        yield _entries(path, vars(fn))


def _cell(name: str, cell: types.CellType) -> Place:
    def read() -> list:
        return [] if cell == types.CellType() else [(name, cell.cell_contents)]

    def write(kept: list) -> None:
        if kept:
            cell.cell_contents = kept[0][1]
        else:
            del cell.cell_contents

    return Place(name, read, write, _identical)


def _global(name: str, space: dict) -> Place:
    def read() -> list:
        return [(name, space[name])] if name in space else []

    return Place(name, read, lambda kept: space.update(kept), _identical)


def _class(path: str, kind: type) -> Place:
    """The plain attributes of a class; its methods stay."""

    def read() -> list:
        found = [pair for pair in vars(kind).items() if not pair[0].startswith("__")]
        return [(name, value) for name, value in found if not hasattr(value, "__get__")]

    def write(kept: list) -> None:
        for name, _ in read():
            type.__delattr__(kind, name)
        for name, value in kept:
            type.__setattr__(kind, name, value)

    return Place(path, read, write, _identical)


def _of_instance(path: str, value: Any) -> Iterator[Place]:
    if is_kind(value, dict):
        yield _entries(path, value)
    elif is_kind(value, (list, deque)):
        yield _items(path, value)
    elif is_kind(value, set):
        yield _members(path, value)
    own = attributes(value)
    if own or hasattr(value, "__dict__"):
        yield _entries(path, own)
    if slots(value):
        yield _slots(path, value)


def _slots(path: str, value: Any) -> Place:
    def write(kept: list) -> None:
        for name in slots(value):
            object.__delattr__(value, name)
        for name, each in kept:
            object.__setattr__(value, name, each)

    return Place(path, lambda: list(slots(value).items()), write, _identical)


def _random_sources() -> Iterator[Place]:
    """The states of the global random numbers of MLX, NumPy and Python."""

    def read() -> list[int]:
        return [word for key in mx.random.state for word in key.tolist()]

    def write(kept: list[int]) -> None:
        mx.random.seed(kept[0] << 32 | kept[1])  # a key is the two halves of its seed

    yield Place("mx.random.state", read, write, lambda a, b: a == b)
    yield _generator("random", random.getstate, random.setstate)
    yield _generator("numpy.random", np.random.get_state, np.random.set_state)
