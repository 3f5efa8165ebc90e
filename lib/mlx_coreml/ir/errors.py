"""The errors of a conversion: what was given cannot be captured, cannot be converted, or came out wrong."""

from collections.abc import Mapping
from typing import Any


class ConversionError(ValueError):
    """What the user gave cannot become a Core ML model; the sentence says what, where, found and allowed."""


class CaptureError(ConversionError):
    """The function cannot be captured as a graph."""


class UnsupportedError(ConversionError):
    """The graph holds primitives that have no lowering."""


class WrongModelError(ConversionError):
    """The converted model does not compute what MLX computes."""


def dictionary(value: Any, where: str) -> Mapping:
    """An option that is a dictionary, by name. Errors: ConversionError for anything else."""
    if not isinstance(value, Mapping):
        raise ConversionError(f"{where} is {value!r}; allowed is a dictionary by name")
    return value
