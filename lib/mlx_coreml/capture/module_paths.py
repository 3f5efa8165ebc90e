"""Finds the module in which each primitive is called, which MLX's exporter does not record.

While a function is traced, the arrays that go into and come out of every module are recorded and exported
as outputs beside the function's own. What lies between them belongs to the module: calls end inner ones
first, so walking back from a call's outputs to its inputs meets its own nodes and those of calls inside it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import mlx.core as mx

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

    def __init__(self, modules: dict[str, mnn.Module]):
        self.paths = {id(module): path for path, module in modules.items()}
        self.owners = {owner for module in modules.values() for owner in _owners(type(module))}
        self.ended: list[Call] = []

    def arrays(self) -> list[mx.array]:
        """The recorded arrays of every call, in order."""
        return [array for call in self.ended for array in (*call.taken, *call.made)]

    def clear(self) -> bool:
        """Forget every call, and return whether there was one."""
        had, self.ended = bool(self.ended), []
        return had

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record calls inside the block."""
        with ExitStack() as stack:
            for owner in self.owners:
                stack.enter_context(mock.patch.object(owner, "__call__", self._recording(owner.__call__)))
            yield

    def _recording(self, original):
        def call(module, *args, **kwargs):
            made = original(module, *args, **kwargs)
            path = self.paths.get(id(module))
            if path:
                self.ended.append(Call(path, _arrays([args, kwargs]), _arrays(made)))
            return made

        return call


def _owners(kind: type) -> list[type]:
    """The class that defines a module's __call__; none for a module that only holds others."""
    return [each for each in kind.__mro__ if "__call__" in each.__dict__][:1]


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
