"""Compares a saved package with the network it came from: on the reference runtime and, on macOS, on Core ML
itself. The source computes on the CPU, whatever device is in use.

The reference runtime decides, and Core ML on the CPU. A GPU and the Neural Engine round more than a package's
precision says (https://github.com/apple/coremltools/issues/2625): asked for, they are shown for information.

report = verify(network, "Network.mlpackage", {"x": x})
print(report)            # one line
report.table()           # one row per runtime and output
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coreml_runtime.execution.model import PRECISIONS, Model, load
from coreml_runtime.verification import native_core_ml
from coreml_runtime.verification.divergence import Divergence, find_divergence, rms_relative
from coreml_runtime.verification.observation import FRAMEWORKS, as_numpy, call, framework_of, intermediates
from coreml_runtime.verification.source_on_cpu import on_cpu

if TYPE_CHECKING:
    import pandas as pd

# rms-relative. fp16 has 11 bits: a network of some tens of layers stays within ten units in the last place.
TOLERANCE = {"fp32": 1e-5, "fp16": 5e-3}
# A classifier's label follows from its probabilities, so it is not compared.
COMPARED = ("array", "image", "dictionary")
COMPUTE_UNITS = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")
DECIDING = COMPUTE_UNITS[:1]
CORE_ML = "Core ML "
# Core ML has kernels of its own; for outputs of about one this is what coremltools allows it in float32
# (coremltools.converters.mil.frontend.torch.test.testing_utils, convert_and_compare: atol 1e-4).
KERNELS = 1e-4


@dataclass(frozen=True)
class Row:
    """The errors of one output on one runtime; all inf, and cosine nan, when the shapes differ or it refused.

    `tolerance` is that of `rms_relative`. A row that does not decide is shown for information.
    """

    runtime: str
    output: str
    shape: tuple[int, ...]
    max_absolute: float
    max_relative: float
    rms_relative: float
    cosine: float
    passed: bool
    tolerance: float
    decides: bool = True


@dataclass(frozen=True)
class Report:
    """The outcome: rows, the rms-relative tolerance for them, where a failing package diverges.

    `note` says what Core ML itself would need, where it was asked for and could not run the package, or with
    which words it refused it.
    """

    package: str
    tolerance: float
    rows: tuple[Row, ...]
    divergence: Divergence | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether every output is within the tolerance on every runtime that decides."""
        return all(row.passed for row in self.rows if row.decides)

    @property
    def worst(self) -> Row:
        """Of the rows that decide, or of those that failed, that of the largest rms-relative error."""
        return max((row for row in self.rows if row.decides), key=lambda r: (not r.passed, r.rms_relative))

    def __str__(self) -> str:
        worst = self.worst
        verdict = "passes" if self.passed else "FAILS"
        text = (
            f"{self.package} {verdict}: worst rms-relative error {worst.rms_relative:.1e} "
            f"(output '{worst.output}', {worst.runtime}), tolerance {worst.tolerance:.0e}"
        )
        told = [text, f"diverges at {self.divergence}" if self.divergence else "", self.note]
        return "; ".join(filter(None, told))

    def table(self) -> pd.DataFrame:
        """One row per runtime and output, which says whether it decides."""
        import pandas as pd

        said = {True: "yes", False: "for information"}
        return pd.DataFrame([asdict(row) | {"decides": said[row.decides]} for row in self.rows])

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>{self.table().to_html(index=False)}"


def verify(
    source: Callable,
    package: str | Path,
    inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    framework: str | None = None,
    tolerance: float | None = None,
    precisions: Sequence[str] = PRECISIONS,
    compute_units: Sequence[str] = DECIDING,
    function: str = "main",
) -> Report:
    """Compare what `source` and `package` compute on the same inputs, given by the package's input names.

    `source` is a torch or MLX callable that takes the inputs in order (an image as an array); its outputs
    are matched to the package's by name when it returns a dictionary with those names, else by order. A
    sequence of inputs is a series of calls that share a state. `tolerance` is rms-relative: 1e-5, or 5e-3
    for a package that computes in fp16. `compute_units` are those that Core ML is asked with, on macOS; only
    CPU_ONLY decides. ValueError when the framework or the outputs cannot be told.
    """
    calls = [inputs] if isinstance(inputs, Mapping) else list(inputs)
    framework = framework or framework_of(source, calls[0])
    if framework not in FRAMEWORKS:
        raise ValueError(f"framework '{framework}' is not known; known are {', '.join(FRAMEWORKS)}")
    models = {precision: load(package, function, precision) for precision in precisions}
    first = next(iter(models.values()))
    if tolerance is None:
        tolerance = TOLERANCE["fp16" if first.uses_fp16 else "fp32"]
    fresh = copy.deepcopy(source) if len(calls) > 1 else source  # a series of calls may change it
    arrays = [{name: as_numpy(value) for name, value in each.items()} for each in calls]
    with on_cpu(source, framework):  # as a whole: a state lasts over the calls
        wanted = _wanted(source, calls, framework, first)
    found = {f"reference {precision}": _series(model, arrays) for precision, model in models.items()}
    rows = _rows(found, wanted, tolerance)
    more, note = _by_core_ml(package, arrays, compute_units, function)
    rows += _rows(more, wanted, max(tolerance, KERNELS))
    report = Report(str(package), tolerance, rows, note=note)
    if report.passed:
        return report
    divergence = _divergence(fresh, calls[0], arrays[0], framework, models, report)
    return replace(report, divergence=divergence)


def _rows(found: Mapping[str, list | None], wanted: Mapping[str, list], tolerance: float) -> tuple[Row, ...]:
    """A row per runtime and output; None stands for a runtime that refused the package."""
    return tuple(
        compare(runtime, name, [_array(step[name]) for step in series], wanted[name], tolerance)
        if series is not None
        else _none(runtime, name, (), tolerance)
        for runtime, series in found.items()
        for name in wanted
    )


def _none(runtime: str, output: str, shape: tuple[int, ...], tolerance: float) -> Row:
    """The row of an output that is not there, or not in its shape."""
    decides = runtime.removeprefix(CORE_ML) not in COMPUTE_UNITS[1:]
    return Row(runtime, output, shape, np.inf, np.inf, np.inf, np.nan, False, tolerance, decides)


def compare(
    runtime: str,
    output: str,
    found: Sequence[np.ndarray],
    wanted: Sequence[np.ndarray],
    tolerance: float,
) -> Row:
    """The errors of one output, over a series of calls taken together."""
    shape = tuple(np.shape(found[0]))
    pairs = list(zip(found, wanted, strict=True))
    if any(np.atleast_1d(a).shape != np.atleast_1d(b).shape for a, b in pairs):
        return _none(runtime, output, shape, tolerance)
    a, b = (np.concatenate([pair[i].reshape(-1).astype(np.float64) for pair in pairs]) for i in (0, 1))
    difference = np.abs(np.where(a == b, 0.0, a - np.where(a == b, 0.0, b)))
    scale = np.abs(b).max(initial=0.0, where=np.isfinite(b))
    rms = rms_relative(a, b)
    largest = float(difference.max(initial=0.0))
    return replace(
        _none(runtime, output, shape, tolerance),
        max_absolute=largest,
        max_relative=largest / max(scale, 1e-30),
        rms_relative=rms,
        cosine=_cosine(a, b),
        passed=bool(rms <= tolerance),
    )


def _array(value: Any) -> np.ndarray:
    """An output as an array: a classifier's probabilities in order, an image as (1, C, H, W)."""
    if isinstance(value, dict):
        return np.array([list(value.values())])
    if hasattr(value, "getbands"):
        return np.atleast_3d(np.asarray(value)).transpose(2, 0, 1)[None]
    return np.asarray(value)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not lengths:
        return 1.0 if np.array_equal(a, b) else 0.0
    with np.errstate(invalid="ignore"):  # an infinite output
        return float(a @ b / lengths)


def _wanted(source, calls, framework: str, model: Model) -> dict[str, list[np.ndarray]]:
    """What the source returns for each call, by the package's output names."""
    by_call = [call(source, each, framework) for each in calls]
    names = [name for name, feature in model.outputs.items() if feature.kind in COMPARED]
    keys = list(by_call[0])
    if set(keys) == set(names):
        return {name: [values[name] for values in by_call] for name in names}
    if len(keys) != len(names):
        raise ValueError(
            f"the source returns {len(keys)} values, the package {len(names)}: {', '.join(names)}"
        )
    return {name: [values[key] for values in by_call] for name, key in zip(names, keys, strict=True)}


def _series(model: Model, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    state = model.make_state() if model.states else None
    return [model.predict(each, state) for each in calls]


def _by_core_ml(package, calls, units, function: str) -> tuple[dict[str, list[dict] | None], str]:
    """What Core ML returns for each call, by compute units, None where it refuses; a note that says why."""
    if not native_core_ml.here() or not units:
        return {}, ""
    if missing := native_core_ml.fault(package):
        return {}, f"Core ML itself {missing}"
    found, notes = {}, []
    for unit in units:
        try:
            found[f"{CORE_ML}{unit}"] = _core_ml(package, calls, unit, function)
        except RuntimeError as error:
            found[f"{CORE_ML}{unit}"] = None
            notes.append(f"{CORE_ML}{unit} refuses it: {' '.join(str(error).split())}")
    return found, "; ".join(notes)


def _core_ml(package, calls, unit: str, function: str) -> list[dict[str, Any]]:
    """What Core ML returns for each call. Errors: RuntimeError, in its own words, when it refuses."""
    model = native_core_ml.model(package, unit, function)
    state = model.make_state() if model.get_spec().description.state else None
    return [model.predict(dict(each), state=state) for each in calls]


def _divergence(
    source, inputs, arrays, framework, models: dict[str, Model], report: Report
) -> Divergence | None:
    """Where the first failing precision diverges, on the first call; Core ML shows no intermediates."""
    failing = [p for p in models if any(r.runtime == f"reference {p}" and not r.passed for r in report.rows)]
    if not failing:
        return None
    model = models[failing[0]]
    known = [*arrays.values(), *intermediates(source, inputs, framework)]
    state = model.make_state() if model.states else None
    return find_divergence(model, arrays, known, report.tolerance, state)
