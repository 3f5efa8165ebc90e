"""One rank of a measurement: the losses and times of some steps, and of what ranks exchange in them.

The launchers start it as they start worker.py, with the runs and what to measure as JSON; rank 0 writes what
was measured into the folder of each run. One process alone measures several runs, one after another.
"""

import json
import os
import sys
import time
from dataclasses import asdict

from mlx.utils import tree_flatten

from twins.machine import conditions
from twins.training import accumulation
from twins.training.distributed import engines, exchanges, tasks
from twins.training.distributed.settings import Run
from twins.training.distributed.stopping import Stop
from twins.training.distributed.wording import ENDED, FAILED, TOLD, say
from twins.training.train import Half

RESULT = "measured.json"
READY = "ready"  # what every rank says once it has closed its standard input


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


def main() -> int:
    """The exit status: 1 with one sentence when something could not be measured."""
    asked = json.loads(sys.argv[1])
    rank = os.environ.get("RANK") or os.environ.get("MLX_RANK") or "0"
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    say(TOLD, READY)
    stop = None
    try:
        for each in asked["runs"]:
            run = Run(**each)
            engine = engines.start(run)
            stop = stop or Stop(engine.rank, run.patience, run.processes > 1)
            found = measured(run, engine, asked["sizes"], asked["times"], stop)
            if engine.rank == 0:
                run.folder.mkdir(parents=True, exist_ok=True)
                (run.folder / RESULT).write_text(json.dumps(found))
            engine.close()
        stop.left.set()
        if rank == "0":
            say(ENDED, "measured")
    except (engines.LostError, ValueError, OSError) as error:
        say(FAILED, f"rank {rank}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
