"""Reads the options of a conversion as people write them: fp16, mx.float16, ct.target.iOS18, "iOS 18"."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import coremltools as ct
import mlx.core as mx
import numpy as np

from mlx_coreml.backends.coreai.installed import require
from mlx_coreml.backends.mil.assemble import target_named
from mlx_coreml.backends.mil.precision import PRECISIONS
from mlx_coreml.ir.errors import ConversionError

FORMATS = ("coreml", "coreai")
SAME = {
    "float16": ("fp16", "f16", "half", mx.float16, np.float16, ct.precision.FLOAT16),
    "float32": ("fp32", "f32", "single", "float", "full", mx.float32, np.float32, ct.precision.FLOAT32),
    "mixed": ("mixed_precision", "mixedprecision"),
}


def precision_named(value: Any) -> str:
    """The precision that a word or a type means. Errors: ConversionError lists those known."""
    word = value.lower().strip() if isinstance(value, str) else value
    if isinstance(value, np.dtype):
        word = value.type
    for name in PRECISIONS:
        if any(isinstance(word, type(each)) and word == each for each in (name, *SAME.get(name, ()))):
            return name
    hint = close(word, [*PRECISIONS, *SAME["float16"][:3], *SAME["float32"][:5]])
    raise ConversionError(f"precision {value!r} is not known; known are {', '.join(PRECISIONS)}{hint}")


def deployment_target(value: Any) -> ct.target:
    """The deployment target that a word or a member of ct.target means. Errors: ConversionError."""
    if isinstance(value, ct.target):
        return value
    known = {_plain(name): name for name in ct.target.__members__}
    name = known.get(_plain(value)) if isinstance(value, str) else None
    if name:
        return target_named(name)
    try:
        return target_named(value)
    except ConversionError as error:
        raise ConversionError(f"{error}{close(value, ct.target.__members__)}") from None


def core_ai(to: Any, target: ct.target) -> ModuleType | None:
    """The module that converts to Core AI where `to` asks for it; None for Core ML.

    Errors: ConversionError for another format, for a target of Core ML, or without the extra coreai.
    """
    if to not in FORMATS:
        raise ConversionError(
            f"to={to!r}; allowed are {' and '.join(map(repr, FORMATS))}{close(to, FORMATS)}"
        )
    if to == "coreml":
        return None
    require()
    if target != ct.target.iOS17:
        raise ConversionError(
            f"deployment_target {target.name!r} is of Core ML; allowed with to='coreai' is none, "
            "because its assets are for OS 27"
        )
    return importlib.import_module("mlx_coreml.conversion.core_ai")  # which imports Core AI


def close(value: Any, known: Iterable[str]) -> str:
    """A hint at the nearest of the known names: "; did you mean 'iOS18'?"."""
    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(value.lower(), names, 1, 0.6) if isinstance(value, str) else []
    return f"; did you mean {names[found[0]]!r}?" if found else ""


def _plain(text: str) -> str:
    return re.sub(r"[\s_.-]", "", text).lower()
