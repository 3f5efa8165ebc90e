"""Finds modules of a source that are in training mode and compute something else there than in use.

A package computes what its source computes in evaluation mode. Most modules do not look at the mode, so a
module counts only if it does: it drops values, normalizes with the numbers of the batch, or reads
`training` itself.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from coreml_runtime.verification.unchanged import reachable


def training_mode(source: Callable[..., Any]) -> str:
    """One sentence when modules of `source` compute otherwise because of training mode, else ''."""
    held = reachable(source)
    modules: list[Any] = [each for each in held if isinstance(each, _kinds())]
    found = [each for each in modules if each.training and _depends_on_mode(each)]
    if not found:
        return ""
    named: dict[int, str] = {}
    for each in modules:  # the outermost first, whose names win
        for name, part in each.named_modules() if id(each) not in named else ():
            named.setdefault(id(part), name)
    listed = ", ".join(
        f"{type(each).__name__} '{named[id(each)]}'" if named.get(id(each)) else type(each).__name__
        for each in found[:3]
    )
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    leaves = sum(len(list(each.named_modules())) == 1 for each in modules)
    return (
        f"the source is in training mode: call .eval() first; found are {len(found)} of "
        f"{max(leaves, len(found))} modules, {listed}{more}"
    )


def _kinds() -> tuple[type, ...]:
    torch, mlx = sys.modules.get("torch"), sys.modules.get("mlx.nn")
    return tuple(library.Module for library in (getattr(torch, "nn", None), mlx) if library is not None)


def _depends_on_mode(module: Any) -> bool:
    """Whether a module in training mode computes otherwise than in evaluation mode."""
    name = type(module).__name__
    library = type(module).__module__.split(".")[:2]
    if library not in (["torch", "nn"], ["mlx", "nn"]):
        return _reads_training(type(module))  # type: ignore[arg-type]
    if "Dropout" in name:
        kept = getattr(module, "_p_1", None)
        return bool(module.p > 0 if kept is None else kept < 1)
    if "BatchNorm" in name:
        return True
    if "InstanceNorm" in name:
        return bool(getattr(module, "track_running_stats", False))
    return name in ("RReLU",) or bool(getattr(module, "dropout", 0) and name != "Identity" and _drops(module))


def _drops(module: Any) -> bool:
    """Recurrent layers and attention of torch have a probability of their own, the former between layers."""
    dropout = module.dropout
    return isinstance(dropout, float) and dropout > 0 and getattr(module, "num_layers", 2) > 1


@cache
def _reads_training(kind: type) -> bool:
    """Whether the code of a class reads `training`; one whose code cannot be read is taken not to."""
    for each in kind.__mro__:
        if each.__module__.split(".")[0] in ("torch", "mlx", "builtins"):
            continue
        try:
            text = inspect.getsource(each)
        except (OSError, TypeError):
            continue
        if ".training" in text:
            return True
    return False
