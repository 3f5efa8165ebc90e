"""Finds the module in which each primitive is called, which MLX's exporter does not record.

While a function is traced, the arrays that go into and come out of every module are recorded and exported
as outputs beside the function's own. What lies between them belongs to the module: calls end inner ones
first, so walking back from a call's outputs to its inputs meets its own nodes and those of calls inside it.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from mlx_coreml.capture.captured_state import Held
from mlx_coreml.ir.graph import Tensor

import mlx.nn as mnn  # isort: skip
from mlx.utils import tree_flatten  # isort: skip


@dataclass
class Call:
    """One call of a module: its path and the arrays that went in and came out."""

    path: str
    taken: list[mx.array]
    made: list[mx.array]


class Calls:
    """The calls of a function's modules, in the order in which they ended."""

    def __init__(self, known: Held):
        self.known = known
        self.ended: list[Call] = []
        self.running: list[str] = []
        self.failed = ""  # the innermost module that an error left
        self.late = False  # whether a module in training mode was met only while the function ran
        self.hidden = 0  # how many transformations hide the arrays of the calls inside them

    @property
    def path(self) -> str:
        """The innermost module that runs."""
        return self.running[-1] if self.running else ""

    def arrays(self) -> list[mx.array]:
        """The recorded arrays of every call, in order."""
        return [array for call in self.ended for array in (*call.taken, *call.made)]

    def clear(self) -> None:
        """Forget every call."""
        self.ended, self.running, self.failed, self.late, self.hidden = [], [], "", False, 0

    @contextmanager
    def recorded(self, arrays: bool = True) -> Iterator[None]:
        """Record calls inside the block; without `arrays` only which modules run.

        Any module may run: those that no walk finds are met at their first call, or when they are read.
        """
        self.hidden = 0 if arrays else 1
        before = [(kind, kind.__dict__["__call__"]) for kind in _kinds(mnn.Module)]
        read, vmap = mnn.Module.__getattr__, mx.vmap
        for kind, original in before:
            kind.__call__ = self._recording(original)
        mnn.Module.__getattr__ = self._meeting(read)
        mx.vmap = self._hiding(vmap)
        try:
            yield
        finally:
            mx.vmap, mnn.Module.__getattr__ = vmap, read
            for kind, original in before:
                kind.__call__ = original

    def _recording(self, original: Callable) -> Callable:
        @functools.wraps(original)
        def call(module, *args, **kwargs):
            self.late |= self.known.meet(module)
            path = self.known.path_of(module)
            self.running.append(path)
            failed, self.failed = self.failed, path
            try:
                made = original(module, *args, **kwargs)
                self.failed = failed
            finally:
                self.running.pop()
            if path and not self.hidden:
                self.ended.append(Call(path, _arrays([args, kwargs]), _arrays(made)))
            return made

        return call

    def _meeting(self, original: Callable) -> Callable:
        def read(module, key):
            self.late |= self.known.meet(module)
            return original(module, key)

        return read

    def _hiding(self, original: Callable) -> Callable:
        """`mx.vmap` whose function's calls are not recorded: their arrays lack the mapped axis."""

        def vmap(fun, *args, **kwargs):
            def inside(*arrays, **named):
                self.hidden += 1
                try:
                    return fun(*arrays, **named)
                finally:
                    self.hidden -= 1

            return original(inside, *args, **kwargs)

        return vmap


def _kinds(kind: type) -> list[type]:
    """Every class of modules that defines __call__."""
    found, ahead = {}, [kind]
    while ahead:
        each = ahead.pop()
        if each not in found:
            found[each] = "__call__" in each.__dict__
            ahead += each.__subclasses__()
    return [each for each, own in found.items() if own]


def _arrays(value: Any) -> list[mx.array]:
    return [leaf for _, leaf in tree_flatten([value]) if isinstance(leaf, mx.array)]


def attribute(calls: Calls, recorded: list[Tensor]) -> None:
    """Set the path of every node inside a call, from the recorded arrays as tensors of the graph."""
    places = iter(recorded)
    for call in calls.ended:
        taken = {next(places) for _ in call.taken}
        ahead = [next(places) for _ in call.made]
        while ahead:
            tensor = ahead.pop()
            if tensor.node is None or tensor in taken:
                continue
            taken.update(tensor.node.outputs)  # seen
            tensor.node.path = tensor.node.path or call.path
            ahead += tensor.node.inputs
