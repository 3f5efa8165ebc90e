"""Which call of a comparison went wrong, and the search for the operation that made it go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from coreml_runtime.execution.model import Model
from coreml_runtime.verification.divergence import Call, Divergence, find_divergence
from coreml_runtime.verification.layouts import rms_relative
from coreml_runtime.verification.observation import as_numpy, call, observe
from coreml_runtime.verification.source_on_cpu import on_cpu
from coreml_runtime.verification.unchanged import unchanged

Outputs = Sequence[Mapping[str, np.ndarray]]
# What a source may raise when its values are recorded, though it computes its outputs.
SOURCE_ERRORS = (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError)


def locate(
    source: Callable[..., Any],
    framework: str | None,
    model: Model,
    calls: Sequence[Mapping[str, Any]],
    outputs: tuple[Outputs, Outputs],
    tolerance: float,
) -> Divergence | str:
    """Where `model` diverges in the first call whose outputs (found, expected) differ, or why that is not
    known.

    The calls before it are repeated, so that states are as they were.
    """
    index, errors = _first_failing(*outputs, tolerance)
    state = model.make_state() if model.states else None
    arrays = [{name: as_numpy(value) for name, value in each.items()} for each in calls[: index + 1]]
    for given in arrays[:index] if model.states else ():
        model.predict(given, state)

    def watch(see: Callable[[np.ndarray, float], None]) -> None:
        with unchanged(source), on_cpu(source, framework):
            for each in calls[:index] if model.states else ():
                call(source, each, framework)
            observe(source, calls[index], framework, see)

    try:
        return find_divergence(model, Call(arrays[index], state, outputs[1][index], errors), watch, tolerance)
    except SOURCE_ERRORS as error:
        told = " ".join(str(error).split())
        return f"no operation: the source fails when its values are recorded ({type(error).__name__}: {told})"


def _first_failing(found: Outputs, expected: Outputs, tolerance: float) -> tuple[int, dict[str, float]]:
    """The first call with an error above the tolerance, and the errors of its failing outputs."""
    for index, (made, wanted) in enumerate(zip(found, expected, strict=True)):
        errors = {name: _error(made[name], value) for name, value in wanted.items()}
        if failing := {name: error for name, error in errors.items() if not error <= tolerance}:
            return index, failing
    raise ValueError("no output of any call differs by more than the tolerance")


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    if np.atleast_1d(found).shape != np.atleast_1d(expected).shape:
        return np.inf
    return rms_relative(*(each.reshape(-1).astype(np.float64) for each in (found, expected)))
