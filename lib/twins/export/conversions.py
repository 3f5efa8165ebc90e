"""Routes x models: each conversion is a record, checked on the reference runtime, with its error message.

One fresh process takes all routes through all models, because importing costs more than converting; when it
dies, the model it died on is a failed row and the others go on in a fresh process.
https://apple.github.io/coremltools/docs-guides/source/convert-pytorch-workflow.html
"""

import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np

from mlx_coreml.ir.errors import ConversionError
from twins.evidence.answers import route_grid
from twins.export import routes
from twins.export.conversion_process import Task, failed, place
from twins.export.trained_models import Trained
from twins.frameworks import BOTH, MLX
from twins.machine import fresh_process
from twins.records import store
from twins.records.export_types import DEEP, DIRECT, Conversion, Coverage
from twins.records.record_types import Machine
from twins.timing import wording

import torch  # isort: skip  (after frameworks: the BLAS)

PRECISIONS = ("float32", "float16")
FROM_PYTORCH = tuple(route for route in routes.ROUTES if routes.framework(route) == "PyTorch")
NO_PACKAGE = (*routes.WITHOUT_PACKAGE, routes.REMOVED)  # they give none on any system


Job = tuple[str, Task]  # a route and what it converts


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
    source = "twins.export.conversions:pair"
    return [Task(name, source, {"name": name}, precision) for name in names]


def of_depths(depths: Iterable[int], precision: str = "float32") -> list[Task]:
    """The tasks of one network at several depths, by which a conversion's time is seen to grow."""
    named = of_pairs((f"transformer_lm, {depth} blocks" for depth in depths), precision)
    return [replace(task, group=DEEP) for task in named]


def in_group(tasks: Iterable[Task], group: str) -> list[Task]:
    """The tasks as those of a series of models."""
    return [replace(task, group=group) for task in tasks]


def pair(name: str, framework: str) -> tuple:
    """One half of a network of bench.pairs and its example."""
    from twins.export.networks.pairs import PAIRS

    for each in BOTH:  # the same weights in every process
        each.seed(0)
    found = PAIRS[name]()
    if framework == "MLX":
        return found.mlx.eval(), [MLX.array(x) for x in found.example]
    return found.torch.eval(), [torch.from_numpy(np.array(x)) for x in found.torch_example]


def convert(route: str, tasks: Sequence[Task], folder: Path | None = None) -> Iterator[Conversion]:
    """Every task by one route, in order. `folder` keeps the packages as route/model-precision.

    Errors: ValueError for an unknown route.
    """
    return done(planned([route], tasks), folder)


def planned(names: Iterable[str], tasks: Sequence[Task]) -> list[Job]:
    """The tasks by each route in turn; routes without a package take one run of each model in fp16.

    coremltools' removed reader of ONNX fails alike for every model, so it takes one. Errors: ValueError for
    an unknown route.
    """
    once = [replace(t, runs=1) for t in tasks if t.precision == "float16"]
    fewer = dict.fromkeys(routes.WITHOUT_PACKAGE, once) | {routes.REMOVED: once[:1]}
    names = list(names)
    if unknown := [name for name in names if name not in routes.ALL]:
        raise ValueError(f"route {unknown[0]!r} is not known; known are {', '.join(routes.ALL)}")
    return [(name, task) for name in names for task in fewer.get(name, tasks)]


def done(work: Sequence[Job], folder: Path | None = None) -> Iterator[Conversion]:
    """Every task by its route, in order, in one fresh process; a route that is absent here says why."""
    with tempfile.TemporaryDirectory() as made:
        base = Path(folder or made)
        base.mkdir(parents=True, exist_ok=True)
        reasons = {route: routes.absent(route) for route, _ in work}
        rows = _rows([each for each in work if not reasons[each[0]]], base)
        for route, task in work:
            yield failed(route, task, {}, "", reasons[route]) if reasons[route] else next(rows)


def _rows(work: Sequence[Job], base: Path) -> Iterator[Conversion]:
    """What a fresh process made of every task; the task that it died on is a failed row."""
    left, rows = list(work), base / "rows.jsonl"
    while left:
        rows.unlink(missing_ok=True)
        words = _ended({"work": [[route, asdict(task)] for route, task in left], "folder": str(base)})
        lines = rows.read_text().splitlines() if rows.exists() else []
        yield from (msgspec.json.decode(line, type=Conversion) for line in lines)
        left = left[len(lines) :]
        if left:
            route, task = left.pop(0)
            yield failed(route, task, {}, routes.ALL[route][0].__name__, words)


def along(names: Iterable[str], tasks: Sequence[Task], folder: Path | None = None) -> Iterator[Conversion]:
    """The tasks by each route in turn, as `planned`."""
    return done(planned(names, tasks), folder)


def packages(records: Iterable[Conversion], folder: Path, precision: str = "float16") -> dict[str, Path]:
    """The right packages of some conversions by model and route, as far as the folder still holds them."""
    asked = [r for r in records if r.right and r.case["precision"] == precision]
    places = ((r, place(folder, r.route, r.model, precision)) for r in asked)
    return {f"{wording.name(r.model)}, {route_grid.name(r)}": path for r, path in places if path.exists()}


def single(records: Iterable[Conversion]) -> list[Conversion]:
    """The conversions of single models, without series of models."""
    return [record for record in records if not record.case.get("group")]


def of_page(machine: Machine, page: str) -> list[Conversion]:
    """The conversions of another page's newest run on this machine in this session's folder."""
    newest = store.latest(store.read(), machine.id, page)
    same = [r for r in newest.records if r.versions == machine.versions]
    return store.Found(same, []).bodies(Conversion)


def shared(machine: Machine, page: str) -> tuple[list[Conversion], str]:
    """The conversions of another page's newest run here, and a line that says so or what is missing."""
    newest = store.latest(store.read(), machine.id, page)
    found, link = of_page(machine, page), f"[{page}]({page}.ipynb)"
    if not found:
        number = page.partition("_")[0]
        return [], f"No record of {link} on this machine with these versions: run `make report-{number}`."
    when = max(record.run for record in newest.records)[:10]
    return (
        found,
        f"{len(found)} conversions are those of {link} of {when} on this machine; none is made again.",
    )


def _ended(given: dict) -> str:
    """Run the process; its error message, empty when it succeeded."""
    try:
        fresh_process.call("twins.export.conversion_process:take", given)
    except fresh_process.EndedError as error:
        return error.how.removeprefix("ended with ")
    return ""


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


def coverage(records: Iterable[Conversion], group: str, precision: str = "float32") -> list[Coverage]:
    """How many of these networks each route converts, and why not the others; all precisions for ""."""
    found: dict[str, list[Conversion]] = {}
    for record in records:
        if precision in ("", record.case["precision"]):
            found.setdefault(record.route, []).append(record)
    return [_coverage(route, group, own, precision) for route, own in found.items()]


def _coverage(route: str, group: str, records: list[Conversion], precision: str) -> Coverage:
    verdicts = [verdict(record) for record in records]
    outcomes = {each: verdicts.count(each) for each in dict.fromkeys(verdicts)}
    wrong = [r for r in records if verdict(r) != "right"]
    causes = [f"{r.failed or 'verify'}: {r.cause[:160]}" for r in wrong]
    models = {"models": [record.model for record in records], "precision": precision or "each"}
    right = [sum(r.steps.values()) for r in records if verdict(r) == "right"]
    models |= {"seconds": statistics.median(right)} if right else {}
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
