"""How far a model may be from the truth: a limit by precision, or what MLX's own half types take themselves.

A model of a bfloat16 network whose error is smaller than that of MLX in bfloat16 is not wrong. Constants of
such a network, as the scale of its attention, are rounded to the half type in the captured graph, so a
float32 model keeps that error even if nothing else is rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_coreml.conversion.source import Source, as_floats, relative_error

LIMITS = {"float32": 1e-4, "float16": 2e-2, "mixed": 2e-2}  # rms-relative
STATES = 2e-2  # a state is fp16, whatever the model computes in
GREATEST = 0.25  # however far MLX is from the truth
ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
ROUNDINGS = 4  # of constants, where MLX's own error is not known
PATIENCE = 1.0  # seconds that MLX's own half types may take, or a quarter of the conversion's


def tolerance(source: Source, inputs: Mapping[str, Any], precision: str, seconds: float) -> tuple[float, str]:
    """The rms-relative limit for a model, and a note on MLX's own error if its source has half types."""
    limit = max(LIMITS[precision], STATES if source.states else 0.0)
    if not source.half:
        return limit, ""
    names = " and ".join(source.half)
    if source.half_seconds > max(PATIENCE, seconds / 4):
        told = f"not measured, for it would take about {source.half_seconds:.0f} s on a CPU"
        rounded = ROUNDINGS * max(ROUNDING[name] for name in source.half)
        return max(limit, rounded), f"compared with the same network in float32; MLX's own {names} {told}"
    own = own_error(source, inputs)
    return max(limit, min(own, GREATEST)), (
        f"compared with the same network in float32; MLX's own {names} {own:.1e} from it"
    )


def own_error(source: Source, inputs: Mapping[str, Any]) -> float:
    """The worst rms-relative error of an output that MLX computes in the source's own types, on one call."""
    arrays = [each if isinstance(each, mx.array) else mx.array(np.asarray(each)) for each in inputs.values()]
    pairs = zip(source.as_it_is()(*arrays), source.callable()(*arrays), strict=True)
    return max(relative_error(as_floats(a), as_floats(b)) for a, b in pairs)
