"""The errors of a conversion: a function cannot be captured, cannot be converted, or is converted wrongly."""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What the code of a model, or MLX about it, may raise.
MISTAKES = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, AssertionError)


class ConversionError(ValueError):
    """The input cannot become a Core ML model; the message says what was found and what is allowed."""


class CaptureError(ConversionError):
    """The function cannot be captured as a graph."""


class UnsupportedError(ConversionError):
    """The graph holds primitives that have no lowering."""


class WrongModelError(ConversionError):
    """The converted model does not compute what MLX computes."""


class FunctionError(ConversionError):
    """The function itself fails on the example, whatever converts it."""


class NotRepeatableError(CaptureError, WrongModelError):
    """The function computes something else at each call, so no model computes what it computes."""


def dictionary(value: Any, where: str) -> Mapping:
    """The value of an option that must be a dictionary. Errors: ConversionError for anything else."""
    if not isinstance(value, Mapping):
        raise ConversionError(f"{where} is {value!r}; allowed is a dictionary")
    return value


def told(error: BaseException) -> str:
    """An error as one line: its type, its message, and the file and line that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} [{Path(frame.filename).name}:{frame.lineno}]"
