"""The input of a route: what its steps share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np


@dataclass(frozen=True)
class Job:
    """The input of a route: a model, an example in its framework, target, precision, a folder to work in."""

    model: Any
    example: Sequence[Any]
    target: ct.target
    precision: str
    folder: Path

    def options(self) -> dict:
        """Arguments of ct.convert on every route from PyTorch: the example's types, not fp16's defaults."""
        kinds = [np.float32 if x.is_floating_point() else np.int32 for x in self.example]
        typed = [
            ct.TensorType(shape=tuple(x.shape), dtype=k) for x, k in zip(self.example, kinds, strict=True)
        ]
        return {
            "inputs": typed,
            "outputs": [ct.TensorType(dtype=np.float32)],
            "minimum_deployment_target": self.target,
            "compute_precision": ct.precision[self.precision.upper()],
            "skip_model_load": True,
        }
