"""Language models of mlx-lm as stateful Core ML packages: caches, both functions, generation, the check.

It may import coreml_runtime, coreml_runtime.format, mlx_coreml.conversion, mlx_coreml.ir and
mlx_coreml.swift.
"""

import importlib
from typing import Any

HOMES = {"export": "stateful_package", "Generator": "generation"}


def __getattr__(name: str) -> Any:  # mlx-lm, coremltools and torch are imported when they are needed
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
