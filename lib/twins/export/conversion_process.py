"""The work of a fresh process that converts: each task by its route, checked on the reference runtime.

What a converter raises is a failed row with its error message; any other error ends the process.
"""

import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import coremltools as ct
import msgspec
import numpy as np

from coreml_runtime import inspect
from coreml_runtime.verification.comparison import CORE_ML, CORE_ML_TOLERANCE, TOLERANCE, Report, verify
from twins.export import routes
from twins.export.steps import asset_check, core_ai
from twins.export.steps.core_ai import ASSET
from twins.machine import fresh_process
from twins.records import store
from twins.records.export_types import LIMITS, Conversion
from twins.timing.progress import tell

# What converters raise when they fail; any other error ends the process, which is a row as well.
MISTAKES = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError)
MISTAKES += (AssertionError, ImportError)
PACKAGE = "network.mlpackage"


@dataclass(frozen=True)
class Task:
    """A model to convert: where a fresh process finds it, in which precision, and how often it is timed.

    `group` says of which series of models it is, empty for a single one.
    """

    model: str
    source: str
    arguments: dict
    precision: str
    runs: int = 1
    target: str = "iOS17"
    group: str = ""


def place(folder: Path, route: str, model: str, precision: str) -> Path:
    """Where convert() keeps a package."""
    name = ASSET if route in routes.CORE_AI else PACKAGE
    return folder / folder_name(route) / f"{model}-{precision}" / name


def folder_name(route: str) -> str:
    """A route as the name of a folder."""
    return route.replace(", ", "-").replace(" ", "-")


def take(work: list[list], folder: str) -> None:
    """The work of a fresh process: a line in rows.jsonl for every task, written as soon as it is done."""
    begun: set[str] = set()
    made: dict[tuple[str, str], Conversion] = {}
    for route, values in work:
        task = Task(**values)
        own = Path(folder) / folder_name(route)
        if route in routes.OWN_PRECISION and (before := made.get((route, task.model))):
            record = _again(before, task, own)
        else:
            record = _converted(route, task, own / f"{task.model}-{task.precision}", route not in begun)
        if not record.failed:
            begun.add(route)
        made[route, task.model] = record
        with (Path(folder) / "rows.jsonl").open("a") as file:
            file.write(f"{store.json_line(record)}\n")
        tell(f"{route}: {task.model}")


def _again(before: Conversion, task: Task, folder: Path) -> Conversion:
    """The package of a route that chooses the precision itself, judged by another one's limit."""
    case = before.case | _case(task) | {"made_as": before.case["precision"]}
    if before.failed or not before.size:
        return msgspec.structs.replace(before, case=case)
    kept = folder / f"{task.model}-{task.precision}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder / f"{task.model}-{before.case['precision']}", kept)
    model, example = _half(before.route, task)
    measured = _measured(before.route, task, kept / PACKAGE, model, example)
    case |= {name: measured.pop(name) for name in ("computes", "runtimes") if name in measured}
    return msgspec.structs.replace(before, case=case, **measured)


def _half(route: str, task: Task) -> tuple:
    return fresh_process.find(task.source)(**task.arguments, framework=routes.framework(route))


def _converted(route: str, task: Task, folder: Path, first: bool) -> Conversion:
    """A task by a route; the `first` of a route is an extra one, which also loads what it loads late."""
    folder.mkdir(parents=True, exist_ok=True)
    all_seconds, value, told = [], None, []
    gives: dict[str, str] = {}
    for _ in range(task.runs + first):
        model, example = _half(route, task)
        job = routes.Job(model, example, ct.target[task.target], task.precision, folder)
        shutil.rmtree(folder / PACKAGE, ignore_errors=True)
        seconds: dict[str, float] = {}
        try:
            value, told = routes.follow(route, job, seconds, gives)
        except MISTAKES as error:
            step = routes.ALL[route][len(seconds)].__name__
            return failed(route, task, seconds, step, words(error))
        all_seconds.append(seconds)
    later = all_seconds[first:]
    steps = {name: statistics.median(each[name] for each in later) for name in later[0]}
    case = _case(task) | {"gives": gives} | ({"first": all_seconds[0]} if first else {})
    record = Conversion(task.model, route, case, steps, None, None, None, None, "no package", "", "", told)
    if not isinstance(value, Path):
        return record
    measured = _measured(route, task, value, model, example)
    case |= {name: measured.pop(name) for name in ("computes", "runtimes") if name in measured}
    return msgspec.structs.replace(record, case=case, **measured)


def _measured(route: str, task: Task, package: Path, model, example: Sequence) -> dict:
    """What a package holds and the result of its check, as fields of a Conversion and entries of its case."""
    if package.name == ASSET:
        return _asset_measured(route, task, package, model, example)
    try:
        held = inspect(package)
        report = checked(model, example, package, routes.framework(route), task.precision)
    except MISTAKES as error:
        return {"right": False, "line": f"the package does not run: {words(error)}"}
    error, computes = report.worst.rms_relative, "fp16" if held.uses_fp16 else "fp32"
    return {
        "computes": computes,
        "runtimes": list(dict.fromkeys(row.runtime for row in report.rows)),
        "size": held.size,
        "operations": held.count,
        "error": float(error) if np.isfinite(error) else None,
        "right": by_own_precision(report, computes),
        "line": line_of(report),
        "within_asked": report.passed,
    }


def _asset_measured(route: str, task: Task, asset: Path, model, example: Sequence) -> dict:
    """The size of an asset and its check by Core AI's interpreter; the limit is that of Apple's kernels."""
    limit = max(LIMITS[task.precision], CORE_ML_TOLERANCE)
    try:
        report = asset_check.compared(model, example, asset, routes.framework(route), limit)
    except MISTAKES as error:
        return {"right": False, "line": f"the asset does not run: {words(error)}"}
    error = report.worst.rms_relative
    return {
        "computes": {"float16": "fp16", "float32": "fp32"}[task.precision],
        "runtimes": list(dict.fromkeys(row.runtime for row in report.rows)),
        "size": core_ai.size(asset),
        "error": float(error) if np.isfinite(error) else None,
        "right": report.passed,
        "line": line_of(report),
        "within_asked": report.passed,
    }


def checked(model, example: Sequence, package: Path, framework: str, precision: str | None = None) -> Report:
    """Compare a package, strict and exact, with the half it was converted from, on the example.

    The limit is that of the precision asked for, without one that of the package's own.
    """
    from coreml_runtime import load

    inputs = dict(zip(load(package).inputs, example, strict=True))
    tolerance = LIMITS[precision] if precision else None
    name = {"MLX": "mlx", "PyTorch": "torch"}[framework]
    return verify(model, package, inputs, framework=name, tolerance=tolerance)


def by_own_precision(report: Report, computes: str) -> bool:
    """Whether a package is right by the limit of the precision it computes in."""
    limit = TOLERANCE[computes]
    native = max(limit, CORE_ML_TOLERANCE)
    deciding = [row for row in report.rows if row.decides]
    return all(
        bool(row.rms_relative <= (native if row.runtime.startswith(CORE_ML) else limit)) for row in deciding
    )


def line_of(report: Report) -> str:
    """The verification in one line, without the folder the package lay in."""
    return str(report).replace(report.package, Path(report.package).name)


def words(error: BaseException) -> str:
    """An error's type and the first line of its message that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def _case(task: Task) -> dict:
    case = {"precision": task.precision, "target": task.target, "runs": task.runs}
    return case | ({"group": task.group} if task.group else {})


def failed(route: str, task: Task, steps: dict, step: str, message: str) -> Conversion:
    """The row of a task whose step failed, by default the first one of its route."""
    step = step or routes.ALL[route][0].__name__
    nothing = (None, None, None, None, "no package, nothing to verify")
    return Conversion(task.model, route, _case(task), steps, *nothing, step, message, [])
