"""Judges one usage: converted as a user would, then run on calls that the conversion never saw.

It shares nothing with the check of a conversion: the truth is the user's function, made anew, in evaluation
mode and float32, and the package is loaded from disk by the reference runtime.
"""

import contextlib
import dataclasses
import inspect
import io
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from coreml_runtime import load
from mlx_coreml.conversion.convert import convert
from mlx_coreml.coverage.differences import STATE_TOLERANCE, TOLERANCES, difference
from mlx_coreml.coverage.outcomes import Outcome
from mlx_coreml.coverage.usage_cases.usage import Call, Made, Usage
from mlx_coreml.coverage.user_objects import changes, evaluated, pictured, widened
from mlx_coreml.ir.errors import MISTAKES, ConversionError, told

import mlx.nn as nn  # isort: skip

LONGEST = 900  # characters of a refusal


class Fault(Exception):
    """A verdict that is not right, and its reason."""

    def __init__(self, verdict: str, reason: str):
        super().__init__(reason)
        self.verdict, self.reason = verdict, reason


def judge_usage(usage: Usage, precision: str = "float32") -> Outcome:
    """Convert one usage and run it.

    Right: every output of every unseen call agrees, the user's objects are as before, nothing was printed,
    and there was at most one warning. Refused: as the usage expects. Crash: a refusal that it does not
    expect, or any other error. Wrong: everything else. `precision` is for usages that ask for none.
    """
    start = time.perf_counter()
    verdict, reason, error, operations = "right", "", float("nan"), 0
    try:
        error, operations = _judged(usage, precision)
    except Fault as fault:
        verdict, reason = fault.verdict, fault.reason
    except MISTAKES as mistake:
        verdict, reason = "crash", told(mistake)
    spent = round(time.perf_counter() - start, 3)
    return Outcome(usage.group, usage.name, verdict, reason, error, operations, spent)


def _judged(usage: Usage, precision: str) -> tuple[float, int]:
    made = usage.make()
    options = {"precision": precision} | dict(made.options)
    objects = (made.fn, made.example.args, dict(made.example.named))
    before = pictured(*objects)
    caught, printed, refusal, model = _converted(made, options)
    changed = changes(before, pictured(*objects))
    if changed:
        raise Fault("wrong", f"the user's objects changed: {'; '.join(changed)[:300]}")
    if refusal is not None:
        raise _refused(usage, refusal)
    if usage.refused:
        raise Fault("wrong", f"converted; it must be refused: {usage.refused}")
    if printed:
        raise Fault("wrong", f"the conversion printed {printed[:200]!r}")
    if len(caught) > 1:
        raise Fault("wrong", f"{len(caught)} warnings: {' | '.join(text[:150] for text in caught)}")
    least = STATE_TOLERANCE if "states" in options else 0.0
    tolerance = made.tolerance or max(TOLERANCES[str(options["precision"])], least)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "usage.mlpackage"))
        model.save(path)
        error = _compared(usage, path, options.get("states", {}), tolerance)
    function = model.get_spec().mlProgram.functions["main"]
    return error, len(function.block_specializations[function.opset].operations)


def _converted(made: Made, options: Mapping[str, Any]) -> tuple[list[str], str, Exception | None, Any]:
    """The warnings, what was printed, the error and the model of one conversion."""
    refusal = model = None
    with warnings.catch_warnings(record=True) as caught, _quiet() as printed:
        for category in (UserWarning, RuntimeWarning, FutureWarning):
            warnings.simplefilter("always", category)
        try:
            model = convert(made.fn, *made.example.args, **made.example.named, **options)
        except MISTAKES as error:
            refusal = error
    return [str(each.message) for each in caught], printed(), refusal, model


def _refused(usage: Usage, error: Exception) -> Fault:
    text = told(error)
    if not isinstance(error, ConversionError):
        return Fault("crash", text)
    if not usage.refused:
        return Fault("crash", f"a refusal that the usage does not expect: {text}")
    if not re.search(usage.refused, str(error)) or "\n" in str(error) or len(str(error)) > LONGEST:
        return Fault("crash", f"refused by another sentence than {usage.refused!r}: {text}")
    return Fault("refused", text)


@contextlib.contextmanager
def _quiet() -> Iterator:
    """Keeps what Python and libraries print; yields a function that tells it afterwards."""
    kept, said = io.StringIO(), []
    with tempfile.TemporaryFile() as file, contextlib.redirect_stdout(kept), contextlib.redirect_stderr(kept):
        theirs = [os.dup(number) for number in (1, 2)]
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            yield lambda: "".join(said)
        finally:
            for number, original in zip((1, 2), theirs, strict=True):
                os.dup2(original, number)
                os.close(original)
            file.seek(0)
            said += [kept.getvalue(), file.read().decode(errors="replace")]


def _compared(usage: Usage, path: str, states: Mapping[str, int | str], tolerance: float) -> float:
    """The largest error over the unseen calls. Errors: Fault."""
    model = load(path)
    state = model.make_state() if states else None
    worst, carried = 0.0, None
    for i in range(len(usage.make().unseen)):
        wanted, given, carried = _truth(usage, i, states, carried)
        names = [name for name, feature in model.inputs.items() if feature.kind != "state"]
        if len(names) != len(given):
            raise Fault(
                "wrong", f"{len(names)} inputs ({', '.join(names)}), the call has {len(given)} arrays"
            )
        fed = {
            name: np.atleast_1d(each).astype(model.inputs[name].dtype)
            for name, each in zip(names, given, strict=True)
        }
        found = model.predict(fed, state)
        if len(found) != len(wanted):
            raise Fault("wrong", f"outputs {', '.join(found)}; the function returns {len(wanted)}")
        for (name, ours), theirs in zip(found.items(), wanted, strict=True):
            text, error = difference(ours, theirs, tolerance)
            worst = max(worst, error)
            if text:
                shapes = ", ".join(str(np.shape(each)) for each in given)
                raise Fault("wrong", f"call {i} of {shapes}, {name}: {text}")
    return worst


def _truth(usage: Usage, i: int, states: Mapping[str, int | str], carried: dict | None) -> tuple:
    """What unseen call `i` must give, its arrays that are no states, and the states after it."""
    made = usage.make()
    unseen = made.unseen[i]
    fn = made.truth or made.fn
    evaluated(fn)
    given = dict(_named(fn, unseen) if states else {})
    fed = [a for name, v in given.items() if name not in states for a in arrays(v)] if states else None
    with mx.stream(mx.cpu):
        if not states:
            args, named = wide((unseen.args, dict(unseen.named)))
            numbers = [as_numpy(array) for array in arrays((unseen.args, unseen.named))]
            return [as_numpy(a) for a in arrays(fn(*args, **named), numbers=True)], numbers, None
        zero = wide({name: given[name] for name in states}, lambda a: mx.zeros_like(widened(a)))
        result = fn(**wide({name: given[name] for name in given if name not in states}), **(carried or zero))
        carried = {name: result[key] for name, key in states.items()}
        keys = result if isinstance(result, dict) else range(len(result))
        rest = [result[key] for key in keys if key not in states.values()]
        wanted = [as_numpy(a) for a in arrays(rest, numbers=True)]
        mx.eval(carried)
    return wanted, [as_numpy(array) for array in fed or []], carried


def _named(fn: Any, unseen: Call) -> Mapping[str, Any]:
    return inspect.signature(fn).bind(*unseen.args, **unseen.named).arguments


def as_numpy(value: Any) -> np.ndarray:
    """An array of MLX, NumPy or one number; half types in float32."""
    return np.array(widened(value)) if isinstance(value, mx.array) else np.asarray(value)


def arrays(value: Any, numbers: bool = False) -> list:
    """The arrays in a structure, in order; with `numbers`, Python's numbers in it too."""
    if isinstance(value, mx.array | np.ndarray | np.generic):
        return [value]
    if isinstance(value, bool | int | float):
        return [value] if numbers else []
    if isinstance(value, nn.Module):
        return []
    if isinstance(value, Mapping):
        return [array for each in value.values() for array in arrays(each, numbers)]
    if isinstance(value, list | tuple):
        return [array for each in value for array in arrays(each, numbers)]
    if hasattr(value, "__dict__") and not isinstance(value, type):
        plain = not dataclasses.is_dataclass(value)
        return [array for each in vars(value).values() for array in arrays(each, numbers and not plain)]
    return []


def wide(value: Any, change: Any = widened) -> Any:
    """A structure with its half-precision arrays in float32, objects in it copied."""
    if isinstance(value, mx.array):
        return change(value)
    if isinstance(value, np.ndarray):
        return change(mx.array(value))
    if type(value) is dict:
        return {key: wide(each, change) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(wide(each, change) for each in value))
    if isinstance(value, list | tuple):
        return type(value)(wide(each, change) for each in value)
    return value
