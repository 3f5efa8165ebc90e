"""Routes x models: each conversion is a record, checked on the reference runtime, with its error message.

A process of its own takes one route through all its models, because importing costs more than converting;
when it dies, the model it died on is a failed row and the others go on in a fresh process.
https://apple.github.io/coremltools/docs-guides/source/convert-pytorch-workflow.html
"""

import shutil
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import coremltools as ct
import msgspec
import numpy as np

from coreml_runtime import inspect
from coreml_runtime.verification.comparison import CORE_ML, CORE_ML_TOLERANCE, TOLERANCE, Report, verify
from mlx_coreml.ir.errors import ConversionError
from twins.export import routes
from twins.export.trained_models import Trained
from twins.frameworks import MLX
from twins.machine import fresh_process
from twins.records import store
from twins.records.record_types import DIRECT, LIMITS, Conversion, Coverage, Machine
from twins.timing.progress import tell

import torch  # isort: skip  (after frameworks: the BLAS)

# What converters raise when they fail; any other error ends the process, which is a row as well.
MISTAKES = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError)
MISTAKES += (AssertionError, ImportError)
PRECISIONS = ("float32", "float16")
FROM_PYTORCH = tuple(route for route in routes.ROUTES if routes.framework(route) == "PyTorch")
NO_PACKAGE = (*routes.WITHOUT_PACKAGE, "PyTorch, ONNX, coremltools")  # they give none on any system


@dataclass(frozen=True)
class Task:
    """A model to convert: where a fresh process finds it, in which precision, and how often."""

    model: str
    source: str
    arguments: dict
    precision: str
    runs: int = 1
    target: str = "iOS17"


def of_trained(
    models: Iterable[Trained], precisions: Sequence[str] = PRECISIONS, runs: int = 1
) -> list[Task]:
    """The tasks of trained models."""
    return [
        Task(each.name, "twins.export.trained_models:half", {"folder": str(each.folder)}, precision, runs)
        for each in models
        for precision in precisions
    ]


def of_pairs(names: Iterable[str], precision: str = "float32") -> list[Task]:
    """The tasks of networks that are written in both frameworks for comparison, with random weights."""
    return [Task(name, "twins.export.conversions:pair", {"name": name}, precision) for name in names]


def pair(name: str, framework: str) -> tuple:
    """One half of a network of bench.pairs and its example."""
    from twins.export.networks.pairs import PAIRS

    torch.manual_seed(0)
    found = PAIRS[name]()
    if framework == "MLX":
        return found.mlx.eval(), [MLX.array(x) for x in found.example]
    return found.torch.eval(), [torch.from_numpy(np.array(x)) for x in found.torch_example]


def convert(route: str, tasks: Sequence[Task], folder: Path | None = None) -> Iterator[Conversion]:
    """Every task by one route, in order. `folder` keeps the packages as route/model-precision.

    Errors: ValueError for an unknown route.
    """
    if route not in routes.ROUTES:
        raise ValueError(f"route {route!r} is not known; known are {', '.join(routes.ROUTES)}")
    if reason := routes.absent(route):
        yield from (_failed(route, task, {}, "", reason) for task in tasks)
        return
    with tempfile.TemporaryDirectory() as made:
        base = Path(folder or made) / route.replace(", ", "-").replace(" ", "-")
        base.mkdir(parents=True, exist_ok=True)
        left = list(tasks)
        while left:
            rows = base / "rows.jsonl"
            rows.unlink(missing_ok=True)
            given = {"route": route, "tasks": [asdict(task) for task in left], "folder": str(base)}
            words = _ended(given)
            lines = rows.read_text().splitlines() if rows.exists() else []
            yield from (msgspec.json.decode(line, type=Conversion) for line in lines)
            left = left[len(lines) :]
            if left:
                yield _failed(route, left.pop(0), {}, routes.ROUTES[route][0].__name__, words)


def along(names: Iterable[str], tasks: Sequence[Task], folder: Path | None = None) -> Iterator[Conversion]:
    """The tasks by each route in turn; routes without a package take one run of each model in fp16."""
    once = [replace(t, runs=1) for t in tasks if t.precision == "float16"]
    for name in names:
        tell(name)
        yield from convert(name, once if name in NO_PACKAGE else tasks, folder)


def place(folder: Path, route: str, model: str, precision: str) -> Path:
    """Where convert() keeps a package."""
    return folder / route.replace(", ", "-").replace(" ", "-") / f"{model}-{precision}" / "network.mlpackage"


def packages(records: Iterable[Conversion], folder: Path, precision: str = "float16") -> dict[str, Path]:
    """The packages of some conversions by model and route, as far as they were made and are right."""
    return {
        f"{r.model}, {r.route}": place(folder, r.route, r.model, precision)
        for r in records
        if r.right and r.case["precision"] == precision
    }


def of_page(machine: Machine, page: str) -> list[Conversion]:
    """The conversions of another page's newest run on this machine in this session's folder."""
    newest = store.latest(store.read(), machine.id, page)
    same = [r for r in newest.records if r.versions == machine.versions]
    return store.Found(same, []).bodies(Conversion)


def _ended(given: dict) -> str:
    """Run the process; its error message, empty when it succeeded."""
    try:
        fresh_process.call("twins.export.conversions:take", given)
    except RuntimeError as error:
        return str(error).partition("ended with ")[2]
    return ""


def take(route: str, tasks: list[dict], folder: str) -> None:
    """The work of a fresh process: a line in rows.jsonl for every task, written as soon as it is done."""
    for values in tasks:
        task = Task(**values)
        record = _converted(route, task, Path(folder) / f"{task.model}-{task.precision}")
        with (Path(folder) / "rows.jsonl").open("a") as file:
            file.write(f"{store.json_line(record)}\n")
        tell(f"{route}: {task.model}")


def _converted(route: str, task: Task, folder: Path) -> Conversion:
    folder.mkdir(parents=True, exist_ok=True)
    target = ct.target[task.target]
    all_seconds, value, told = [], None, []
    for _ in range(task.runs):
        model, example = fresh_process.find(task.source)(**task.arguments, framework=routes.framework(route))
        job = routes.Job(model, example, target, task.precision, folder)
        shutil.rmtree(folder / "network.mlpackage", ignore_errors=True)
        seconds: dict[str, float] = {}
        try:
            value, told = routes.follow(route, job, seconds)
        except MISTAKES as error:
            step = routes.ROUTES[route][len(seconds)].__name__
            return _failed(route, task, seconds, step, words(error))
        all_seconds.append(seconds)
    later = all_seconds[1:] or all_seconds
    steps = {name: statistics.median(each[name] for each in later) for name in all_seconds[0]}
    case = _case(task) | ({"first": all_seconds[0]} if all_seconds[1:] else {})
    if not isinstance(value, Path):
        return Conversion(task.model, route, case, steps, None, None, None, None, "no package", "", "", told)
    try:
        held = inspect(value)
        report = checked(model, example, value, routes.framework(route), task.precision)
    except MISTAKES as error:
        line = f"the package does not run: {words(error)}"
        return Conversion(task.model, route, case, steps, None, None, None, False, line, "", "", told)
    error = report.worst.rms_relative
    error = float(error) if np.isfinite(error) else None
    case["computes"] = "fp16" if held.uses_fp16 else "fp32"
    measured = (held.size, held.count, error, by_own_precision(report, case["computes"]), line_of(report))
    return Conversion(task.model, route, case, steps, *measured, "", "", told, report.passed)


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
    return {"precision": task.precision, "target": task.target, "runs": task.runs}


def _failed(route: str, task: Task, steps: dict, step: str, message: str) -> Conversion:
    step = step or routes.ROUTES[route][0].__name__
    nothing = (None, None, None, None, "no package, nothing to verify")
    return Conversion(task.model, route, _case(task), steps, *nothing, step, message, [])


def verdict(record: Conversion) -> str:
    """The outcome of a conversion, by what was asked: right, wrong, refused, absent, no package, or crash."""
    if record.absent:
        return "absent"
    if record.failed:
        return "refused" if record.message.startswith(REFUSALS) else "crash"
    if record.right is None:
        return "no package"
    return "right" if record.as_asked else "wrong"


REFUSALS = tuple(f"{kind.__name__}:" for kind in (ConversionError, *ConversionError.__subclasses__()))


def coverage(records: Iterable[Conversion], group: str) -> list[Coverage]:
    """How many of these networks each route converts, and why not the others; float32 only."""
    found: dict[str, list[Conversion]] = {}
    for record in records:
        if record.case["precision"] == "float32":
            found.setdefault(record.route, []).append(record)
    return [_coverage(route, group, own) for route, own in found.items()]


def _coverage(route: str, group: str, records: list[Conversion]) -> Coverage:
    verdicts = [verdict(record) for record in records]
    outcomes = {each: verdicts.count(each) for each in dict.fromkeys(verdicts)}
    wrong = [r for r in records if verdict(r) != "right"]
    causes = [f"{r.failed or 'verify'}: {r.cause[:160]}" for r in wrong]
    models = {"models": [record.model for record in records], "precision": "float32"}
    reasons = {each: causes.count(each) for each in dict.fromkeys(causes)}
    return Coverage(route, group, models, outcomes, reasons)


def of_zoo(group: str = "architecture", every: int = 1, limit: float = 120) -> Coverage:
    """The direct route over every n-th case of the zoo, in float32, at most `limit` seconds each."""
    from mlx_coreml import coverage
    from mlx_coreml.coverage.worker_processes import judge_all

    cases = list(coverage.find([group]))
    with tempfile.TemporaryDirectory() as folder:
        found = list(judge_all(cases[::every], 1, "float32", limit, Path(folder) / "zoo.log"))
    verdicts = [each.verdict for each in found]
    reasons = [each.reason.partition(" [")[0][:160] for each in found if each.verdict != "right"]
    case = {"every": every, "of": len(cases), "precision": "float32"}
    counts = ({each: kind.count(each) for each in dict.fromkeys(kind)} for kind in (verdicts, reasons))
    return Coverage(DIRECT, f"{group}s of mlx-lm", case, *counts)
