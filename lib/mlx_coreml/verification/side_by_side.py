"""Runs one model in three runtimes and compares each pair: MLX, Core ML's reference runtime, Core AI.

found = side_by_side(network, "Network.mlpackage", "Network.aimodel", x)
print(found)       # one line
found.table()      # one row for each pair

The reference runtime shares no code with Core AI's interpreter, which is Apple's, so that two of three that
agree show which one is alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from mlx_coreml.backends.coreai import installed
from mlx_coreml.capture.captured_state import held
from mlx_coreml.capture.tracing import as_flat, capture
from mlx_coreml.conversion.check import check_is_installed, mlx_on_cpu
from mlx_coreml.ir.errors import ConversionError

if TYPE_CHECKING:
    import pandas as pd

SOURCE, REFERENCE, CORE_AI = "MLX", "Core ML reference", "Core AI interpreter"
EXACT = "Core ML reference, exact"  # the same package, computed in float32
PAIRS = ((REFERENCE, SOURCE), (CORE_AI, SOURCE), (CORE_AI, REFERENCE))
LIMITS = {"fp32": 1e-4, "fp16": 5e-3}  # rms-relative: each runtime has kernels of its own

Outputs = list[np.ndarray]


@dataclass(frozen=True)
class SideBySide:
    """What three runtimes make of one call.

    `errors` has the rms-relative error of the worst output for each pair of runtimes, and that of the package
    computed exactly; it is infinite where one alone has no finite numbers, or another shape. `computes` is
    fp16 or fp32, as the package says; `half_source` says that MLX itself computes in a half type.
    """

    computes: str
    tolerance: float
    errors: Mapping[tuple[str, str], float]
    half_source: bool = False

    @property
    def agree(self) -> bool:
        """Whether every pair is within the tolerance."""
        return all(self.within(*pair) for pair in PAIRS)

    def within(self, one: str, other: str) -> bool:
        """Whether one pair is within the tolerance."""
        return bool(self.errors[one, other] <= self.tolerance)

    @property
    def cause(self) -> str:
        """Which runtime is alone and why, as far as the three show it; empty where all agree."""
        if self.agree:
            return ""
        ours, theirs, alike = (self.within(*pair) for pair in PAIRS)
        if alike and self.half_source and self.computes == "fp32":
            return "MLX itself rounds to a half type here, both files compute in float32"
        exact = self.within(EXACT, SOURCE)
        if ours and theirs:
            return "both are within the tolerance of MLX, on opposite sides"
        if theirs:
            why = "it rounds every value to fp16: computed exactly, the same package agrees"
            return f"the reference runtime is alone: {why if exact else 'also when it computes exactly'}"
        if ours:
            return "Core AI's interpreter is alone: MLX and the reference runtime agree"
        rounding = "the rounding to fp16: computed exactly, the package agrees with MLX"
        if exact:
            return f"{rounding}{'' if alike else '; the runtimes round different values'}"
        return "both runtimes agree with each other, not with MLX" if alike else "all three differ"

    def __str__(self) -> str:
        told = ", ".join(f"{one} against {other} {self.errors[one, other]:.1e}" for one, other in PAIRS)
        verdict = "agree" if self.agree else f"DISAGREE ({self.cause})"
        return f"three runtimes {verdict} in {self.computes}: {told}; tolerance {self.tolerance:.0e}"

    def table(self) -> pd.DataFrame:
        """One row for each pair, and one for the package computed exactly."""
        import pandas as pd

        rows = [(*pair, error, bool(error <= self.tolerance)) for pair, error in self.errors.items()]
        return pd.DataFrame(rows, columns=["runtime", "against", "rms-relative error", "agrees"])

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>{self.table().to_html(index=False)}"


@mlx_on_cpu()
def side_by_side(
    source: Callable,
    package: str | Path,
    asset: str | Path,
    *inputs: Any,
    tolerance: float | None = None,
) -> SideBySide:
    """Run an MLX callable, its `.mlpackage` and its `.aimodel` on the same inputs, and compare each pair.

    `inputs` are arrays of MLX or NumPy, the callable's arguments. The tolerance is rms-relative, by default
    1e-4, or 5e-3 for a package that computes in fp16. Errors: ConversionError where the extra coreai or the
    reference runtime is missing, or the files are not of this function; RuntimeError where Core AI refuses
    the asset.
    """
    installed.require()
    check_is_installed()
    from coreml_runtime.execution.model import readings

    arrays = [value if isinstance(value, mx.array) else mx.array(value) for value in inputs]
    models = readings(package, ("strict", "exact"))
    found = {SOURCE: by_mlx(source, arrays), CORE_AI: _by_core_ai(Path(asset), arrays)}
    for name, model in zip((REFERENCE, EXACT), models.values(), strict=True):
        found[name] = list(model.predict(_named(list(model.inputs), arrays, Path(package))).values())
    if len({len(each) for each in found.values()}) > 1:
        told = ", ".join(f"{name} {len(each)}" for name, each in found.items())
        raise ConversionError(f"the numbers of outputs differ: {told}; allowed are files of one function")
    computes = "fp16" if models["strict"].uses_fp16 else "fp32"
    errors = {pair: _worst(found[pair[0]], found[pair[1]]) for pair in (*PAIRS, (EXACT, SOURCE))}
    limit = LIMITS[computes] if tolerance is None else tolerance
    return SideBySide(computes, limit, errors, _in_half(source, arrays))


def _named(names: Sequence[str], arrays: Sequence[mx.array], file: Path) -> dict[str, np.ndarray]:
    """The arrays by the names of a file's inputs, in order. Errors: ConversionError for another number."""
    from coreml_runtime.verification.observation import as_numpy

    if len(names) != len(arrays):
        raise ConversionError(
            f"{len(arrays)} inputs are given; {file.name} takes {len(names)}: {', '.join(names)}"
        )
    return {name: as_numpy(array) for name, array in zip(names, arrays, strict=True)}


def _in_half(source: Callable, arrays: Sequence[mx.array]) -> bool:
    """Whether MLX computes any value of the source in a half type."""
    graph = capture(source, *arrays)
    found = [*graph.inputs, *(tensor for node in graph.nodes for tensor in node.outputs)]
    return any(tensor.dtype in ("float16", "bfloat16") for tensor in found)


def by_mlx(source: Callable, arrays: Sequence[mx.array]) -> Outputs:
    """What an MLX callable gives in evaluation mode, in the order of a file's outputs."""
    from coreml_runtime.verification.observation import as_numpy

    with held(source).kept():  # in evaluation mode, as it was captured
        return [as_numpy(each) for each in as_flat(source, arrays)(*arrays)]


def _by_core_ai(asset: Path, arrays: Sequence[mx.array]) -> Outputs:
    from mlx_coreml.backends.coreai.interpreter import Interpreter

    model = Interpreter(asset)
    try:
        return list(model.predict(_named(list(model.input_types), arrays, asset)).values())
    finally:
        model.close()


def _worst(found: Outputs, expected: Outputs) -> float:
    """The largest rms-relative error of an output."""
    from coreml_runtime.verification.layouts import rms_relative

    pairs = [
        (np.atleast_1d(np.asarray(a)), np.atleast_1d(np.asarray(b)))
        for a, b in zip(found, expected, strict=True)
    ]
    return max(rms_relative(a, b) if a.shape == b.shape else np.inf for a, b in pairs)
