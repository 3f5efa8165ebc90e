"""Compares a saved package with the network it came from, on this runtime and, on macOS, on Core ML itself.

The source always computes on the CPU. This runtime and Core ML on the CPU decide whether a package passes. A
GPU and the Neural Engine round more than the precision of a package says
(https://github.com/apple/coremltools/issues/2625), so their rows are for information only.

report = verify(network, "Network.mlpackage", {"x": x})
print(report)            # one line
report.table()           # one row per runtime and output
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from coreml_runtime.execution.limits import Refused
from coreml_runtime.execution.model import PRECISIONS, Model, readings
from coreml_runtime.format.package import description_of, open_package
from coreml_runtime.verification import native_core_ml
from coreml_runtime.verification.failing_call import locate
from coreml_runtime.verification.layouts import rms_relative
from coreml_runtime.verification.modes import training_mode
from coreml_runtime.verification.observation import FRAMEWORKS, as_numpy, call, framework_of
from coreml_runtime.verification.open_order import settled, told
from coreml_runtime.verification.report import Report, Row
from coreml_runtime.verification.source_on_cpu import on_cpu
from coreml_runtime.verification.unchanged import unchanged

# rms-relative. fp16 has 11 significant bits; tens of layers stay within ten units in the last place.
TOLERANCE = {"fp32": 1e-5, "fp16": 5e-3}
# A classifier's label follows from its probabilities, so it is not compared.
COMPARED = ("array", "image", "dictionary")
COMPUTE_UNITS = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")
DECIDING = COMPUTE_UNITS[:1]
CORE_ML = "Core ML "
REFERENCE = "reference "
SPACING = {True: 2.0**-10, False: 2.0**-23}  # of fp16 and of float32
# Core ML has its own kernels; for outputs of about one, coremltools allows them this error in float32
# (coremltools.converters.mil.frontend.torch.test.testing_utils, convert_and_compare: atol 1e-4).
CORE_ML_TOLERANCE = 1e-4
Source = Callable[..., Any] | Mapping[str, Any]
Calls = Sequence[Mapping[str, Any]]
Outputs = list[dict[str, Any]]
Expected = dict[str, list[np.ndarray]]


def verify(
    source: Source,
    package: str | Path,
    inputs: Mapping[str, Any] | Calls,
    *,
    framework: str | None = None,
    tolerance: float | None = None,
    precisions: Sequence[str] = PRECISIONS,
    compute_units: Sequence[str] = DECIDING,
    function: str = "main",
    models: Mapping[str, Model] | None = None,
) -> Report:
    """Compare what `source` and `package` compute on the same inputs, given by the package's input names.

    `source` is a torch or MLX callable that takes the inputs in order (an image as an array); its outputs
    are matched to the package's by name if it returns a dictionary with those names, and by order
    otherwise. It may also be a dictionary of the expected outputs of one call. A sequence of inputs is a
    series of calls that share a state. A source is given back as it was, and computes in its mode; the
    report says so when it is in training mode. `tolerance` is rms-relative: 1e-5, or 5e-3 for a package
    that computes in fp16. On macOS, Core ML runs the package with each of `compute_units`, of which only
    CPU_ONLY decides. `models` has the package as loaded before, by precision. ValueError when the
    framework is not known or the outputs do not match.
    """
    calls = [inputs] if isinstance(inputs, Mapping) else list(inputs)
    framework = _framework(source, calls[0], framework)
    try:
        models = models or readings(package, precisions, function)
        return _compared(source, package, models, calls, framework, tolerance, compute_units, function)
    except Refused as error:
        return _refused(package, function, precisions, tolerance, error)


def _compared(
    source: Source,
    package: str | Path,
    models: Mapping[str, Model],
    calls: Calls,
    framework: str | None,
    tolerance: float | None,
    compute_units: Sequence[str],
    function: str,
) -> Report:
    """The report of a package whose readings are loaded."""
    first = next(iter(models.values()))
    if tolerance is None:
        tolerance = TOLERANCE["fp16" if first.uses_fp16 else "fp32"]
    arrays = [{name: as_numpy(value) for name, value in each.items()} for each in calls]
    expected = _expected_outputs(source, calls, framework, first)
    notes = [training_mode(source)] if callable(source) else []
    found = {precision: _predictions(model, arrays, expected, notes) for precision, model in models.items()}
    rows = _rows({REFERENCE + name: each for name, each in found.items()}, expected, tolerance)
    more, note = _by_core_ml(package, arrays, compute_units, function)
    rows += _rows(more, expected, max(tolerance, CORE_ML_TOLERANCE))
    said = "; ".join(dict.fromkeys(filter(None, [*notes, note])))
    report = Report(str(package), tolerance, rows, note=said)
    if report.passed:
        return report
    return _explained(report, source, calls, framework, models, found, expected)


def _refused(
    package: str | Path,
    function: str,
    precisions: Sequence[str],
    tolerance: float | None,
    error: Refused,
) -> Report:
    """The report of a package that Core ML does not run, so that there is nothing to compare."""
    outputs = description_of(open_package(package).specification.description, function).output
    limit = TOLERANCE["fp32"] if tolerance is None else tolerance
    rows = [_failed_row(REFERENCE + name, each.name, (), limit) for name in precisions for each in outputs]
    return Report(str(package), limit, tuple(rows), reason=str(error))


def _explained(
    report: Report,
    source: Source,
    calls: Calls,
    framework: str | None,
    models: Mapping[str, Model],
    found: Mapping[str, Outputs],
    expected: Expected,
) -> Report:
    """The report of a failing package with the operation that diverges, or with why none is named."""
    failed = {row.runtime.removeprefix(REFERENCE) for row in report.rows if not row.passed}
    failing = next((precision for precision in models if precision in failed), None)
    if failing is None:
        reason = "no operation: this runtime agrees, and Core ML shows no values inside a package"
        return replace(report, reason=reason)
    if not callable(source):
        return replace(report, reason="no operation: of the source only the outputs are given")
    if training_mode(source):
        reason = "no operation: the source computes in training mode, a package does not"
        return replace(report, reason=reason)
    made = [{name: as_array(each[name]) for name in expected} for each in found[failing]]
    by_call = [{name: values[i] for name, values in expected.items()} for i in range(len(calls))]
    place = locate(source, framework, models[failing], calls, (made, by_call), report.tolerance)
    return replace(report, reason=place) if isinstance(place, str) else replace(report, divergence=place)


def _framework(source: Source, inputs: Mapping[str, Any], given: str | None) -> str | None:
    if not callable(source):
        return given
    framework = given or framework_of(source, inputs)
    if framework not in FRAMEWORKS:
        raise ValueError(f"framework '{framework}' is not known; known are {', '.join(FRAMEWORKS)}")
    return framework


def _rows(found: Mapping[str, Outputs | None], expected: Expected, tolerance: float) -> tuple[Row, ...]:
    """A row for each runtime and output; None stands for a runtime that refused the package."""
    return tuple(
        compare(runtime, name, [as_array(step[name]) for step in series], expected[name], tolerance)
        if series is not None
        else _failed_row(runtime, name, (), tolerance)
        for runtime, series in found.items()
        for name in expected
    )


def _failed_row(runtime: str, output: str, shape: tuple[int, ...], tolerance: float) -> Row:
    """The row of an output that is missing or has another shape."""
    decides = runtime.removeprefix(CORE_ML) not in COMPUTE_UNITS[1:]
    return Row(runtime, output, shape, np.inf, np.inf, np.inf, np.nan, False, tolerance, decides)


def compare(
    runtime: str, output: str, found: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float
) -> Row:
    """The errors of one output over a series of calls."""
    shape = tuple(np.shape(found[0]))
    pairs = list(zip(found, expected, strict=True))
    if any(np.atleast_1d(a).shape != np.atleast_1d(b).shape for a, b in pairs):
        return _failed_row(runtime, output, shape, tolerance)
    a, b = (np.concatenate([pair[i].reshape(-1).astype(np.float64) for pair in pairs]) for i in (0, 1))
    difference = np.abs(np.where(a == b, 0.0, a - np.where(a == b, 0.0, b)))
    scale = np.abs(b).max(initial=0.0, where=np.isfinite(b))
    rms = rms_relative(a, b)
    largest = float(difference.max(initial=0.0))
    return replace(
        _failed_row(runtime, output, shape, tolerance),
        max_absolute=largest,
        max_relative=largest / max(scale, 1e-30),
        rms_relative=rms,
        cosine=_cosine(a, b),
        passed=bool(rms <= tolerance),
    )


def as_array(value: Any) -> np.ndarray:
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


def _expected_outputs(source: Source, calls: Calls, framework: str | None, model: Model) -> Expected:
    """The expected outputs of each call by the package's output names."""
    names = [name for name, feature in model.outputs.items() if feature.kind in COMPARED]
    by_call = _source_outputs(source, calls, framework) if callable(source) else [source]
    keys = [key for key in by_call[0] if callable(source) or key in names or key not in model.outputs]
    if set(keys) == set(names) and len(by_call) == len(calls):
        return {name: [as_array(values[name]) for values in by_call] for name in names}
    if not callable(source):
        raise ValueError(
            f"the outputs to compare are {', '.join(names)}, for one call; given are "
            f"{', '.join(keys) or 'none'} for {len(calls)}"
        )
    if len(keys) != len(names):
        listed = ", ".join(names)
        raise ValueError(f"the source returns {len(keys)} values, the package {len(names)}: {listed}")
    return {name: [values[key] for values in by_call] for name, key in zip(names, keys, strict=True)}


def _source_outputs(source: Callable[..., Any], calls: Calls, framework: str | None) -> Outputs:
    try:
        with unchanged(source), on_cpu(source, framework):  # one block for all calls, so that a state lasts
            return [call(source, each, framework) for each in calls]
    except (RuntimeError, ValueError, TypeError) as error:
        shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in calls[0].items())
        error.add_note(f"the source raised this {type(error).__name__} for the inputs {shapes}")
        raise


def _predictions(model: Model, calls: Calls, expected: Expected, notes: list[str]) -> Outputs:
    """The outputs of each call, those of an open order in that of the expected ones; `notes` tells of
    these.
    """
    wanted = {rule.operand for rule in model.unordered.values()}
    operands: list[dict[str, np.ndarray]] = [{} for _ in calls]
    hooks = [partial(_keep, kept, wanted) if wanted else None for kept in operands]
    if model.states:
        state = model.make_state()
        series = [model.predict(each, state, hook=hook) for each, hook in zip(calls, hooks, strict=True)]
    else:
        series = model.predict_each(calls, hooks)
    for i, (given, outputs) in enumerate(zip(calls, series, strict=True)):
        for name, rule in model.unordered.items():
            if name not in expected or not isinstance(outputs.get(name), np.ndarray):
                continue
            operand = operands[i].get(rule.operand, given.get(rule.operand))
            if operand is None:
                continue
            spacing = SPACING[model.uses_fp16]
            same = settled(outputs[name], expected[name][i], np.asarray(operand), rule, spacing)
            if not np.array_equal(same, outputs[name]):
                notes.append(told(name, rule))
                outputs[name] = same
    return series


def _keep(kept: dict[str, np.ndarray], wanted: set[str], _: Any, name: str, value: Any) -> None:
    """A hook that keeps the values of some names."""
    if name in wanted:
        kept[name] = value.numpy().copy()


def _by_core_ml(
    package: str | Path, calls: Calls, units: Sequence[str], function: str
) -> tuple[dict[str, Outputs | None], str]:
    """The outputs of Core ML by compute units, None if it refuses the package, and a note that says why."""
    if not native_core_ml.here() or not units:
        return {}, ""
    if missing := native_core_ml.unmet_requirement(package):
        return {}, f"Core ML itself {missing}"
    found: dict[str, Outputs | None] = {}
    notes = []
    for unit in units:
        try:
            found[f"{CORE_ML}{unit}"] = _core_ml(package, calls, unit, function)
        except RuntimeError as error:
            found[f"{CORE_ML}{unit}"] = None
            notes.append(f"{CORE_ML}{unit} refuses the package: {' '.join(str(error).split())}")
    return found, "; ".join(notes)


def _core_ml(package: str | Path, calls: Calls, unit: str, function: str) -> Outputs:
    """The outputs of Core ML for each call; RuntimeError with its message if it refuses the package."""
    model = native_core_ml.model(package, unit, function)
    state = model.make_state() if model.get_spec().description.state else None
    return [model.predict(dict(each), state=state) for each in calls]
