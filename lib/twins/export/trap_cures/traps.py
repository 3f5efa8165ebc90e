"""Traps on the way to Core ML as a table: what one sees, why, the cure on each side, all of it run live."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from coreml_runtime import inspect
from coreml_runtime.verification.comparison import verify
from mlx_coreml.conversion.convert import convert
from mlx_coreml.ir.errors import ConversionError
from twins.evidence.answers.shipping import TRAPS
from twins.export.conversion_process import MISTAKES, line_of, words
from twins.export.trap_cures import pitfalls
from twins.records.export_types import Coverage

import torch  # isort: skip  (after twins.export.trap_cures.pitfalls: the BLAS)


@dataclass(frozen=True)
class Trap:
    """Something that goes wrong, why, and the cure on each side; the code of all three is run live."""

    see: str
    cause: str
    in_pytorch: str
    in_mlx: str
    trap: Callable[[], tuple]
    cure: Callable[[], tuple]
    mlx: Callable[[], tuple]


LARGEST = f"{float(np.finfo(np.float16).max):,.0f}"
KNOWN = (
    Trap(
        "Norms give NaN or zeros",
        f"fp16 ends at {LARGEST}; a square of 256 overflows",
        "keep squares and sums in float32, by op_selector",
        "nothing: found and kept in float32",
        pitfalls.overflow,
        pitfalls.overflow_cured,
        pitfalls.mlx_overflow,
    ),
    Trap(
        "Token ids give wrong rows",
        "undeclared integers become fp16 from iOS 16 on, where ids round together",
        "declare it: ct.TensorType(dtype=np.int32)",
        "nothing: the type is that of the example",
        pitfalls.undeclared,
        pitfalls.declared,
        pitfalls.mlx_integers,
    ),
    Trap(
        "A masked softmax gives NaN",
        "the least float32 is −∞ in fp16, and 0 × −∞ is NaN",
        "mask with a number that fp16 holds: −1e4",
        "nothing: −∞ is handled",
        pitfalls.infinite_mask,
        pitfalls.finite_mask,
        pitfalls.mlx_mask,
    ),
    Trap(
        "Only one length works",
        "the example's shape is fixed",
        "a range: Dim in the capture, RangeDim in ct.convert",
        'flexible={"ids": {1: (2, 64)}}',
        pitfalls.fixed_length,
        pitfalls.any_length,
        pitfalls.mlx_any_length,
    ),
    Trap(
        "An LSTM is not supported",
        "coremltools lacks torch.export's operation",
        "trace the module: torch.jit.trace",
        "nothing: converted",
        pitfalls.exported_recurrence,
        pitfalls.traced_recurrence,
        pitfalls.mlx_recurrence,
    ),
)


def table(traps: Sequence[Trap] = KNOWN) -> pd.DataFrame:
    """What one sees, why, and what to do on each side."""
    rows = [(trap.see, trap.cause, trap.in_pytorch, trap.in_mlx) for trap in traps]
    return pd.DataFrame(rows, columns=["you see", "cause", "do this in PyTorch", "in the MLX converter"])


def tried(traps: Sequence[Trap] = KNOWN) -> tuple[pd.DataFrame, Coverage]:
    """Every trap and its cures, run now: a row each, and how many traps are silent, stop, or do not show.

    A trap counts as "wrong" where its package fails the check, as "crash" where an error stops it.
    """
    rows, outcomes, reasons = [], {"wrong": 0, "crash": 0, "right": 0}, {}
    cured = 0
    for trap in traps:
        found = [_row(each) for each in (trap.trap, trap.cure, trap.mlx)]
        outcome = _outcome(found[0]["check"])
        outcomes[outcome] += 1
        if outcome != "right":
            reasons[f"{trap.see}: {found[0]['check'][:160]}"] = 1
        cured += all(_outcome(each["check"]) == "right" for each in found[1:])
        for side, row in zip(("trap", "cure in PyTorch", "MLX converter"), found, strict=True):
            rows.append({"you see": trap.see, "code": side} | row)
    case = {"cured": cured, "of": len(traps)}
    return pd.DataFrame(rows), Coverage("PyTorch", TRAPS, case, outcomes, reasons)


def _outcome(check: str) -> str:
    return "right" if " passes: " in check else "wrong" if " FAILS: " in check else "crash"


def confirmed(found: Coverage) -> str:
    """Which traps showed when they were run, and how many cures work, in a sentence."""
    wrong, stop = found.outcomes["wrong"], found.outcomes["crash"]
    told = f"{wrong} give a wrong package silently, {stop} stop with an error"
    more = f", {found.outcomes['right']} no longer show with these versions" * bool(found.outcomes["right"])
    return f"Run on this page: {told}{more}; the cures work for {found.case['cured']} of {found.case['of']}."


def refused(functions: Sequence[Callable] = pitfalls.REFUSED) -> pd.DataFrame:
    """What the MLX converter refuses: what is done, and the error message; "converted" where it is not."""
    return pd.DataFrame([_refused(function) for function in functions])


def _refused(function: Callable) -> dict[str, str]:
    row = {"you write": function.__doc__.strip().rstrip(".")}
    try:
        convert(function, *pitfalls.EXAMPLES[function.__name__], check=False)
    except ConversionError as error:
        return row | {"error": type(error).__name__, "message": str(error).splitlines()[0]}
    return row | {"error": "none", "message": "converted"}


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Suppress progress bars and warnings, which are in the records."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def live(*functions: Callable[[], tuple]) -> pd.DataFrame:
    """Run these functions: a row each with the package's inputs and its check, or the error message."""
    return pd.DataFrame([_row(function) for function in functions])


def _row(function: Callable[[], tuple]) -> dict[str, str]:
    row = {"what is done": function.__doc__.strip().rstrip(".")}
    with tempfile.TemporaryDirectory() as folder, silent():
        path = Path(folder, f"{function.__name__}.mlpackage")
        try:
            source, arrays, model = function()
            model.save(str(path))
            held = inspect(path)
            inputs = dict(zip(_names(path), arrays, strict=True))
            framework = "torch" if isinstance(source, torch.nn.Module) else "mlx"
            report = verify(source, path, inputs, framework=framework, tolerance=5e-3)
        except MISTAKES as error:
            return row | {"inputs": "–", "check": words(error)}
    return row | {"inputs": ", ".join(map(str, held.inputs)), "check": line_of(report)}


def _names(path: Path) -> list[str]:
    from coreml_runtime import load

    return list(load(path).inputs)
