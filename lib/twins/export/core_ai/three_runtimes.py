"""One call in three runtimes: MLX, Core ML's reference runtime, Core AI's interpreter, as records.

The interpreter is Apple's compiled code, so that a fresh process runs it; when that dies, the call it died on
is a row and the others go on.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mlx_coreml.backends.coreai import installed
from mlx_coreml.conversion.convert import convert
from mlx_coreml.coverage import find
from mlx_coreml.coverage.cases.case import Case
from mlx_coreml.ir.errors import MISTAKES, told
from mlx_coreml.verification.side_by_side import LIMITS, SideBySide, side_by_side
from twins.export.conversion_process import Task, place
from twins.frameworks import MLX
from twins.machine import fresh_process
from twins.records import bounds, store
from twins.records.export_types import DIRECT, FROM_MLX, Conversion, ThreeRuntimes
from twins.timing.progress import tell

PRECISIONS = ("float32", "float16")
GROUPS = ("layer", "operation")  # of the converter's coverage
MODELS, SUMS = "models", "sums"
SHORT = {"float32": "fp32", "float16": "fp16"}
Call = dict[str, Any]


def of_models(tasks: Sequence[Task], records: Sequence[Conversion], folder: Path) -> list[Call]:
    """The calls of the models that have both a package and an asset in a folder of conversions."""
    made = {(r.model, r.case["precision"], r.route) for r in records if r.size}
    calls = []
    for task in tasks:
        both = [(task.model, task.precision, route) for route in (DIRECT, FROM_MLX)]
        if made.issuperset(both):
            files = [str(place(folder, route, task.model, task.precision)) for route in (DIRECT, FROM_MLX)]
            call = {"model": task.model, "precision": task.precision, "group": MODELS, "files": files}
            calls.append(call | {"source": task.source, "arguments": task.arguments})
    return calls


def of_cases(every: int, precisions: Sequence[str] = PRECISIONS) -> list[Call]:
    """The calls of every n-th layer and operation of the converter's coverage; none for 0."""
    if not every or installed.missing():
        return []
    cases = [case for case in find(list(GROUPS)) if isinstance(case, Case)][::every]
    return [
        {"model": bounds.label(case.name), "precision": precision, "group": case.group, "case": case.name}
        for case in cases
        for precision in precisions
    ]


def of_sums(lengths: Sequence[int], precisions: Sequence[str] = PRECISIONS) -> list[Call]:
    """A matrix product of ones for each length, whose exact result is the length.

    Added one after another in half precision it stops at 2048: 2048 + 1 is no number of fp16.
    """
    if installed.missing():
        return []
    return [
        {"model": f"product of {length} ones", "precision": precision, "group": SUMS, "length": length}
        for length in lengths
        for precision in precisions
    ]


def measured(calls: Sequence[Call]) -> Iterator[ThreeRuntimes]:
    """What the runtimes make of each call; one that a converter refuses is left out."""
    left = list(calls)
    while left:
        with tempfile.TemporaryDirectory() as folder:
            rows, words = Path(folder, "rows.jsonl"), ""
            try:
                given = {"calls": left, "rows": str(rows)}
                fresh_process.call("twins.export.core_ai.three_runtimes:take", given)
            except fresh_process.EndedError as error:
                words = error.how
            lines = rows.read_text().splitlines() if rows.exists() else []
        yield from (msgspec.json.decode(line, type=ThreeRuntimes) for line in lines if line != "null")
        left = left[len(lines) :]
        if left:
            yield _row(left.pop(0), None, f"the process that ran it {words}")


def take(calls: list[Call], rows: str) -> None:
    """The work of a fresh process: a line in a file for every call, written as soon as it is done."""
    for call in calls:
        found = (_by_files if "files" in call else _by_sum if "length" in call else _by_case)(call)
        with Path(rows).open("a") as file:
            file.write(f"{store.json_line(found)}\n" if found else "null\n")
        tell(f"three runtimes: {call['model']}")


def _by_files(call: Call) -> ThreeRuntimes:
    model, example = fresh_process.find(call["source"])(**call["arguments"], framework="MLX")
    return _compared(call, model, example, *call["files"])


def _by_case(call: Call) -> ThreeRuntimes | None:
    """The result of a case of the coverage; None where a format refuses it, which the coverage counts."""
    (case,) = [c for c in find([call["group"]]) if isinstance(c, Case) and c.name == call["case"]]
    return _converted(call, case.make)


def _by_sum(call: Call) -> ThreeRuntimes | None:
    ones = MLX.array(np.ones((call["length"], 8), np.float32))
    return _converted(call, lambda: (lambda x: x @ ones, (ones.T,)))


def _converted(call: Call, make: Callable[[], tuple]) -> ThreeRuntimes | None:
    """The result of a function and its example that are converted here."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder, f"case{suffix}")) for suffix in (".mlpackage", ".aimodel")]
        try:
            fn, example = make()
            for to, path in zip(("coreml", "coreai"), files, strict=True):
                convert(fn, *example, precision=call["precision"], check=False, to=to).save(path)
        except MISTAKES:
            return None
        return _compared(call, fn, example, *files)


def _compared(call: Call, model: Any, example: Sequence, package: str, asset: str) -> ThreeRuntimes:
    try:
        found = side_by_side(model, package, asset, *example)
    except MISTAKES as error:
        return _row(call, None, f"one of them does not run: {told(error)}")
    return _row(call, found, found.cause)


def _row(call: Call, found: SideBySide | None, cause: str) -> ThreeRuntimes:
    errors = {
        f"{one} against {other}": float(error) if np.isfinite(error) else None
        for (one, other), error in (found.errors if found else {}).items()
    }
    limit = found.tolerance if found else LIMITS[SHORT[call["precision"]]]
    case = {"precision": call["precision"], "group": call["group"]}
    return ThreeRuntimes(call["model"], case, errors, limit, cause)
