"""The MLX halves of the twins as cases of `make coverage`, which finds them by an entry point."""

from collections.abc import Iterator
from functools import partial
from importlib import import_module

from mlx_coreml.coverage.cases.case import Case, booleans, integers, normal

INPUTS = {
    "bert": {"ids": integers(0, 64, 2, 2, 16), "mask": booleans(2, 2, 16)},
    "resnet": {"x": normal(2, 8, 8, 3)},
    "transformer_lm": {"ids": integers(0, 64, 2, 16)},
    "vit": {"x": normal(2, 8, 8, 3)},
}


def half(name: str):
    """The MLX half of one twin, at its smallest size."""
    module = import_module(f"twins.models.{name}")
    return module.HALVES[0](module.tiny())


def cases() -> Iterator[Case]:
    """One case per twin."""
    for name, inputs in INPUTS.items():
        yield Case("model", f"twins.models.{name}", partial(half, name), inputs)
