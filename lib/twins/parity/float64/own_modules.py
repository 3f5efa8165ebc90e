"""The reader's modules in the float64 stage: names imported from MLX, and what they keep from call to call.

A mask that a file computes once and keeps, in a global or behind functools.cache, would otherwise stay
float64 when the stage is over, and an Apple GPU refuses float64.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from twins.models.user_model import is_own

Owner = ModuleType | type
Values = dict[str, Any]


def own_modules() -> list[ModuleType]:
    """The modules that are neither Python's nor installed nor of twins."""
    return [module for module in list(sys.modules.values()) if is_own(getattr(module, "__file__", None))]


def imported(swaps: dict[int, Any]) -> Iterator[tuple[Owner, str, Any]]:
    """Module, name and what replaces it, for `from mlx.core import exp`; swaps go by the old value's id."""
    for module in own_modules():
        yield from ((module, k, swaps[id(v)]) for k, v in list(vars(module).items()) if id(v) in swaps)


@contextmanager
def kept() -> Iterator[None]:
    """Globals, class attributes and caches of the reader's modules are afterwards what they were."""
    owners: list[Owner] = []
    for module in own_modules():
        owners += [module, *_classes(module)]
    before = [(owner, _values(owner)) for owner in owners]
    contents = {
        id(v): (v, v.copy()) for _, found in before for v in found.values() if type(v) in (dict, list)
    }
    _forget(before)
    try:
        yield
    finally:
        _forget(before)
        for owner, values in before:
            _restore(owner, values)
        for container, copy in contents.values():
            container.clear()
            container.update(copy) if isinstance(container, dict) else container.extend(copy)


def _classes(module: ModuleType) -> list[type]:
    found = [value for value in vars(module).values() if isinstance(value, type)]
    return [each for each in found if each.__module__ == module.__name__]


def _values(owner: Owner) -> Values:
    return {name: value for name, value in vars(owner).items() if not name.startswith("__")}


def _restore(owner: Owner, values: Values) -> None:
    now = _values(owner)
    for name in now.keys() - values.keys():
        delattr(owner, name)
    for name, value in values.items():
        if now.get(name) is not value:
            setattr(owner, name, value)


def _forget(owners: list[tuple[Owner, Values]]) -> None:
    """Empty what functools.cache holds."""
    for _, values in owners:
        for value in values.values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
