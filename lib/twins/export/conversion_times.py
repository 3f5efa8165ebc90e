"""How long conversions take: routes interleaved in fresh processes, with and without the converter's check.

The converter of this project checks its package unless told not to, and coremltools does not check, so both
are timed: the call as it is by default, and the conversion alone. PyTorch's fastest right route of each kind
takes part. A process's first conversions, which load what a route loads late, are kept apart.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import coremltools as ct

from twins.export import routes
from twins.export.conversion_process import Task
from twins.machine import fresh_process
from twins.records.export_types import CHECKED, DIRECT, Conversion
from twins.records.record_types import Timing
from twins.timing import harness
from twins.timing.harness import Plan, Variant
from twins.timing.progress import tell
from twins.timing.statistics import AGAIN

SUBJECT = "conversion"


def plan(processes: int) -> Plan:
    """One kept conversion by each route in each process."""
    return Plan(processes=processes, rounds=1, block=2, warmup=0)


def times(
    tasks: Sequence[Task], records: Iterable[Conversion], processes: int, precision: str = "float16"
) -> Iterator[Timing]:
    """A timing of every model by the routes that were right: in one precision, or in the only one asked.

    Nothing is timed in no process.
    """
    chosen = {task.model: task for task in tasks}
    chosen |= {task.model: task for task in tasks if task.precision == precision}
    records = list(records)
    jobs = [asdict(task) | {"routes": fastest(task, records)} for task in chosen.values()]
    jobs = [job for job in jobs if DIRECT in job["routes"] and len(job["routes"]) > 1]
    if not jobs or not processes:
        return
    runs = harness.measure("twins.export.conversion_times:variants", {"jobs": jobs}, plan(processes), tell)
    for job in jobs:
        own = [asdict(run.part(f"{job['model']}: ")) for run in runs]
        yield Timing(SUBJECT, {"model": job["model"], "precision": job["precision"]}, own)


def fastest(task: Task, records: Iterable[Conversion]) -> list[str]:
    """The routes to time for a model: the direct one, and PyTorch's fastest without and with ONNX."""
    right = [r for r in records if r.model == task.model and r.case["precision"] == task.precision]
    right = sorted(
        (r for r in right if r.as_asked and not r.case.get("apart")), key=lambda r: sum(r.steps.values())
    )
    kinds: dict[tuple[str, bool], str] = {}
    for record in right:
        kinds.setdefault((routes.framework(record.route), "ONNX" in record.route), record.route)
    return sorted(kinds.values())


def variants(jobs: list[dict]) -> dict[str, Variant]:
    """The work of a fresh process: every model by each of its routes, the direct one also with its check."""
    made = {}
    for job in jobs:
        names = job.pop("routes")
        task, folder = Task(**job), Path(tempfile.mkdtemp())
        for name in (*names, CHECKED, DIRECT + AGAIN):
            convert = _conversion(name.removesuffix(AGAIN), task, folder)
            clear = partial(shutil.rmtree, folder / "network.mlpackage", ignore_errors=True)
            made[f"{task.model}: {name}"] = Variant(convert, lambda: None, clear)
    return made


def _conversion(route: str, task: Task, folder: Path) -> partial:
    """One conversion by a route, from a half in evaluation mode to a package."""
    framework = routes.framework(route)
    model, example = fresh_process.find(task.source)(**task.arguments, framework=framework)
    job = routes.Job(model, example, ct.target[task.target], task.precision, folder)
    return partial(_checked, job) if route == CHECKED else partial(_follow, route, job)


def _follow(route: str, job: routes.Job) -> None:
    routes.follow(route, job, {})


def _checked(job: routes.Job) -> None:
    routes.save(job, routes.mlx_direct(job, None, check=True))
