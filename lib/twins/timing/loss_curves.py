"""Loss curves of both halves of a twin, each run in a process of its own, several at once.

What a run learns does not depend on what another does, so runs share the machine; nothing here is timed.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from twins.machine import kept_processes, kernel_compiler, process_memory
from twins.parity import noise
from twins.records.record_types import Accuracy, Fit
from twins.timing.progress import tell
from twins.timing.study import STARTED, Batches, Study, room
from twins.training import train

RUNS = {"MLX": 0, "PyTorch": 1, "floor": 1}  # the half that each trains; the floor's rows are permuted
Known = tuple[str, str, float | None]  # data set, digest and entropy


def fits(study: Study, known: Known, batches: Mapping[int, Batches], held_out: Batches) -> list[Fit]:
    """For every seed of weights: each half trained eagerly, and torch again on permuted rows, the floor.

    `held_out` is evaluated after training; its mean loss is in nats. Errors: FloatingPointError.
    """
    return [fit for fit, _ in _learnt(study, known, batches, held_out)]


def classified(
    study: Study, known: Known, batches: Mapping[int, Batches], held_out: Batches
) -> list[tuple[Fit, Accuracy]]:
    """Fits, and how many held-out examples every trained half of a classifier gets right."""
    labels = np.concatenate([arrays[-1] for arrays in held_out])
    majority = int(np.bincount(labels).max())
    return [
        (fit, Accuracy(study.name, fit.case, *known[:2], right, majority, len(labels)))
        for fit, right in _learnt(study, known, batches, held_out, right=True)
    ]


def _learnt(
    study: Study, known: Known, batches: Mapping[int, Batches], held_out: Batches, right: bool = False
) -> list[tuple[Fit, dict[str, int]]]:
    """The fit of every seed, and if asked for how many examples each run gets right."""
    size = max(len(own[0][0]) for own in batches.values())
    jobs = [(seed, name) for seed in batches for name in RUNS]
    at_once = process_memory.at_once(STARTED + room(study, size))
    with tempfile.TemporaryDirectory() as scratch:
        files = {seed: written(own, Path(scratch, f"{seed}.npz")) for seed, own in batches.items()}
        test = written(held_out, Path(scratch, "test.npz"))
        told = {"study": asdict(study), "held_out": test, "right": right}
        asked = [told | {"batches": files[seed], "name": name, "seed": seed} for seed, name in jobs]
        learnt = kept_processes.shared("twins.timing.loss_curves:run", asked, at_once)
    found = dict(zip(jobs, learnt, strict=True))
    return [_of_a_seed(study, seed, known, own, found) for seed, own in batches.items()]


def _of_a_seed(
    study: Study, seed: int, known: Known, batches: Batches, found: Mapping[tuple[int, str], dict]
) -> tuple[Fit, dict[str, int]]:
    """The fit of one seed. Errors: FloatingPointError for a loss that is not finite, by run and step."""
    own = {name: found[seed, name] for name in RUNS}
    for name, learnt in own.items():
        losses = [*learnt["losses"], learnt["held_out"]]
        if not all(map(np.isfinite, np.array(losses, float))):
            step = int(np.argmin(np.isfinite(np.array(losses, float))))
            where = f"{study.name}: {name}'s loss is not finite at step {step}"
            raise FloatingPointError(f"{where}; lower learning_rate")
        tell(f"{name}: {len(batches)} steps, held-out loss {learnt['held_out']:.3f}")
    case = study.config | {"batch": len(batches[0][0]), "steps": len(batches), "seed": seed}
    losses = {name: learnt["losses"] for name, learnt in own.items()}
    after = {name: learnt["held_out"] for name, learnt in own.items()}
    fit = Fit(study.name, case, *known, losses, after)
    return fit, {name: learnt["right"] for name, learnt in own.items()}


def written(batches: Batches, path: Path) -> str:
    """Batches as a file of arrays, each named by its batch and place."""
    arrays = {f"{i} {j}": array for i, batch in enumerate(batches) for j, array in enumerate(batch)}
    np.savez(path, **arrays)
    return str(path)


def read(path: str) -> Batches:
    with np.load(path, allow_pickle=False) as stored:
        names = sorted(stored.files, key=lambda name: [int(part) for part in name.split()])
        found: dict[str, list[np.ndarray]] = {}
        for name in names:
            found.setdefault(name.split()[0], []).append(stored[name])
    return [tuple(arrays) for arrays in found.values()]


@kernel_compiler.faster()
def run(study: dict, seed: int, name: str, batches: str, held_out: str, right: bool) -> dict:
    """The work of a process: one run's losses, its held-out loss, and what it gets right if asked for."""
    made = Study(**{**study, "recipe": train.Recipe(**study["recipe"]), "seed": seed})
    half, data, test = made.halves()[RUNS[name]], read(batches), read(held_out)
    losses = train.fit(half, noise.permuted(data) if name == "floor" else data)
    after = train.evaluate(half, test)
    return {"losses": losses, "held_out": after, "right": train.right(half, test) if right else 0}
