"""Converts to Core AI, and checks the asset with Core AI's interpreter: imported only when that is asked for.

The graph is captured, cleaned up, given its precision and compared with MLX as for Core ML.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlx_coreml.backends.coreai.asset import CoreAIModel
from mlx_coreml.backends.coreai.interpreter import Interpreter
from mlx_coreml.backends.coreai.program import build
from mlx_coreml.backends.coreai.refused import OPTIONS
from mlx_coreml.backends.mil.precision import in_fp32
from mlx_coreml.capture.arguments import function_name
from mlx_coreml.capture.captured_state import held
from mlx_coreml.capture.tracing import as_flat, capture, flat_inputs
from mlx_coreml.conversion.check import Check, check_is_installed, check_model
from mlx_coreml.conversion.progress import Progress
from mlx_coreml.conversion.source import source_of
from mlx_coreml.ir.errors import ConversionError, WrongModelError, dictionary
from mlx_coreml.passes import simplify

if TYPE_CHECKING:
    from coreml_runtime import Report
    from mlx_coreml.conversion.convert import Request

NAME = "Core AI interpreter"
HIDDEN = "no operation: the interpreter shows no values inside an asset"


def converted(request: Request, told: Mapping[str, str], metadata: Mapping, level: str) -> CoreAIModel:
    """The checked asset of a request; `told` and `metadata` are written into it.

    Errors: ConversionError for what does not move over to Core AI; WrongModelError.
    """
    refuse_options(request)
    if level != "off":
        check_is_installed()
    start = time.monotonic()
    with Progress(function_name(request.fn)).shown_while() as progress:
        progress.at("traces", 0.0)
        graph = capture(request.fn, *request.example, outputs=request.outputs)
        arrays = [array for _, array in flat_inputs(request.fn, request.example)]
        flat = as_flat(request.fn, request.example)
        source = source_of(function_name(request.fn), flat, graph, arrays)
        progress.at("lowers", 0.05)
        exact = in_fp32([simplify(graph)], request.precision)
        program = build(graph, request.precision != "float32", exact)
        progress.at("writes the asset", 0.2)
        model = CoreAIModel(program)
        about = {"check": level, "precision": request.precision}
        model.describe(told | dict(dictionary(metadata, "metadata")) | about)
        if level != "off":
            spent = time.monotonic() - start
            check = Check(source, model.package_path, [arrays], request.precision, level, spent, CoreAI())
            with held(request.fn).kept():  # in evaluation mode, as it was captured
                model.describe(check_model(check, progress).told())
    return model


def refuse_options(request: Request) -> None:
    """Errors: ConversionError for the first option that does not move over to Core AI."""
    for name, reason in OPTIONS.items():
        if getattr(request, name):
            raise ConversionError(f"to='coreai' with {name}: {reason}")


@dataclass(frozen=True)
class End:
    """An output of an asset, as the check reads it."""

    kind: str = "array"


@dataclass
class Loaded:
    """An asset in the interpreter, with what the check asks of a model."""

    interpreter: Interpreter
    outputs: dict[str, End] = field(init=False)
    states: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.outputs = {name: End() for name in self.interpreter.output_names}

    def predict(self, inputs: Mapping[str, np.ndarray], state: None = None) -> dict[str, np.ndarray]:
        """The outputs by name."""
        return self.interpreter.predict(inputs)


class CoreAI:
    """Core AI as what runs a converted model for its check."""

    def load(self, package: str | Path, limited: bool) -> dict[str, Loaded]:
        """The asset in the interpreter, which computes in the types of the program."""
        try:
            return {"strict": Loaded(Interpreter(package))}
        except RuntimeError as error:
            raise WrongModelError(str(error)) from error

    def compare(
        self, check: Check, calls: Sequence[dict], models: Mapping[str, Loaded], tolerance: float
    ) -> Report:
        """What the source and the interpreter make of the same calls."""
        from coreml_runtime import Report
        from coreml_runtime.verification.comparison import compare
        from coreml_runtime.verification.observation import as_numpy

        model, source = models["strict"], check.source.callable()
        wanted = [[as_numpy(each) for each in source(*inputs.values())] for inputs in calls]
        found = [_predicted(model, {name: as_numpy(each) for name, each in i.items()}) for i in calls]
        rows = tuple(
            compare(NAME, name, [each[name] for each in found], [each[i] for each in wanted], tolerance)
            for i, name in enumerate(model.outputs)
        )
        report = Report(str(check.package), tolerance, rows)
        return report if report.passed else replace(report, reason=HIDDEN)


def _predicted(model: Loaded, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    try:
        return model.predict(inputs)
    except RuntimeError as error:
        raise WrongModelError(f"the converted model does not run: {error}") from error
