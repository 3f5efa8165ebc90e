"""A measurement on one rank: the losses and times of some steps, and of what ranks exchange in them."""

import time
from collections.abc import Sequence
from dataclasses import asdict

from mlx.utils import tree_flatten

from twins.machine import conditions
from twins.training import accumulation
from twins.training.distributed import engines, exchanges, tasks
from twins.training.distributed.settings import Run
from twins.training.distributed.stopping import Stop
from twins.training.train import Half


def gradient_bytes(half: Half) -> int:
    """The bytes of all gradients of a half, which are those of its parameters."""
    if half.framework.key == "mlx":
        return sum(array.nbytes for _, array in tree_flatten(half.model.trainable_parameters()))
    return sum(p.numel() * p.element_size() for p in half.model.parameters() if p.requires_grad)


def stepped(run: Run, engine: engines.Alone, task: tasks.Task, half: Half, stop: Stop) -> dict:
    """The loss before each step, and wall and CPU seconds of each, without drawing its batch."""
    take, losses, wall, cpu = engine.step(half, stop.asked.is_set), [], [], []
    for step in range(run.steps):
        rows = accumulation.split(task.draw(step), engine.size)[engine.rank]
        half.framework.seed(tasks.seed_of(run.seed + engine.rank, step))
        part = half.batch(rows)
        stop.step_begins()
        began, spent = time.perf_counter(), time.process_time()
        loss, stopping = take(*part)
        half.framework.synchronize()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
        stop.step_took(wall[-1])
        losses.append(loss)
        if stopping:
            raise ValueError("the measurement was asked to stop")
    return {"losses": losses, "wall": wall, "cpu": cpu}


def measured(run: Run, engine: engines.Alone, sizes: list[int], times: int, stop: Stop) -> dict:
    """All that is measured of one run on this rank; `sizes` in bytes, and that of the gradients is added.

    Errors: LostError when a worker is gone; ValueError, one sentence, for a model that cannot be shared.
    """
    task = tasks.task(run)
    half = task.twin.halves()[("mlx", "torch").index(run.framework)]
    engines.check_shareable(half, engine)
    gradients = gradient_bytes(half)
    with conditions.watch() as seen:
        found = stepped(run, engine, task, half, stop)
    others = sum(map(float, engine.gather(str(sum(found["cpu"]))))) - sum(found["cpu"])
    around = asdict(seen())
    around["others"] = max(0.0, around["others"] - others / sum(found["wall"]))  # what other ranks used
    wanted = sorted({*sizes, gradients}) if engine.size > 1 else []
    exchanged = [exchanges.measured(engine, size, times) for size in wanted]
    about = {"gradients": gradients, "backend": engine.backend, "conditions": around}
    return found | about | {"exchanged": exchanged}


def ranks(runs: Sequence[dict], sizes: list[int], times: int) -> list[dict]:
    """All that is measured of each run on this rank, one run after another. Errors: as `measured`."""
    found, stop = [], None
    for each in runs:
        run = Run(**each)
        engine = engines.start(run)
        stop = stop or Stop(engine.rank, run.patience, run.processes > 1)
        found.append(measured(run, engine, sizes, times, stop))
        engine.close()
    if stop:
        stop.left.set()
    return found
