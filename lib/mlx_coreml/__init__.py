"""Core ML without a Mac: MLX models are converted, and packages run, checked and compared on any machine.

    from twins.coreml import convert
    convert(network, mx.zeros((1, 28, 28, 1))).save("Network.mlpackage")

`convert` and `capture` take an MLX module or function; `@lowering("Name")` adds or overrides how a primitive
is converted; errors are ConversionError and its kinds. `reference` runs a saved `.mlpackage`; `verify`
compares one with the network it came from.
"""

import importlib
import logging
import sys
from types import ModuleType

from twins.coreml.errors import CaptureError, ConversionError, UnsupportedError, WrongModelError

_logger = logging.getLogger("coremltools")
_level = _logger.level
_logger.setLevel(logging.ERROR)  # off macOS its import reports eight times that Core ML is missing
import coremltools  # noqa: E402, F401

_logger.setLevel(_level)

_LAZY = {
    "convert": "convert",
    "capture": "capture",
    "lowering": "lowering",
}  # name: module, loaded at first use
__all__ = ["CaptureError", "ConversionError", "UnsupportedError", "WrongModelError", *_LAZY]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)


class _Package(ModuleType):
    """Keeps the import system from putting a module in the place of the function of the same name."""

    def __setattr__(self, name: str, value) -> None:
        if name not in _LAZY:
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
