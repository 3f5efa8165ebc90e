"""Writes packages for tests: cases as one program, several functions, and whole networks from torch."""

import copy
from pathlib import Path

import coremltools as ct
import numpy as np
from cases import Case
from coremltools.converters.mil import mil
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, types

OPSETS = {
    15: ct.target.iOS15,
    16: ct.target.iOS16,
    17: ct.target.iOS17,
    18: ct.target.iOS18,
    26: ct.target.iOS26,
}
# Core ML takes float32 and int32 arrays of rank 1 or more; anything else is made from these inside the
# program.
_FED = {"b": np.int32, "i": np.int32, "u": np.int32, "f": np.float32}


def fed(array: np.ndarray) -> np.ndarray:
    """An input as a model can take it."""
    return np.atleast_1d(array).astype(_FED[array.dtype.kind])


def feeds(case: Case, prefix: str) -> dict[str, np.ndarray]:
    """The inputs of a case under names of their own; arrays without elements are made in the program."""
    return {f"{prefix}_{name}": fed(value) for name, value in flat_inputs(case).items() if value.size}


def flat_inputs(case: Case) -> dict[str, np.ndarray]:
    """The inputs of a case, a tuple of arrays as one each."""
    flat = {}
    for name, value in case.inputs.items():
        flat |= {f"{name}{i}": v for i, v in enumerate(value)} if isinstance(value, tuple) else {name: value}
    return flat


def placeholder(array: np.ndarray):
    """The declaration of an input fed with `array`."""
    return mb.placeholder(shape=array.shape, dtype=types.int32 if array.dtype == np.int32 else types.fp32)


def received(name: str, array: np.ndarray, variables: dict):
    """The value of a case's input inside the program, in the type and rank of `array`."""
    if not array.size:
        return mb.fill(
            shape=list(array.shape),
            value=types.nptype_from_builtin(types.numpy_type_to_builtin_type(array.dtype))(0),
        )
    value = variables[name]
    if array.ndim == 0:
        value = mb.squeeze(x=value)
    if array.dtype not in (np.float32, np.int32):
        value = mb.cast(x=value, dtype=str(array.dtype))
    return value


def operation(case: Case, prefix: str, variables: dict) -> list:
    """The outputs of a case's operation inside the program being built, as float32 or int32."""
    arguments = dict(case.constants)
    for name, value in case.inputs.items():
        if isinstance(value, tuple):
            arguments[name] = tuple(
                received(f"{prefix}_{name}{i}", v, variables) for i, v in enumerate(value)
            )
        else:
            arguments[name] = received(f"{prefix}_{name}", value, variables)
    results = getattr(mb, case.operation)(**arguments)
    results = results if isinstance(results, (list, tuple)) else [results]
    named = []
    for i, result in enumerate(results):
        kind = "fp32" if result.dtype in (types.fp16, types.fp32) else "int32"
        named.append(mb.cast(x=result, dtype=kind, name=f"{prefix}_out{i}"))
    return named


def save_cases(group: list[Case], opset: int, path: Path) -> dict[str, list[str]]:
    """Write one program that holds every case; returns the output names by prefix."""
    inputs = {name: array for i, case in enumerate(group) for name, array in feeds(case, f"c{i}").items()}
    program, names, outputs = mil.Program(), {}, []
    placeholders = {name: placeholder(array) for name, array in inputs.items()}
    with Function(placeholders, opset_version=OPSETS[opset]) as function:
        for i, case in enumerate(group):
            results = operation(case, f"c{i}", function.inputs)
            names[f"c{i}"] = [result.name for result in results]
            outputs += results
        function.set_outputs(outputs)
    program.add_function("main", function)
    save(program, opset, path)
    return names


def save(
    program, opset: int, path: Path, precision=ct.precision.FLOAT32, passes=ct.PassPipeline.EMPTY, **options
) -> Path:
    """Convert a MIL program as it is, without passes, and save it."""
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=OPSETS[opset],
        compute_precision=precision,
        pass_pipeline=passes,
        **options,
    )
    model.save(str(path))
    return path


def folded(case: Case) -> tuple[np.ndarray, ...] | None:
    """What coremltools computes for the operation on constants; None where it computes nothing."""
    inputs = copy.deepcopy(case.inputs)  # folding thresholded_relu changes its argument
    with Function({"unused": mb.placeholder(shape=(1,))}, opset_version=OPSETS[case.opset]):
        results = getattr(mb, case.operation)(**case.constants, **inputs)
    results = results if isinstance(results, (list, tuple)) else [results]
    if case.operation.startswith("constexpr_"):  # folded only when weights are materialised
        values = results[0].op.materialized_val_inference()
        values = values if isinstance(values, tuple) else (values,)
    else:
        values = tuple(result.val for result in results)
    return None if any(value is None for value in values) else tuple(np.asarray(value) for value in values)
