"""Judges one case: converted, saved, run by the reference runtime on two draws, compared with MLX."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np
from coremltools.models import MLModel

from coreml_runtime import load
from coreml_runtime.verification.observation import as_numpy
from mlx_coreml.capture.tracing import as_flat
from mlx_coreml.conversion.convert import convert
from mlx_coreml.coverage.cases.case import Case
from mlx_coreml.coverage.differences import HALF_TOLERANCE, difference
from mlx_coreml.coverage.generation import GENERATION, generated
from mlx_coreml.coverage.outcomes import Outcome
from mlx_coreml.coverage.usage_cases.usage import Usage
from mlx_coreml.coverage.usage_judge import judge_usage
from mlx_coreml.ir.errors import MISTAKES, ConversionError, told

from mlx.utils import tree_flatten  # isort: skip

if TYPE_CHECKING:
    from mlx_coreml.backends.coreai.asset import CoreAIModel

Loaded = tuple[Mapping[str, Any], Callable[[dict], dict]]
DRAWS = (0, 1)  # the example, and numbers the converter has not seen


def judge(case: Case | Usage, precision: str = "float32", to: str = "coreml") -> Outcome:
    """Convert and run one case; a usage as `judge_usage` says. `to` is the format: coreml or coreai.

    Right: every output of both draws agrees. Refused: the converter says in one sentence of its own why it
    cannot convert it. Wrong: the model computes something else. Crash: any other error.
    """
    if isinstance(case, Usage):
        return judge_usage(case, precision)
    start = time.perf_counter()
    if case.group == GENERATION:
        verdict, reason, error, operations = generated(case, precision)
    else:
        verdict, reason, error, operations = _judged(case, precision, to)
    spent = time.perf_counter() - start
    return Outcome(case.group, case.name, verdict, reason, error, operations, round(spent, 3))


def _judged(case: Case, precision: str, to: str) -> tuple[str, str, float, int]:
    try:
        fn, example = case.make()
        wanted = [_wanted(fn, case.arrays(draw)) for draw in DRAWS]
    except MISTAKES as error:  # a release of MLX may lack what the case is about
        return "crash", f"MLX does not run the case: {told(error)}", float("nan"), 0
    try:
        converted = convert(fn, *example, precision=precision, check=False, to=to)
    except ConversionError as error:
        return "refused", told(error), float("nan"), 0
    except MISTAKES as error:
        return "crash", told(error), float("nan"), 0
    operations = _operations(converted)
    tolerance = case.tolerance if precision == "float32" else HALF_TOLERANCE
    try:
        model = _saved(converted)
        faults = [_faults(model, case.arrays(draw), wanted[draw], tolerance) for draw in DRAWS]
    except MISTAKES as error:
        return "crash", f"the model does not run: {told(error)}", float("nan"), operations
    reason = next((text for text, _ in faults if text), "")
    return "wrong" if reason else "right", reason, max(error for _, error in faults), operations


def _operations(converted: MLModel | CoreAIModel) -> int:
    """How many operations a program has; those of Core AI are not counted."""
    if not isinstance(converted, MLModel):
        return 0
    function = converted.get_spec().mlProgram.functions["main"]
    return len(function.block_specializations[function.opset].operations)


def _saved(converted: MLModel | CoreAIModel) -> Loaded:
    """The types of the inputs by name, and what predicts: loaded from the package on disk."""
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(converted, MLModel):
            path = str(Path(folder, "case.mlpackage"))
            converted.save(path)
            model = load(path)
            return {name: feature.dtype for name, feature in model.inputs.items()}, model.predict
        from mlx_coreml.backends.coreai.interpreter import Interpreter

        interpreter = Interpreter(converted.save(Path(folder, "case.aimodel")))
        return interpreter.input_types, interpreter.predict


def _wanted(fn: Callable, arrays: Sequence[mx.array]) -> list[np.ndarray]:
    with mx.stream(mx.cpu):
        return [as_numpy(made) for made in as_flat(fn, arrays)(*(a for _, a in tree_flatten(list(arrays))))]


def _faults(
    loaded: Loaded, arrays: Sequence[mx.array], wanted: Sequence[np.ndarray], tolerance: float
) -> tuple[str, float]:
    """What is wrong with the outputs for one draw, and the largest rms-relative error."""
    types, predict = loaded
    fed = {
        name: np.atleast_1d(as_numpy(array)).astype(kind)
        for (name, kind), array in zip(types.items(), arrays, strict=True)
    }
    found = predict(fed)
    if len(found) != len(wanted):
        return f"{len(found)} outputs, MLX returns {len(wanted)}", float("inf")
    checked = [difference(found[name], array, tolerance) for name, array in zip(found, wanted, strict=True)]
    told = [f"{name}: {text}" for name, (text, _) in zip(found, checked, strict=True) if text]
    return "; ".join(told), max(error for _, error in checked)
