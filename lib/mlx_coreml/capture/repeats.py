"""Finds functions that do not repeat themselves: a second trace gives another graph, or other constants.

Numbers from random, numpy.random, time and the like become constants of the graph, however small they are, so
the comparison is exact and computes nothing. What the function changes while it runs, such as a count, is
left changed between the two traces, unless arrays of the first trace are in it.
"""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_coreml.capture import places
from mlx_coreml.capture.kept_state import Change, address

SOURCES = ("random", "_random", "time", "secrets", "uuid", "posix", "numpy.random")


def difference(first: Any, second: Any) -> str:
    """How the events of two traces of one function differ; "" when they are the same."""
    if len(first.primitives) != len(second.primitives) or len(first.constants) != len(second.constants):
        return f"{len(first.primitives)} operations and then {len(second.primitives)}"
    for one, other in zip(first.primitives, second.primitives, strict=True):
        if repr(_settings(one)) != repr(_settings(other)):
            return f"operation {one['name']} {one['arguments']} and then {other['name']} {other['arguments']}"
    for (_, one), (_, other) in zip(first.constants, second.constants, strict=True):
        if not _equal(one, other):
            return f"the constant {_shown(one)} and then {_shown(other)}"
    return ""


def _settings(event: dict) -> tuple:
    return event["name"], event["arguments"], event["inputs"], event["outputs"]


def _equal(one: mx.array, other: mx.array) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if address(one) == address(other):
        return True
    is_number = mx.issubdtype(one.dtype, mx.inexact)
    return bool(mx.array_equal(one, other, equal_nan=is_number).item())


def _shown(value: mx.array) -> str:
    numbers = np.array(value.astype(mx.float32)).ravel()[:1]
    return f"{numbers[0]:.6g}{' ...' if value.size > 1 else ''}"


@contextmanager
def _watched(own: Callable, put: Callable, watcher: Callable) -> Iterator[None]:
    """A block in which Python tells a watcher of what runs, without what others do when memory is freed."""
    before, collects = own(), gc.isenabled()
    gc.disable()
    put(watcher)
    try:
        yield
    finally:
        put(before)
        if collects:
            gc.enable()


def source_of(call: Callable[[], Any]) -> str:
    """Which random or timed source a call uses, and where: "numpy.random.normal (model.py:3, in forward)"."""
    found: list[str] = []

    def seen(frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and not found and (name := _source(called)):
            place = places.of_caller(frame)
            if place:
                found.append(f"{name} ({place})")

    with _watched(sys.getprofile, sys.setprofile, seen):
        call()
    return found[0] if found else ""


def change_of(call: Callable[[], Any], changes: Sequence[Change]) -> str:
    """The line of the user's code at which a call makes the first of some changes."""
    found: list[str] = []
    last: list[tuple] = []

    def seen(frame: FrameType, event: str, _: Any) -> Callable | None:
        code = frame.f_code
        made_here = str(frame.f_globals.get("__name__")).startswith("mlx_coreml.")  # a dataclass's methods
        if found or made_here or places.is_library(code.co_filename):
            return None
        if last and any(change.is_there() for change in changes):
            found.append(places.place(*last[-1]))
        last[:] = [(code.co_filename, frame.f_lineno, code.co_name)]
        return seen

    with _watched(sys.gettrace, sys.settrace, seen):
        call()
    return found[0] if found else ""


def _source(called: Any) -> str:
    """The name of a built-in function that gives something else at each call; "" for any other."""
    owner = getattr(called, "__self__", None)
    module = getattr(called, "__module__", None) or type(owner).__module__
    module = getattr(owner, "__name__", module) if module == "builtins" else module
    known = any(module == each or str(module).startswith(f"{each}.") for each in SOURCES)
    name = getattr(called, "__name__", "")
    if not known or (module == "posix" and name != "urandom"):
        return ""
    return f"{'numpy.random' if module.startswith('numpy') else module.strip('_')}.{name}"
