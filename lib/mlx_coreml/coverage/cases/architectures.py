"""Every architecture of mlx-lm, in a size that converts in seconds: tokens in, logits out, no cache.

A configuration follows from the fields of the architecture's own ModelArgs: fields that give a size get a
small one, required fields what their name or type allows, and `configurations` says what neither tells.
https://github.com/ml-explore/mlx-lm/tree/main/mlx_lm/models
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import mlx.core as mx

from mlx_coreml.coverage.cases import configurations as given
from mlx_coreml.coverage.cases.case import TOLERANCE, Case, integers

import mlx.nn as nn  # isort: skip

TOKENS = integers(1, 60, 1, 6)
# rms-relative, by the type MLX computes in: it rounds after every operation where a float32 model does not.
ROUNDED = {"float32": TOLERANCE, "float16": 5e-3, "bfloat16": 5e-2}


def package() -> ModuleType:
    """The package of architectures; ModuleNotFoundError says how to install it."""
    try:
        return importlib.import_module("mlx_lm.models")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "mlx-lm is not installed: pip install './lib/mlx_coreml[coverage]' in a checkout"
        ) from error


def names() -> list[str]:
    """The architectures there are: every module of the package but the parts they share."""
    found = (info.name for info in pkgutil.iter_modules(package().__path__))
    return [name for name in found if name not in given.ALONE]


def cases() -> Iterator[Case]:
    """One case per architecture that can be built."""
    for name in names():
        if name not in given.LEFT_OUT:
            tolerance = ROUNDED["float16" if name in given.IN_FLOAT16 else "float32"]
            yield Case("architecture", name, partial(build, name), {"tokens": TOKENS}, tolerance)
    for name in given.IN_4_BITS:
        yield Case("architecture", f"{name}, 4 bits", partial(quantized, name), {"tokens": TOKENS})
    for name in given.IN_BFLOAT16:
        halves = partial(halved, name)
        yield Case("architecture", f"{name}, bfloat16", halves, {"tokens": TOKENS}, ROUNDED["bfloat16"])


def build(name: str) -> Callable:
    """A tiny model with random parameters."""
    module = importlib.import_module(f"mlx_lm.models.{name}")
    configuration = tiny(module, "ModelArgs", name)
    return module.Model(module.ModelArgs.from_dict(configuration))


def quantized(name: str) -> Callable:
    """The tiny model as mlx-lm ships most: what has rows of whole groups in 4-bit numbers."""
    model = build(name)
    nn.quantize(
        model, 32, 4, class_predicate=lambda _, m: hasattr(m, "to_quantized") and not m.weight.shape[-1] % 32
    )
    return model


def halved(name: str) -> Callable:
    """The tiny model in the type that checkpoints come in."""
    model = build(name)
    model.set_dtype(mx.bfloat16)
    return model


def tiny(module: ModuleType, kind: str, name: str) -> dict[str, Any]:
    """The fields of one of the module's dataclasses with tiny sizes, by the field's name."""
    values = dict(given.OVERRIDES.get(name, {}))
    for field in dataclasses.fields(getattr(module, kind)):
        if field.name == "text_config":
            inner, part = given.TEXT[name]
            inside = tiny(importlib.import_module(f"mlx_lm.models.{inner}"), part, inner)
            values["text_config"] = inside | given.OVERRIDES.get(name, {})
        elif field.name not in values and _is_asked(field):
            values[field.name] = _value(field)
    return values


def _is_asked(field: dataclasses.Field) -> bool:
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return required or field.name in given.SMALL


def _value(field: dataclasses.Field) -> Any:
    """A small value for a field: by its name, else by its type."""
    if field.name in given.SMALL:
        return given.SMALL[field.name]
    kind = getattr(field.type, "__name__", str(field.type))
    plain = {"bool": False, "int": 2, "float": 1.0, "str": "tiny", "Dict": None, "Optional": None}
    if kind not in plain:
        raise ValueError(f"field '{field.name}' of type {kind} has no small value in configurations")
    return plain[kind]
