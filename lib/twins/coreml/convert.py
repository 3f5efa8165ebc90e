"""Converts an MLX module or function to a Core ML model in one call, and checks it against MLX.

model = convert(network, mx.zeros((1, 28, 28, 1)))
model.save("Network.mlpackage")
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import coremltools as ct

from twins.coreml.capture import as_flat, capture
from twins.coreml.errors import ConversionError, WrongModelError
from twins.coreml.lowering.precision import PRECISIONS
from twins.coreml.lowering.program import build
from twins.coreml.passes import simplify
from twins.coreml.verify import Report, verify
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

from mlx.utils import tree_flatten  # isort: skip

TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "mixed": 2e-2}  # rms-relative


def convert(
    fn: Callable,
    *example: Any,
    outputs: Sequence[str] | None = None,
    deployment_target: str = "iOS17",
    precision: str = "float16",
    metadata: dict[str, str] | None = None,
    check: bool = True,
) -> ct.models.MLModel:
    """The Core ML model of an MLX module or function, with the shapes and types of the example.

    Errors: ConversionError saying what cannot be converted; WrongModelError when `check` finds
    that the model, run by the reference runtime, does not compute what MLX computes.
    """
    target = _target(deployment_target)
    if precision not in PRECISIONS:
        raise ConversionError(f"precision '{precision}' is not known; known are {', '.join(PRECISIONS)}")
    graph = simplify(capture(fn, *example, outputs=outputs))
    program = build(graph, precision, target)
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=ct.precision.FLOAT32,  # the program is typed already
        skip_model_load=True,
    )
    for key, value in (metadata or {}).items():
        model.user_defined_metadata[key] = value
    if check:
        report = compare(model, fn, example, precision)
        if not report.passed:
            raise WrongModelError(f"the converted model is not what MLX computes: {report}")
    return model


def compare(model: ct.models.MLModel, fn: Callable, example: Sequence[Any], precision: str) -> Report:
    """What `verify` says of a converted model on the example's numbers."""
    names = [feature.name for feature in model.get_spec().description.input]
    arrays = [leaf for value in example for _, leaf in tree_flatten([value])]
    inputs = {name: _fed(array) for name, array in zip(names, arrays, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.mlpackage")
        model.save(str(path))
        return verify(as_flat(fn, example), path, inputs, framework="mlx", tolerance=TOLERANCE[precision])


def _fed(array: mx.array) -> mx.array:
    return mx.atleast_1d(array)


def _target(name: str) -> ct.target:
    known = [each.name for each in ct.target]
    if name not in ct.target.__members__:
        raise ConversionError(f"deployment target '{name}' is not known; known are {', '.join(known)}")
    return ct.target[name]
