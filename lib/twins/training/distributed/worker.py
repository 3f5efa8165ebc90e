"""One rank of a training run: joins the others, agrees with them, resumes, trains, and stops cleanly.

The launchers start it as `python -m twins.training.distributed.worker`, with a Run as JSON.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, field

import numpy as np

from twins.machine import identity
from twins.records import store
from twins.records.record_types import Fit
from twins.training import accumulation, train
from twins.training.distributed import agreement, checkpoints, engines, states, tasks
from twins.training.distributed.checkpoints import Checkpoint
from twins.training.distributed.settings import Run
from twins.training.distributed.stopping import Stop
from twins.training.distributed.wording import ENDED, FAILED, TOLD, Progress, say
from twins.training.train import Half

AGAIN = "the same command continues after the last whole step"


@dataclass
class Training:
    """A run on one rank: its half, how many updates it has had, and the loss before each."""

    run: Run
    task: tasks.Task
    half: Half
    engine: engines.Alone
    facts: dict
    step: int = 0
    losses: list[float] = field(default_factory=list)

    def checkpoint(self) -> Checkpoint:
        """The state as it is now."""
        arrays, facts = states.state(self.half)
        return Checkpoint(
            self.step, arrays | {"losses": np.array(self.losses, np.float32)}, self.facts | facts
        )

    def save(self) -> None:
        """Write a checkpoint."""
        checkpoints.write(self.run.folder / "checkpoints", self.checkpoint())

    def resume(self, found: Checkpoint | None, others: list[dict]) -> None:
        """Take the newest checkpoint that any rank has, from the first rank that has it."""
        newest = max(each["step"] for each in others)
        if not newest:
            return
        source = next(rank for rank, each in enumerate(others) if each["step"] == newest)
        own = found if found and found.step == newest else None
        told = [own.facts, checkpoints.forms(own.arrays)] if own else []
        facts, forms = json.loads(self.engine.gather(json.dumps(told))[source])
        arrays = self.engine.from_rank(source, own.arrays if own else checkpoints.blank(forms))
        states.restore(self.half, arrays, facts)
        self.step, self.losses = newest, arrays["losses"].tolist()
        if self.engine.rank == 0:
            say(TOLD, f"continues after step {newest}")

    def part(self, step: int) -> list:
        """This rank's part of a step's batch."""
        batch = self.task.draw(step)
        return self.half.batch(accumulation.split(batch, self.engine.size)[self.engine.rank])


def train_on(training: Training, stop: Stop) -> bool:
    """Train up to the last step; False when it was stopped before.

    Errors: LostError when another worker is gone, after a checkpoint of the last whole step was written.
    """
    run, engine = training.run, training.engine
    take = engine.step(training.half, stop.asked.is_set)
    progress, stopping = Progress(training.step, run.steps), False
    while training.step < run.steps and not stopping:
        began = time.monotonic()
        stop.step_begins()
        training.half.framework.seed(tasks.seed_of(run.seed + engine.rank, training.step))
        try:
            loss, stopping = take(*training.part(training.step))
        except engines.LostError:
            stop.left.set()
            training.save()
            raise
        training.losses.append(loss)
        training.step += 1
        stop.step_took(time.monotonic() - began)
        if engine.rank == 0:
            progress.tell(training.step, loss)
            if training.step % run.every == 0 or training.step == run.steps or stopping:
                training.save()
    stop.left.set()
    return training.step == run.steps


def prepared(run: Run, engine: engines.Alone) -> Training:
    """The run on this rank, agreed on with the others and resumed.

    Errors: ValueError, one sentence, for a model that cannot be shared, ranks that differ, or a checkpoint of
    another run.
    """
    task = tasks.task(run)
    half = task.twin.halves()[("mlx", "torch").index(run.framework)]
    engines.check_shareable(half, engine)
    folder = run.folder / "checkpoints"
    found, problems = checkpoints.newest(folder)
    facts = {"run": run.same_curve(), "data": task.data_digest(), "code": agreement.code_digest(run.model)}
    mine = {**facts, "versions": agreement.versions(), "step": found.step if found else 0}
    others = [json.loads(text) for text in engine.gather(json.dumps(mine))]
    agreement.check_ranks(others)
    if engine.rank == 0:
        for problem in problems:
            say(TOLD, f"{problem}; the one before it is used" if found else f"{problem}; none is left")
        if problems:
            checkpoints.set_aside(folder)
    if found:
        agreement.check_checkpoint(found, facts)
    training = Training(run, task, half, engine, facts)
    training.resume(found, others)
    return training


def record(training: Training) -> Fit:
    """The losses of a finished run, as a record in its folder."""
    run, task, name = training.run, training.task, training.half.framework.name
    held_out = train.evaluate(training.half, task.held_out)
    sizes = {"batch": run.batch, "steps": run.steps, "seed": run.seed, "processes": run.processes}
    fit = Fit(
        twin=task.twin.name,
        case=task.twin.config | sizes,
        dataset=task.dataset,
        digest=task.digest,
        entropy=task.entropy,
        losses={name: training.losses},
        held_out={name: held_out},
    )
    store.Book("train", identity.fingerprint(), run.folder / "results").add(fit)
    return fit


def work(run: Run) -> None:
    """Train, and say how it ended. Errors: LostError and ValueError, as of train_on and prepared."""
    engine = engines.start(run)
    stop = Stop(engine.rank, run.patience, run.processes > 1)
    training = prepared(run, engine)
    finished = train_on(training, stop)
    if engine.rank == 0:
        if finished:
            (held_out,) = record(training).held_out.values()
            say(ENDED, f"finished {run.steps} steps, held-out loss {held_out:.4f}; see {run.folder}")
        else:
            say(ENDED, f"stopped after step {training.step}; {AGAIN}")
    engine.close()


def main() -> int:
    """The exit status: 1 when training ended otherwise than it should, with one sentence."""
    run = Run(**json.loads(sys.argv[1]))
    rank = os.environ.get("RANK") or os.environ.get("MLX_RANK") or "0"
    try:
        work(run)
    except engines.LostError as error:
        say(FAILED, f"rank {rank}: another worker no longer answers ({error}); {AGAIN}")
    except (ValueError, OSError) as error:
        say(FAILED, f"rank {rank}: {error}")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
