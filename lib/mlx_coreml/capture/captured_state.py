"""What a captured function can reach: its modules in evaluation mode, and everything given back as it was."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from mlx_coreml.capture.kept_state import Snapshot, address
from mlx_coreml.capture.reachable import reachable

import mlx.nn as mnn  # isort: skip


class Held:
    """The objects that a function can reach, with their paths, such as encoder.layers.0.weight.

    `modules` has the path of every MLX module. A module that is met only while the function runs is added
    by `meet`.
    """

    def __init__(self, fn: Any, more: Sequence[tuple[str, Any]] = ()):
        self._things = reachable(("", fn), *more)
        self._snapshot: Snapshot | None = None
        mx.eval([value for _, value in self._things.values() if isinstance(value, mx.array)])

    @property
    def modules(self) -> list[tuple[str, mnn.Module]]:
        """The modules with their paths."""
        return [(path, value) for path, value in self._things.values() if isinstance(value, mnn.Module)]

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
        outer, self._snapshot = self._snapshot, Snapshot(self._things.values())
        for _, module in self.modules:
            vars(module)["_training"] = False
        try:
            yield
        finally:
            self._snapshot.restore()
            self._snapshot = outer

    def changed(self) -> dict[str, bool]:
        """What is not as it was when the innermost block of `kept` began; whether arrays are new in it."""
        return self._snapshot.changed() if self._snapshot else {}

    def restore(self) -> None:
        """Put everything back inside a block of `kept`, in evaluation mode."""
        if self._snapshot:
            self._snapshot.restore()
        for _, module in self.modules:
            vars(module)["_training"] = False

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
        if self._snapshot:
            self._snapshot.add(found.values())
        for _, each in found.values():
            if isinstance(each, mnn.Module):
                vars(each)["_training"] = False
        return was


def held(fn: Callable) -> Held:
    """What a module or function can reach; for an example bound to a function, what its capture found."""
    known = getattr(fn, "held", None)
    return known if isinstance(known, Held) else Held(fn)
