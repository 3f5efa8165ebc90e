"""Tries a converted model on inputs beyond the example's numbers: it must be finite wherever MLX is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from mlx_coreml.conversion.probes import Probe
from mlx_coreml.conversion.source import Source, as_floats, relative_error
from mlx_coreml.ir.errors import WrongModelError

if TYPE_CHECKING:
    from coreml_runtime import Model

LIMITS = {"float32": 1e-3, "float16": 5e-2, "mixed": 5e-2}  # of the difference over the output's size
SMALL = 1e-2  # of the largest number of an output on the example: no probe's output is taken as smaller
FP16_LIMIT = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Trial:
    """A loaded model, its source, how large each output is on the example, and the model's precision."""

    source: Source
    model: Model
    sizes: Mapping[str, float]
    precision: str
    tolerance: float

    def doubt(self, probe: Probe, rng: np.random.Generator) -> str:
        """What is wrong with the model on a probe, as one phrase; empty if nothing is.

        Errors: WrongModelError where the model is not finite and MLX is.
        """
        inputs = self.source.feed(probe.arrays, rng, probe.grey)
        wanted = self._wanted(inputs)
        if not any(np.isfinite(each).any() for each in wanted.values()):
            return ""
        try:
            found = self._found(inputs)
        except RuntimeError as error:  # Core ML would refuse the call
            return f"{probe.name}, where the model fails: {' '.join(str(error).split())}"
        doubts = []
        for name, expected in wanted.items():
            self._check_finite(probe, name, found[name], expected)
            error = relative_error(found[name], expected, SMALL * self.sizes.get(name, 0.0))
            if error > max(self.tolerance, LIMITS[self.precision]):
                doubts.append(f"output '{name}' is {error:.1e} from MLX")
        return f"{probe.name} ({', '.join(doubts)})" if doubts else ""

    def _wanted(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        arrays = [
            each if isinstance(each, mx.array) else mx.array(np.asarray(each)) for each in inputs.values()
        ]
        made = map(as_floats, self.source.callable()(*arrays))
        names = [n for n, f in self.model.outputs.items() if f.kind in ("array", "image", "dictionary")]
        return {name: np.atleast_1d(each) for name, each in zip(names, made, strict=True)}

    def _found(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        given = {n: _given(each) for n, each in inputs.items()}
        made = self.model.predict(given, self.model.make_state() if self.model.states else None)
        return {name: np.atleast_1d(np.asarray(each, np.float64)) for name, each in made.items()}

    def _check_finite(self, probe: Probe, name: str, found: np.ndarray, expected: np.ndarray) -> None:
        bad = np.isfinite(expected) & ~np.isfinite(found)
        if self.precision != "float32":
            bad &= np.abs(expected) <= FP16_LIMIT  # what float16 cannot express is said, not refused
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            raise WrongModelError(
                f"the converted model of {self.source.name} is not finite where MLX is: on {probe.name}, "
                f"output '{name}' is {found[place]} at {list(place)}, where MLX gives {expected[place]:.4g}"
                f"{hint(self.precision)}"
            )


def hint(precision: str) -> str:
    """What to try with a model that is wrong."""
    return "" if precision == "float32" else "; precision='float32' shows whether float16 is the cause"


def _given(value: Any) -> Any:
    """An input as a model takes it: an array of NumPy, or the picture."""
    if not isinstance(value, mx.array):
        return value
    return np.array(value.astype(mx.float32) if value.dtype == mx.bfloat16 else value)
