"""How training scales over processes on one machine: each count launched anew, as records.

One process is measured with all CPU threads, and again with as many as each of several processes has: what
more processes bring is compared with one that has a process's share of the machine.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from twins import frameworks
from twins.frameworks import TORCH
from twins.machine import fresh_process, kept_processes
from twins.records.record_types import Body, Exchange, Gate, Timing
from twins.timing import wording
from twins.timing.statistics import Run as TimedRun
from twins.timing.statistics import Samples
from twins.training.distributed import hosts, launch, measuring_worker
from twins.training.distributed.settings import FRAMEWORKS, Asked, Run
from twins.training.distributed.wording import FAILED, TOLD, heard

NAMES = dict(zip(FRAMEWORKS, ("MLX", "PyTorch"), strict=True))
SAME = 1e-5  # how far losses of several processes may be from those of one, relative
WARM = 2  # steps before those that are timed: the first, and one in which caches fill
LONGEST = 300  # seconds that a launch may take
WORKER = "twins.training.distributed.measuring_worker"
MEASURED = "twins.training.distributed.measurement:ranks"
SUBJECT = "data-parallel step"  # of records of times, as evidence.scaling reads them


@dataclass(frozen=True)
class Layout:
    """Some processes with so many CPU threads each."""

    processes: int
    threads: int

    def __str__(self) -> str:
        return wording.layout(self.processes, self.threads)


@dataclass(frozen=True)
class Plan:
    """What is measured: a run's settings, launches of each layout, bytes of exchanges, and repeats."""

    run: Run
    launches: int
    sizes: tuple[int, ...]
    times: int


def most() -> int:
    """How many processes this machine can give a core, or on CUDA a GPU, each."""
    if TORCH.device == "cuda":
        import torch

        return torch.cuda.device_count()
    return os.cpu_count() or 1


def layouts(processes: Sequence[int], batch: int) -> list[Layout]:
    """One process with all threads first; then each count that fits, and one process with its share.

    A count fits that the machine has cores or GPUs for, and that shares the batch equally. All threads are
    those of every page of the report: one for each core, and not for each thread that a core offers.
    """
    found = [Layout(1, frameworks.THREADS)]
    for count in processes:
        if 1 < count <= most() and batch % count == 0:
            share = max(1, frameworks.THREADS // count)
            found += [Layout(1, share), Layout(count, share)]
    return list(dict.fromkeys(found))


def measure(plan: Plan, wanted: Sequence[Layout], tell: Callable[[str], None] = lambda _: None) -> list[Body]:
    """Records of all layouts: times, exchanges, and the check of the losses, whose notes are what failed.

    Errors: ValueError, one sentence, where nothing could be measured.
    """
    found: dict[tuple[Layout, str], list[dict]] = {}
    failed: dict[str, str] = {}
    for index in range(plan.launches):
        for layout in wanted if index % 2 == 0 else wanted[::-1]:
            for names in [FRAMEWORKS] if layout.processes == 1 else [(each,) for each in FRAMEWORKS]:
                try:
                    for name, each in zip(names, launched(plan, layout, names, index), strict=True):
                        found.setdefault((layout, name), []).append(each)
                except ValueError as error:
                    told = " and ".join(NAMES[name] for name in names)
                    failed[f"{told}, {layout}"] = str(error)
            tell(f"launch {index + 1} of {plan.launches}: {layout}")
    if not found:
        raise ValueError(next(iter(failed.values()), "no layout of processes was asked for"))
    notes = [f"{what}: not measured ({why})" for what, why in failed.items()]
    return [*timings(plan, wanted, found), *exchanges(found), checked(plan, found, notes)]


def launched(plan: Plan, layout: Layout, names: Sequence[str], index: int = 0) -> list[dict]:
    """What one launch measured, in the order of the frameworks. Errors: ValueError, one sentence.

    A process alone needs no launcher: it is a kept one, or where its threads are others a fresh one.
    """
    with TemporaryDirectory() as folder:
        runs = [
            replace(plan.run, framework=name, processes=layout.processes, out=str(Path(folder, name)))
            for name in names
        ]
        told = {"runs": [asdict(run) for run in runs], "sizes": plan.sizes, "times": plan.times}
        if layout.processes == 1:
            return _alone(told, layout.threads, index)
        runs[0].folder.mkdir()
        asked = Asked(runs[0], layout.processes, None, hosts.free_ports(layout.processes))
        output = finished(launch.command(asked, WORKER, json.dumps(told)), asked, layout.threads)
        said = [text for kind, text in filter(None, map(heard, output.splitlines())) if kind == FAILED]
        written = [run.folder / measuring_worker.RESULT for run in runs]
        if said or not all(path.is_file() for path in written):
            last = (output.strip().splitlines() or ["nothing was written"])[-1]
            raise ValueError(said[0] if said else f"no worker reported; the last line is: {last}")
        return [json.loads(path.read_text()) for path in written]


def begin(launches: int) -> None:
    """Start the processes that measure one process alone, which import while this one works on."""
    kept_processes.begin(launches, [MEASURED.partition(":")[0]])


def _alone(told: dict, threads: int, index: int) -> list[dict]:
    """What one process measured, without a launcher. Errors: ValueError, how it ended."""
    try:
        if threads != frameworks.THREADS:
            return fresh_process.call(MEASURED, told, {"TWINS_THREADS": str(threads)})
        kept_processes.prepare(index + 1, [MEASURED.partition(":")[0]])
        return kept_processes.call(index, MEASURED, told)
    except fresh_process.EndedError as error:
        raise ValueError(error.how) from None


def finished(command: list[str], asked: Asked, threads: int) -> str:
    """The output of a launcher that has ended. Errors: ValueError when it takes too long.

    While a worker has an open standard input, mlx.launch 0.32.4 keeps a core busy with waiting to write to
    it, which would be timed: so workers close theirs, and a line that it then fails to write ends that.
    """
    environment = launch.environment(asked) | {"TWINS_THREADS": str(threads)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    engine = subprocess.Popen(
        command, env=environment, text=True, errors="replace", start_new_session=True, **pipes
    )
    launch.end_after(LONGEST, engine)
    assert engine.stdin and engine.stdout
    output = ""
    for line in engine.stdout:
        output += line
        if heard(line) == (TOLD, measuring_worker.READY):
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                os.write(engine.stdin.fileno(), b"\n")
    engine.stdin.close()  # only now: at the end of its input mlx.launch keeps a core busy
    if engine.wait() < 0:
        raise ValueError(f"the launcher was ended; it may take {LONGEST} seconds")
    return output


def timings(
    plan: Plan, wanted: Sequence[Layout], found: dict[tuple[Layout, str], list[dict]]
) -> Iterator[Timing]:
    """The steps of each layout, a run for each launch, with the variants of the frameworks that it has."""
    for layout in wanted:
        runs = []
        for index in range(plan.launches):
            launches = {
                n: found[layout, n][index] for n in FRAMEWORKS if len(found.get((layout, n), [])) > index
            }
            if launches:
                runs.append(asdict(timed(launches)))
        if runs:
            yield Timing(SUBJECT, case(plan, layout), runs)


def timed(launches: dict[str, dict]) -> TimedRun:
    """One launch of each framework as one run; of their conditions, those of the more disturbed."""
    arms = {
        f"{NAMES[name]} eager": Samples(each["wall"][0], each["wall"][WARM:], each["cpu"][WARM:])
        for name, each in launches.items()
    }
    worst = max((each["conditions"] for each in launches.values()), key=lambda one: one["others"])
    return TimedRun(arms, worst)


def case(plan: Plan, layout: Layout) -> dict:
    """A layout's entries in records, with the sizes of what is trained."""
    return {"twin": plan.run.model, **plan.run.sizes, "batch": plan.run.batch, **asdict(layout)}


def exchanges(found: dict[tuple[Layout, str], list[dict]]) -> Iterator[Exchange]:
    """Every size that was exchanged, with the samples of all launches."""
    for (layout, name), launches in found.items():
        for number, each in enumerate(launches[0]["exchanged"]):
            own = [launch["exchanged"][number] for launch in launches]
            reduced, copied = ([s for one in own for s in one[what]] for what in ("reduced", "copied"))
            yield Exchange(
                framework=NAMES[name],
                backend=launches[0]["backend"],
                processes=layout.processes,
                size=each["size"],
                gradients=each["size"] == launches[0]["gradients"],
                reduced=reduced,
                copied=copied,
                refused=each["refused"],
            )


def checked(plan: Plan, found: dict[tuple[Layout, str], list[dict]], notes: list[str]) -> Gate:
    """The losses of several processes against those of one with all threads, framework by framework."""
    checks, losses = [], {}
    for (layout, name), launches in found.items():
        label = f"{NAMES[name]}, {layout}"
        losses[label] = launches[0]["losses"]
        one = next((v for (other, n), v in found.items() if n == name and other.processes == 1), None)
        if one is None or layout.processes == 1:
            continue
        apart = np.abs(np.subtract([each["losses"] for each in launches], one[0]["losses"]))
        relative = (apart / np.abs(one[0]["losses"])).max(axis=0)
        worst = float(relative.max())
        checks.append(
            {
                "name": f"losses, {NAMES[name]}, {layout.processes} processes",
                "value": worst if np.isfinite(worst) else None,
                "limit": SAME,
                "where": f"step {int(relative.argmax()) + 1} of {plan.run.steps}",
                "passed": bool(worst <= SAME),
            }
        )
    entries = {"batch": plan.run.batch, "steps": plan.run.steps}
    return Gate(
        f"{plan.run.model} data-parallel",
        entries,
        all(c["passed"] for c in checks),
        checks,
        losses,
        "",
        notes,
    )
