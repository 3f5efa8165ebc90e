"""Converts MLX modules and functions to Core ML packages, and checks each against MLX, on any system.

    from mlx_coreml import convert
    convert(network, mx.zeros((1, 28, 28, 1))).save("Network.mlpackage")

`Spec((1, 16), "int32")` stands for an example array. `@lowering("Name")` adds or replaces the conversion of
one of MLX's primitives. Errors are ConversionError and its subclasses.
"""

import contextlib
import importlib
import warnings
from typing import TYPE_CHECKING, Any

with contextlib.suppress(ModuleNotFoundError), warnings.catch_warnings():
    warnings.simplefilter("ignore", RuntimeWarning)  # any order of imports is right here
    import mlx_startup  # noqa: F401 - comes with the report; without it MLX runs as its wheel does

from mlx_coreml.ir.errors import (
    CaptureError,
    ConversionError,
    FunctionError,
    NotRepeatableError,
    UnsupportedError,
    WrongModelError,
)

if TYPE_CHECKING:
    from mlx_coreml.backends.mil.lowering.registry import lowering
    from mlx_coreml.capture.structures import Spec
    from mlx_coreml.conversion.convert import convert
    from mlx_coreml.verification.side_by_side import side_by_side

__version__ = "0.1.0"
__all__ = [
    "CaptureError",
    "ConversionError",
    "FunctionError",
    "NotRepeatableError",
    "Spec",
    "UnsupportedError",
    "WrongModelError",
    "convert",
    "lowering",
    "side_by_side",
]
_LATER = {  # coremltools takes seconds to import
    "convert": "mlx_coreml.conversion.convert",
    "Spec": "mlx_coreml.capture.structures",
    "lowering": "mlx_coreml.backends.mil.lowering.registry",
    "side_by_side": "mlx_coreml.verification.side_by_side",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_LATER[name]), name)
