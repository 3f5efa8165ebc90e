"""What a captured function can reach: its modules in evaluation mode, and everything given back as it was."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from mlx_coreml.capture.kept_state import Change, Snapshot, address
from mlx_coreml.capture.reachable import is_kind, reachable

import mlx.nn as mnn  # isort: skip


class Held:
    """The objects that a function can reach, with their paths, such as encoder.layers.0.weight.

    `modules` has the path of every MLX module. A module that is met only while the function runs is added
    by `meet`.
    """

    def __init__(self, fn: Any, more: Sequence[tuple[str, Any]] = ()):
        self._things = reachable(("", fn), *more)
        self._snapshot: Snapshot | None = None
        self._modes: list[tuple[mnn.Module, bool]] = []
        mx.eval([value for _, value in self._things.values() if isinstance(value, mx.array)])

    def things(self) -> list[tuple[str, Any]]:
        """Every object with its path."""
        return list(self._things.values())

    @property
    def modules(self) -> list[tuple[str, mnn.Module]]:
        """The modules with their paths."""
        return [(path, value) for path, value in self._things.values() if is_kind(value, mnn.Module)]

    def path_of(self, module: mnn.Module) -> str:
        """The path of a module; its class for one that is not known."""
        return self._things.get(id(module), (type(module).__name__, module))[0]

    def array_names(self) -> dict[tuple, str]:
        """The path of each array by its address; arrays of one number are not told apart."""
        found: dict[tuple, str] = {}
        for path, value in self._things.values():
            if isinstance(value, mx.array) and value.size > 1:
                try:
                    found.setdefault(address(value), path)
                except (RuntimeError, ValueError, TypeError):  # made while the function ran
                    continue
        return found

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Modules in evaluation mode inside the block; after it, or an error, every object is as it was.

        Otherwise BatchNorm, a cache, and all that stores an array while it is called, would keep a tracer.
        """
        outer, modes = self._snapshot, self._modes
        self._modes = [(module, module._training) for _, module in self.modules]
        _evaluating(self.modules)
        self._snapshot = Snapshot(self._things.values())
        try:
            yield
        finally:
            self._snapshot.restore()
            for module, mode in self._modes:
                vars(module)["_training"] = mode
            self._snapshot, self._modes = outer, modes

    def changes(self) -> list[Change]:
        """What is not as it was when the innermost block of `kept` began."""
        return self._snapshot.changes() if self._snapshot else []

    def restore(self) -> None:
        """Put everything back inside a block of `kept`, where modules are in evaluation mode."""
        if self._snapshot:
            self._snapshot.restore()

    def meet(self, module: mnn.Module) -> bool:
        """Add a module that runs, with what it reaches, in evaluation mode; whether it was in training."""
        if id(module) in self._things:
            return False
        name, was = type(module).__name__, module.training
        found = {
            key: (".".join(filter(None, (name, path))), value)
            for key, (path, value) in reachable(("", module)).items()
            if key not in self._things and not isinstance(value, type)
        }
        self._things |= found
        modules = [(path, value) for path, value in found.values() if is_kind(value, mnn.Module)]
        self._modes += [(each, each._training) for _, each in modules]
        _evaluating(modules)
        if self._snapshot:
            self._snapshot.add(found.values())
        return was


def _evaluating(modules: Sequence[tuple[str, mnn.Module]]) -> None:
    for _, module in modules:
        vars(module)["_training"] = False


def held(fn: Callable) -> Held:
    """What a module or function can reach; for an example bound to a function, what its capture found."""
    known = getattr(fn, "held", None)
    return known if isinstance(known, Held) else Held(fn)
